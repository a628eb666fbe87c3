"""Does everything that needs a GPU run on this one, how fast, and how much memory does it take?

    make gpu-check [PARTS="sft dpo"] [FOLDER=results/gpu-check]

Runs the programs of the workflow on models of real shapes with random weights; nothing is fetched from the hub. Parts that
succeeded are not run again in the same folder, unless they are named. What came of them stands in benchmarks/gpu/CARD.md, where CARD is the
name of the GPU; its speeds may be copied to `resources.speeds` of a configuration. Exit code 1 if a part failed.

Programs run in the environments of envs/, or with a Python of your own: DPO_STAGES_PYTHON=python3 for all environments,
DPO_STAGES_PYTHON_TRAIN=… for one. A part whose packages are missing is skipped. --tiny runs the same programs in two minutes on a CPU, which says nothing of speed.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow_scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from gpu import card
from gpu.parts import PARTS, sampler
from gpu.workbench import Check, Failed, Measure

from dpo_stages.core.files import read_json, write_json, write_text
from dpo_stages.core.ledgers import commit

ROOT = Path(__file__).resolve().parents[2]


def missing_packages(needs: dict[str, str]) -> list[str]:
    """Packages of environments that are not there, or environments that are not."""
    probe = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
    found = []
    for environment, package in needs.items():
        name = sampler() if environment == "vllm" else environment
        command = [ROOT / "envs/run", name, "-c", probe, package]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            found.append(f"{package} in {name}")
    return found


def run_part(name: str, check: Check) -> dict:
    """Run one part; what came of it, as it is kept."""
    part = PARTS[name]
    if missing := missing_packages(part.needs):
        return {"status": "skipped", "sentence": f"there is no {', no '.join(missing)}"}
    started = time.monotonic()
    try:
        found = part.run(check)
    except Failed as failure:
        return {"status": "failed", "sentence": str(failure)}
    kept = {"text": found} if isinstance(found, str) else {"measures": [summary(measure) for measure in found]}
    return {"status": "done", "seconds": time.monotonic() - started, **kept}


def summary(measure: Measure) -> dict:
    """A measure without what the program printed."""
    run = {name: value for name, value in vars(measure.run).items() if name != "log"}
    return {**vars(measure), "run": run}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all that are not done)"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "results/gpu-check", help="for models, texts and logs")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, with or without a GPU")
    parser.add_argument(
        "--output", type=Path, help="the report (default: benchmarks/gpu/CARD.md; with --tiny in the folder)"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    found = card.describe()
    if found is None and not arguments.tiny:
        sys.exit("gpu-check: PyTorch sees no GPU here; --tiny runs the same programs on the CPU")
    check = (Check.tiny if arguments.tiny else Check.on_card)(arguments.folder.resolve())
    for name in arguments.parts or PARTS:
        file = check.folder / "parts" / f"{name}.json"
        if not arguments.parts and file.is_file() and read_json(file)["status"] == "done":
            continue
        result = run_part(name, check)
        write_json(file, {**result, "commit": commit()})
        how = f"{result['seconds']:.0f} s" if result["status"] == "done" else result["sentence"]
        print(f"{name}: {result['status']}, {how}", flush=True)
    results = {name: read_json(file) for name in PARTS if (file := check.folder / "parts" / f"{name}.json").is_file()}
    default = check.folder / "report.md" if arguments.tiny else ROOT / f"benchmarks/gpu/{found.file_name}"
    output = arguments.output or default
    write_text(output, card.report(found, results))
    print(f"gpu-check: {output}")
    sys.exit(any(result["status"] == "failed" for result in results.values()))


if __name__ == "__main__":
    main()
