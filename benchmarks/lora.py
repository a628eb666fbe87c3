"""What does LoRA save of memory and time, and what does it learn?

    OMP_NUM_THREADS=2 envs/run train benchmarks/lora.py MODEL FOLDER [--steps N]

Trains the model of a folder with DPO on the same pairs, in the same batches, with all weights and with LoRA (rank 16, all linear
layers), each at a learning rate of its own, in float32 on CPU cores, and pauses half-way, which leaves a checkpoint. The pairs are those of benchmarks/saving.py, a helpful answer
against a curt one. Peak memory is the largest resident set of the process that trains, which the kernel tells when it ends.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

from saving import SCRIPTS, template_rows

from dpo_stages.core.parquet import write_table
from dpo_stages.data.schemas import PREFERENCES
from dpo_stages.study.memory import weight_bytes
from dpo_stages.study.parameters import parameters_of

BATCH, MAX_LENGTH, BETA, RANK = 4, 256, 0.1, 16
TRAININGS = {
    "all weights": ("1e-6", None, ()),
    f"LoRA, rank {RANK}": (
        "1e-4",
        RANK,
        ("--lora-rank", RANK, "--lora-alpha", 2 * RANK, "--lora-dropout", 0, "--lora-targets", "all-linear"),
    ),
}


def run(name: str, *more: object, **flags: object) -> tuple[float, float]:
    """Run a program; returns its peak memory in bytes and its seconds of CPU time."""
    words = [word for flag, value in flags.items() for word in (f"--{flag.replace('_', '-')}", value)]
    process = subprocess.Popen([sys.executable, *map(str, (SCRIPTS / f"{name}.py", *words, *more))])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{name} failed")
    return 1024 * usage.ru_maxrss, usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder")
    parser.add_argument("folder", type=Path, help="where everything is written")
    parser.add_argument("--steps", type=int, default=12, help=f"of {BATCH} pairs, half of which are taken")
    arguments = parser.parse_args()
    work = arguments.folder
    write_table(work / "pairs.parquet", template_rows(BATCH * arguments.steps), PREFERENCES)
    initial = work / "initial/manifest.json"
    run("fetch_model", path=arguments.model, output=initial)
    data = {"preferences": work / "pairs.parquet", "max_length": MAX_LENGTH, "dtype": "float32"}
    run("compute_reference_logps", policy=initial, output=work / "reference.parquet", **data)
    parameters = parameters_of(str(arguments.model))
    print("| trained | learning rate | peak memory, GB | of it weights and optimiser, by arithmetic | checkpoint, MB | CPU seconds "
          "| first loss | last loss | last margin, nats |\n|---|---|---|---|---|---|---|---|---|")  # fmt: skip
    for name, (rate, rank, flags) in TRAININGS.items():
        folder = work / name.replace(" ", "-")
        settings = {
            "initial": initial, "reference_logps": work / "reference.parquet", "loss": "sigmoid", "beta": BETA, **data,
            "learning_rate": rate, "epochs": 1, "batch_size": BATCH, "per_device_batch_size": BATCH,
            "warmup_ratio": 0.1, "scheduler": "cosine", "seed": 0, "policy": "model/dpo/off", "checkpoint_minutes": 1e6,
        }  # fmt: skip
        peak, seconds = run(
            "train_policy", *flags, **settings, until=0.5, checkpoints=folder / "checkpoints",
            output=folder / "policy/manifest.json",
        )  # fmt: skip
        checkpoint = sum(path.stat().st_size for path in (folder / "checkpoints").rglob("*") if path.is_file())
        log = [json.loads(line) for line in (folder / "policy/training_log.jsonl").read_text("utf-8").splitlines()]
        cells = [name, rate, f"{peak / 1e9:.2f}", f"{weight_bytes(parameters, rank, mixed=False) / 1e9:.2f}"]
        cells += [f"{checkpoint / 1e6:.0f}", f"{seconds:.0f}", f"{log[0]['loss']:.4f}", f"{log[-1]['loss']:.4f}"]
        cells += [f"{log[-1]['rewards_margin'] / BETA:.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
