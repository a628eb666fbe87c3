"""Split PandaLM's human-judged pairs into preference data, pairs for a small preference model, and instructions.

    python examples/smollm2/split_pandalm.py testset-v1.json user_oriented_instructions.jsonl data/pandalm

PandaLM (Apache-2.0) asked three people which of two models' responses is better: 999 pairs over 170 prompts. The prompts
are shuffled with a fixed seed and cut in two. One half's majority votes train (and check) a small PairRM; of the other
half, one pair a prompt becomes the off-policy candidates. The instruction set that PandaLM drew from (252 tasks with
written answers) gives the evaluation: the tasks that no pair uses.
"""

import argparse
import json
import random
from collections import Counter, defaultdict
from pathlib import Path

SEED = 0
RANKER_HELDOUT_PROMPTS = 15


def prompt_of(row: dict) -> str:
    return f"{row['instruction']}\n\n{row['input']}".strip() if isinstance(row["input"], str) else row["instruction"]


def response(row: dict, number: int) -> str:
    """A model's response; six of them are the word True, which the file holds as a truth value."""
    return str(row[f"response{number}"])


def majority(row: dict) -> int:
    """1 or 2, the response that at least two of three people prefer; 0 without such a majority."""
    vote, count = Counter([row["annotator1"], row["annotator2"], row["annotator3"]]).most_common(1)[0]
    return vote if count >= 2 else 0


def verbose(row: dict) -> str:
    """The answer with the task said again before it."""
    return f"You asked me the following.\n\n{row['instruction']}\n\nHere is my answer.\n\n{row['output']}"


def concise(row: dict) -> str:
    """The first half of the answer's words."""
    words = row["output"].split()
    return " ".join(words[: (len(words) + 1) // 2])


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{path}: {len(rows)} rows")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, help="PandaLM's testset-v1.json")
    parser.add_argument("instructions", type=Path, help="user_oriented_instructions.jsonl of self-instruct")
    parser.add_argument("output", type=Path, help="folder for the JSONL files")
    arguments = parser.parse_args()

    by_prompt = defaultdict(list)
    for row in json.loads(arguments.pairs.read_text(encoding="utf-8")):
        by_prompt[prompt_of(row)].append(row)
    shuffle = random.Random(SEED)
    prompts = sorted(by_prompt)
    shuffle.shuffle(prompts)
    half = len(prompts) // 2

    def ranker_rows(chosen_prompts: list[str]) -> list[dict]:
        return [
            {"prompt": p, "response_1": response(row, 1), "response_2": response(row, 2), "preferred": majority(row)}
            for p in chosen_prompts
            for row in by_prompt[p]
            if majority(row)
        ]

    write(arguments.output / "ranker_heldout.jsonl", ranker_rows(prompts[:RANKER_HELDOUT_PROMPTS]))
    write(arguments.output / "ranker_train.jsonl", ranker_rows(prompts[RANKER_HELDOUT_PROMPTS:half]))

    candidates = []
    for prompt in prompts[half:]:
        judged = [row for row in by_prompt[prompt] if majority(row)]
        if judged:
            row = shuffle.choice(judged)
            first, second = response(row, 1), response(row, 2)
            chosen, rejected = (first, second) if majority(row) == 1 else (second, first)
            candidates.append({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    write(arguments.output / "preferences.jsonl", candidates)

    evaluation = []
    for line in arguments.instructions.read_text(encoding="utf-8").splitlines():
        task = json.loads(line)
        first = task["instances"][0]
        prompt = prompt_of({"instruction": task["instruction"], "input": first["input"]})
        if prompt not in by_prompt:
            evaluation.append({"instruction": prompt, "output": first["output"], "subset": task["motivation_app"]})
    write(arguments.output / "evaluation.jsonl", evaluation)
    # Length-controlled win rates are calibrated with the reference's own answers made longer and shorter.
    write(arguments.output / "evaluation_verbose.jsonl", [{**row, "output": verbose(row)} for row in evaluation])
    write(arguments.output / "evaluation_concise.jsonl", [{**row, "output": concise(row)} for row in evaluation])


if __name__ == "__main__":
    main()
