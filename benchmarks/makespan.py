"""How long the paper's Table 3 takes on numbers of GPUs, and what would shorten it: envs/run workflow benchmarks/makespan.py

Jobs and seconds are those of results/plan.csv, expected and not measured: a dry run, scheduled on simulated GPUs.
"""

import json
import os
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from dpo_stages.study.schedule import critical_path, dry_run, gpu_seconds, makespan, read_jobs  # noqa: E402

TARGET = "results/tables/table3.csv"
GPUS = (16, 32, 64)


def main() -> None:
    os.chdir(ROOT)
    settings = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    cases = {
        "as it is": {},
        "trainings on 8 GPUs": {"training_gpus": 8},
        "reference log-probabilities in one job": {"shards": {"reference": 1}},
        "nothing in shards": {"shards": dict.fromkeys(settings["resources"]["shards"], 1)},
    }
    print("| | GPU-hours | longest chain: hours |", " | ".join(f"on {gpus} GPUs" for gpus in GPUS), "|")
    print("|---" * (3 + len(GPUS)) + "|")
    for name, change in cases.items():
        resources = settings["resources"]
        shards = resources["shards"] | change.get("shards", {})
        changed = json.dumps(settings | {"resources": resources | change | {"shards": shards}})
        jobs = read_jobs(dry_run(ROOT / "Snakefile", changed, [TARGET]))
        work, longest = gpu_seconds(jobs) / 3600, critical_path(jobs) / 3600
        hours = [(makespan(jobs, gpus) / 3600, max(longest, work / gpus)) for gpus in GPUS]
        cells = " | ".join(f"{took:.1f} ({took / least:.2f})" for took, least in hours)
        print(f"| {name} | {work:.0f} | {longest:.1f} | {cells} |")


if __name__ == "__main__":
    main()
