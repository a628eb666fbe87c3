"""Train a small reward model on scored responses: all pairs of a prompt's responses, eight at a time, Bradley-Terry.

    envs/run pairrm examples/ladder/train_reward_model.py data/ladder/scored_a.jsonl BACKBONE models/gpt4-a \\
        --heldout data/ladder/scored_heldout.jsonl

BACKBONE is a folder with a BERT-like encoder and its tokenizer, such as all-MiniLM-L6-v2 (22 million parameters). Prompt and
response are two segments, as the tokenizer encodes a pair of texts, which is how this project asks reward models. Of responses
with the scores s_i and s_j the first is the better one with probability sigmoid((s_i - s_j) / 1.5), and the model is trained
on that. It is said how often it orders two held-out responses as their scores do, beside how often the longer one is the better.
"""

import argparse
import json
import math
import random
from collections import defaultdict
from itertools import combinations
from pathlib import Path

LONGEST = 700  # characters of a response
TOKENS = 160  # of prompt and response
SOFTNESS = 1.5
TOGETHER = 8


def read(path: Path) -> dict[str, list[dict]]:
    """Scored responses of each prompt that has enough of them."""
    prompts = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if len(row["response"]) <= LONGEST:
            prompts[row["prompt"]].append(row)
    return {prompt: rows for prompt, rows in prompts.items() if len(rows) >= TOGETHER}


def agreement(rows: list[dict], values: list[float], like: float = math.inf) -> tuple[float, int]:
    """Share of pairs of one prompt that `values` orders as the scores do; only pairs whose lengths' ratio is below `like`."""
    prompts = defaultdict(list)
    for row, value in zip(rows, values, strict=True):
        prompts[row["prompt"]].append((row["score"], value, len(row["response"])))
    right = pairs = 0
    for of_prompt in prompts.values():
        for (score, value, length), (other_score, other_value, other_length) in combinations(of_prompt, 2):
            if score != other_score and abs(math.log(length / other_length)) < math.log(like):
                right += (score > other_score) == (value > other_value)
                pairs += 1
    return right / pairs, pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scored", type=Path, help="JSON Lines with prompt, response, score")
    parser.add_argument("backbone", type=Path, help="folder of the encoder")
    parser.add_argument("output", type=Path, help="folder for the reward model")
    parser.add_argument("--heldout", type=Path, required=True, help="the same, of other prompts")
    parser.add_argument("--responses", type=int, default=5000, help="that are trained on")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(arguments.seed)
    draw = random.Random(arguments.seed)
    tokenizer = AutoTokenizer.from_pretrained(arguments.backbone)
    model = AutoModelForSequenceClassification.from_pretrained(
        arguments.backbone, num_labels=1, hidden_dropout_prob=0.05
    )

    def score(rows: list[dict]) -> torch.Tensor:
        batch = tokenizer(
            [row["prompt"] for row in rows],
            [row["response"] for row in rows],
            truncation="longest_first",
            max_length=TOKENS,
            padding=True,
            return_tensors="pt",
        )
        return model(**batch).logits[:, 0]

    prompts = read(arguments.scored)
    steps = arguments.responses // (2 * TOGETHER)
    optimizer = torch.optim.AdamW(model.parameters(), lr=arguments.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (0.1 * steps), (steps - step) / (0.9 * steps))
    )
    waiting: list[str] = []
    model.train()
    for step in range(steps):
        total = 0.0
        for _ in range(2):
            if not waiting:
                waiting = draw.sample(sorted(prompts), len(prompts))
            rows = draw.sample(prompts[waiting.pop()], TOGETHER)
            scores, target = score(rows), torch.tensor([row["score"] for row in rows])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                scores[:, None] - scores, torch.sigmoid((target[:, None] - target) / SOFTNESS)
            )
            (loss / 2).backward()
            total += loss.item() / 2
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step} of {steps}: loss {total:.3f}", flush=True)
    model.eval()
    model.save_pretrained(arguments.output)
    tokenizer.save_pretrained(arguments.output)

    heldout = read(arguments.heldout)
    few = draw.sample(sorted(heldout), min(100, len(heldout)))
    rows = sorted(
        (row for prompt in few for row in draw.sample(heldout[prompt], TOGETHER)), key=lambda r: len(r["response"])
    )
    with torch.no_grad():
        values = [value for start in range(0, len(rows), 32) for value in score(rows[start : start + 32]).tolist()]
    lengths = [float(len(row["response"])) for row in rows]
    for name, like in (("all pairs", math.inf), ("lengths within 25 %", 1.25)):
        (own, pairs), (longer, _) = agreement(rows, values, like), agreement(rows, lengths, like)
        print(f"{name}: right on {100 * own:.1f} % of {pairs}, the longer response on {100 * longer:.1f} %")


if __name__ == "__main__":
    main()
