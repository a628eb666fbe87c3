"""Make preference data of known quality, and data for two reward models, of AlpacaEval's published annotations.

    python examples/ladder/split_alpaca_eval.py CLONE data/ladder

CLONE is a clone of github.com/tatsu-lab/alpaca_eval, whose data are CC BY-NC 4.0 and are not shipped here: 58 models' responses
to the same 805 instructions, each with GPT-4 Turbo's preference over the common baseline. The score of a response is the logit
of that preference. Instructions of more than 400 characters are left out. Those of self-instruct are for measuring alone, as
their authors ask; 200 of the others are for the reward models, the rest for the policies.

The off-policy sets have two responses an instruction, by two models of about one strength and one length; GPT-4 Turbo's
score says which is chosen. The two reward models see different models' responses.
"""

import argparse
import json
import math
import random
from pathlib import Path

LONGEST = 400  # characters of an instruction
FOR_REWARD_MODELS = 200  # instructions
INSTRUCTIONS = 100  # on which policies are evaluated, with text-davinci-003's responses beside theirs
NO_ANSWERS = {"NullModel", "gpt4_gamed", "alpaca-7b_verbose"}  # made to deceive judges

TIERS = {
    "weak": ("falcon-7b-instruct", "alpaca-7b_concise"),
    "old": ("text_davinci_001", "alpaca-7b"),
    "mid": ("falcon-40b-instruct", "alpaca-farm-ppo-human"),
    "strong": ("gpt-3.5-turbo-1106_concise", "jina-chat"),
    "best": ("claude-2.1_concise", "gpt4_0613_concise"),
}


def logit(preference: float) -> float:
    """Of AlpacaEval's preference, which runs from 1 (the baseline is better) to 2."""
    probability = min(max(preference - 1, 1e-9), 1 - 1e-9)
    return math.log(probability / (1 - probability))


def read_annotations(clone: Path) -> dict[str, dict[str, tuple[str, float, str]]]:
    """Response, score and origin of each instruction, by model."""
    models = {}
    for path in sorted(clone.glob("results/*/weighted_alpaca_eval_gpt4_turbo/annotations.json")):
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # stored elsewhere, with a pointer in its place
            continue
        found = {
            row["instruction"]: (row["output_2"], logit(float(row["preference"])), row["dataset"])
            for row in rows
            if row["preference"] is not None and row["output_2"].strip()
        }
        if len(found) > 600:
            models[path.parts[-3]] = found
    return models


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{path}: {len(rows)} rows")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path, help="a clone of AlpacaEval's repository")
    parser.add_argument("output", type=Path, help="folder for the JSON Lines files")
    arguments = parser.parse_args()

    models = read_annotations(arguments.clone)
    if missing := {name for tier in TIERS.values() for name in tier} - set(models):
        parser.error(f"{arguments.clone} has no annotations of {', '.join(sorted(missing))}; give a whole clone")
    every = models["alpaca-7b"]
    short = sorted(instruction for instruction in every if len(instruction) <= LONGEST)
    measuring = [instruction for instruction in short if every[instruction][2] == "selfinstruct"]
    training = [instruction for instruction in short if every[instruction][2] != "selfinstruct"]
    random.Random(0).shuffle(training)
    rewarded, policies = training[:FOR_REWARD_MODELS], training[FOR_REWARD_MODELS:]

    names = sorted(set(models) - NO_ANSWERS)
    random.Random(1).shuffle(names)

    def scored(instructions: list[str], chosen: list[str]) -> list[dict]:
        return [
            {"prompt": prompt, "model": name, "response": models[name][prompt][0], "score": models[name][prompt][1]}
            for name in chosen
            for prompt in instructions
            if prompt in models[name]
        ]

    write(arguments.output / "scored_a.jsonl", scored(rewarded, names[::2]))
    write(arguments.output / "scored_b.jsonl", scored(rewarded, names[1::2]))
    write(arguments.output / "scored_heldout.jsonl", scored(measuring, names))
    for tier, (first, second) in TIERS.items():
        pairs = []
        for prompt in policies:
            if prompt in models[first] and prompt in models[second]:
                better, worse = sorted((models[first][prompt], models[second][prompt]), key=lambda one: -one[1])
                if better[0].strip() != worse[0].strip():
                    pairs.append({"prompt": prompt, "chosen": better[0], "rejected": worse[0]})
        write(arguments.output / f"{tier}.jsonl", pairs)
    prompts = [{"prompt": p, "chosen": models["text_davinci_003"][p][0], "rejected": models["alpaca-7b"][p][0]} for p in measuring
               if p in models["text_davinci_003"]]  # fmt: skip
    heldout = [row for row in prompts if row["chosen"].strip() != row["rejected"].strip()]
    write(arguments.output / "heldout.jsonl", heldout)
    asked = [{"instruction": row["prompt"], "output": row["chosen"]} for row in heldout[:INSTRUCTIONS]]
    write(arguments.output / "instructions.jsonl", asked)


if __name__ == "__main__":
    main()
