"""Make the ladder: the five sets of split_alpaca_eval.py on the same prompts, and people's votes for both reward models.

    envs/run train examples/ladder/make_ladder.py data/ladder MODEL testset-v1.json

MODEL is the policy's folder or hub id, whose tokenizer cuts every response as `sampling.max_new_tokens` cuts its own. Which of
two responses is chosen stays GPT-4 Turbo's opinion of the whole ones. testset-v1.json is PandaLM's (Apache-2.0): 999 pairs of
responses with three votes each, on prompts of self-instruct, which no reward model has seen. Pairs on which no two people
agree, or agree on a tie, are left out.
"""

import argparse
import json
import random
from collections import Counter
from pathlib import Path

from split_alpaca_eval import write

SETS = ("weak", "old", "mid", "strong", "best")
TRAIN, TEST = 128, 112  # prompts
TOKENS = 96  # of a response


def read(path: Path) -> dict[str, dict]:
    """Pairs by prompt."""
    return {row["prompt"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}


def votes(rows: list[dict]) -> list[dict]:
    """Pairs of which at least two of three people prefer the same response; six responses are a truth value in the file."""
    found = []
    for row in rows:
        preferred, people = Counter(row[f"annotator{number}"] for number in (1, 2, 3)).most_common(1)[0]
        if preferred and people >= 2:
            prompt = "\n\n".join(str(row[key]) for key in ("instruction", "input") if row[key])
            found.append({"prompt": prompt, "response_1": str(row["response1"]), "response_2": str(row["response2"]), "preferred": preferred})  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what split_alpaca_eval.py wrote")
    parser.add_argument("model", help="folder or hub id of the policy")
    parser.add_argument("votes", type=Path, help="PandaLM's testset-v1.json")
    arguments = parser.parse_args()

    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(arguments.model)

    def cut(text: str) -> str:
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        return text if len(tokens) <= TOKENS else tokenizer.decode(tokens[:TOKENS]).rstrip("\ufffd")

    sets = {name: read(arguments.folder / f"{name}.jsonl") for name in SETS}
    for pairs in sets.values():
        for row in pairs.values():
            row["chosen"], row["rejected"] = cut(row["chosen"]), cut(row["rejected"])
    shared = sorted(
        prompt
        for prompt in set.intersection(*map(set, sets.values()))
        if all(pairs[prompt]["chosen"] != pairs[prompt]["rejected"] for pairs in sets.values())
    )
    random.Random(2).shuffle(shared)
    splits = {"train": shared[:TRAIN], "test": shared[TRAIN : TRAIN + TEST]}
    for name, pairs in sets.items():
        for split, prompts in splits.items():
            write(arguments.folder / split / f"{name}.jsonl", [pairs[prompt] for prompt in prompts])
    write(arguments.folder / "votes.jsonl", votes(json.loads(arguments.votes.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
