"""How long the paper's Table 3 takes on numbers of GPUs, and what would shorten it: envs/run workflow benchmarks/makespan.py

Jobs and seconds are those of results/plan.csv, expected and not measured: a dry run, scheduled on simulated GPUs.
"""

import copy
import json
import os
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from plan_study import dry_run  # noqa: E402

from dpo_stages.schedule import Job, critical_path, gpu_seconds, makespan  # noqa: E402

TARGET = "results/tables/table3.csv"
GPUS = (16, 32, 64)


def sharded(jobs: list[Job], rule: str, shards: int, startup: int) -> list[Job]:
    """The jobs, those of one rule cut into shards, each of which loads the model."""
    cut = []
    for job in jobs:
        if job.rule != rule:
            cut.append(job)
            continue
        seconds = startup + (job.of("seconds") - startup) // shards
        parts = [frozenset(f"{file}/{shard}" for file in job.outputs) for shard in range(shards)]
        cut += [Job(rule, job.inputs, part, {**job.resources, "seconds": seconds}) for part in parts]
        cut.append(Job("gather_shards", frozenset().union(*parts), job.outputs))
    return cut


def main() -> None:
    os.chdir(ROOT)
    settings = yaml.safe_load(Path("config.yaml").read_text())
    wider = copy.deepcopy(settings)
    wider["resources"]["training_gpus"] = 8
    startup = settings["resources"]["speeds"]["startup"]
    as_it_is, on_8 = (dry_run(json.dumps(one), [TARGET]) for one in (settings, wider))
    cases = {
        "as it is": as_it_is,
        "trainings on 8 GPUs": on_8,
        "reference log-probabilities in 8 shards": sharded(as_it_is, "compute_reference_logps", 8, startup),
        "both": sharded(on_8, "compute_reference_logps", 8, startup),
    }
    print("| | GPU-hours | longest chain: hours |", " | ".join(f"on {gpus} GPUs" for gpus in GPUS), "|")
    print("|---" * (3 + len(GPUS)) + "|")
    for name, jobs in cases.items():
        work, longest = gpu_seconds(jobs) / 3600, critical_path(jobs) / 3600
        hours = [(makespan(jobs, gpus) / 3600, max(longest, work / gpus)) for gpus in GPUS]
        cells = " | ".join(f"{took:.1f} ({took / least:.2f})" for took, least in hours)
        print(f"| {name} | {work:.0f} | {longest:.1f} | {cells} |")


if __name__ == "__main__":
    main()
