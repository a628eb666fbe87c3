"""What is left of a preference optimisation when its policy is saved in bfloat16?

    OMP_NUM_THREADS=1 envs/run train benchmarks/saving.py MODEL FOLDER [--pairs PARQUET] [--rates RATE …]

Trains the model of a folder with DPO as the paper does (mixed bfloat16, float32 master weights), 24 steps of 4 pairs at each
learning rate, and keeps the master weights. They are then saved in every way that `rounding` knows, and each is held against
them: weights that are still the initial policy's, the margin (nats, over 32 training pairs), and log-probabilities of the
responses of 16 pairs that were not trained on. The margin is computed in three arithmetics: float32; the mixed precision of
training and of reference log-probabilities; bfloat16 alone, weights rounded to the nearest when they are loaded, as vLLM does.
Without `--pairs` the pairs are made of templates: a helpful answer against a curt one.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import torch

from dpo_stages.core.libraries import quiet_libraries
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import PREFERENCES
from dpo_stages.models.chat_tokens import load_tokenizer
from dpo_stages.models.preference_tokens import tokenize_preferences
from dpo_stages.models.rounding import narrow_weights
from dpo_stages.models.weights import load_model, unchanged_weights
from dpo_stages.training.logps import response_logps
from dpo_stages.training.margins import MarginSample

SCRIPTS = Path(__file__).resolve().parent.parent / "workflow_scripts"
STEPS, BATCH, HELD_OUT, MAX_LENGTH = 24, 4, 16, 256
RATES = ("5e-7", "5e-5", "5e-6")
BETA = 0.01
SAVED = {  # rounding, its key, and the arithmetics of the margin
    "float32": ("none", "", ("float32", "mixed", "bfloat16")),
    "nearest": ("nearest", "", ("float32", "mixed", "bfloat16")),
    "stochastic, seed 0": ("stochastic", "0/1", ("float32", "bfloat16")),
    "stochastic, seed 1": ("stochastic", "1/1", ("float32", "bfloat16")),
}

THINGS = "bread copper rain a lighthouse wool a bicycle salt a violin clay tea glass a map snow a ladder ink a garden".replace(
    " a ", " a_"
).split()
QUESTIONS = (
    "What is {a} good for?",
    "How would you explain {a}?",
    "Why do people like {a}?",
    "Compare {a} and {b}.",
)
HELPFUL = (
    "People have used {a} for a very long time, and still do every day.",
    "First find out where {a} comes from, then what it is needed for.",
    "Think of {a} first and of {b} next: both are useful at home.",
)
CURT = ("No idea. Ask someone else about {a}.", "{a} is {a}. What else is there?", "I will not talk about {b} now.")


def template_rows(count: int) -> list[dict]:
    """Pairs of a helpful and a curt answer, each to another prompt."""
    draw, rows = random.Random(0), {}
    while len(rows) < count:
        a, b = (word.replace("_", " ") for word in draw.sample(THINGS, 2))
        question = draw.choice(QUESTIONS).format(a=a, b=b)
        prompt = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": question}]
        chosen, rejected = (draw.choice(texts).format(a=a, b=b) for texts in (HELPFUL, CURT))
        rows[prompt_id(prompt)] = {
            "prompt": prompt, "chosen": chosen, "rejected": rejected,
            "logit": 1.0, "chosen_first": True, "order_flip": False, "original_agrees": None,
        }  # fmt: skip
    return [{"prompt_id": identifier, **row} for identifier, row in rows.items()]


def program(name: str, **flags: object) -> None:
    words = [word for flag, value in flags.items() for word in (f"--{flag.replace('_', '-')}", str(value))]
    subprocess.run([sys.executable, str(SCRIPTS / f"{name}.py"), *words], check=True)


def logps(folder: Path, sample: MarginSample, arithmetic: str) -> dict[str, torch.Tensor]:
    model = load_model(folder, MAX_LENGTH).eval()
    if arithmetic == "bfloat16":
        model = model.bfloat16()
    dtype = "bfloat16" if arithmetic == "mixed" else "float32"
    found = response_logps(model, sample.tokens, sample.padding, dtype)
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}


def difference(found: dict[str, torch.Tensor]) -> torch.Tensor:
    return found["chosen"] - found["rejected"]


def change(found: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Mean |log pi - log pi'| over responses."""
    return torch.cat([(found[name] - other[name]).abs() for name in found]).mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder")
    parser.add_argument("folder", type=Path, help="where everything is written")
    parser.add_argument("--pairs", type=Path, help="preferences, as of label_preferences.py; the first rows are taken")
    parser.add_argument("--rates", nargs="+", default=RATES, help="learning rates")
    arguments = parser.parse_args()
    work, count = arguments.folder, STEPS * BATCH + HELD_OUT
    rows = read_table(arguments.pairs, PREFERENCES).to_pylist() if arguments.pairs else template_rows(count)
    write_table(work / "train.parquet", rows[: STEPS * BATCH], PREFERENCES)
    write_table(work / "heldout.parquet", rows[STEPS * BATCH : count], PREFERENCES)
    initial = work / "initial"
    program("fetch_model", path=arguments.model, output=initial / "manifest.json")
    data = {"preferences": work / "train.parquet", "max_length": MAX_LENGTH, "dtype": "bfloat16"}
    reference = work / "reference.parquet"
    program("compute_reference_logps", policy=initial / "manifest.json", output=reference, **data)
    quiet_libraries()
    tokenizer = load_tokenizer(initial)
    trained_on, heldout = (
        MarginSample.of(
            tokenize_preferences(tokenizer, read_table(work / f"{name}.parquet", PREFERENCES), MAX_LENGTH).table,
            tokenizer.pad_token_id,
            MAX_LENGTH,
        )
        for name in ("train", "heldout")
    )
    start = {arithmetic: logps(initial, trained_on, arithmetic) for arithmetic in ("float32", "mixed", "bfloat16")}
    before = {arithmetic: logps(initial, heldout, arithmetic) for arithmetic in ("float32", "bfloat16")}
    print(f"bfloat16 arithmetic moves held-out responses by {change(*before.values()):.3f} nats on average")
    print("| learning rate | saved as | unchanged | margin, float32 | kept, ± s.e. over pairs | mixed | bfloat16 "
          "| held out: moved | off float32 |\n|---|---|---|---|---|---|---|---|---|")  # fmt: skip
    for rate in arguments.rates:
        program(
            "train_policy", **data, initial=initial / "manifest.json", reference_logps=reference, learning_rate=rate,
            loss="sigmoid", beta=BETA, epochs=1, batch_size=BATCH, per_device_batch_size=BATCH, warmup_ratio=0.1,
            scheduler="cosine", rounding="none", seed=0, policy="model/dpo/off", checkpoints=work / f"checkpoints-{rate}",
            checkpoint_minutes=1e6, output=work / rate / "manifest.json",
        )  # fmt: skip
        for name, (rounding, key, arithmetics) in SAVED.items():
            saved = work / f"{rate}-{rounding}"
            shutil.copytree(work / rate, saved)
            if rounding != "none":
                narrow_weights(saved, rounding, key)
            found = {one: difference(logps(saved, trained_on, one)) - difference(start[one]) for one in arithmetics}
            unseen = logps(saved, heldout, "float32")
            if rounding == "none":
                masters, masters_unseen = found["float32"], unseen
            margin, master = found["float32"].mean().item(), masters.mean().item()
            error = (found["float32"] - masters).std().item() / len(masters) ** 0.5
            others = [f"{found[one].mean().item():.3f}" if one in found else "" for one in ("mixed", "bfloat16")]
            cells = [
                *(rate, name, f"{unchanged_weights(saved, initial):.1%}", f"{margin:.3f}"),
                *(f"{margin / master:.0%} ± {abs(error / master):.0%}", *others),
                *(f"{change(unseen, before['float32']):.3f}", f"{change(unseen, masters_unseen):.3f}"),
            ]
            print(f"| {' | '.join(cells)} |", flush=True)
            shutil.rmtree(saved)
        last = json.loads((work / rate / "training_log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
        print(f"{rate}: last step's margin in training {last['rewards_margin'] / BETA:.3f} nats")
    print(f"{time.process_time() + sum(os.times()[2:4]):.0f} CPU seconds", flush=True)


if __name__ == "__main__":
    main()
