"""Train a classifier that tells positive from negative text; its logit is the reward.

    envs/run pairrm examples/sentiment/train_classifier.py data/sentiment/labelled_a.jsonl models/sentiment-a \\
        --heldout data/sentiment/labelled_heldout.jsonl --backbone BACKBONE

BACKBONE is a folder with a BERT-like encoder and its tokenizer, such as all-MiniLM-L6-v2 (22 million parameters). Without one a
small encoder is trained from scratch, with a vocabulary of the labelled texts. The folder is a reward model as the workflow
opens it. It is said how often the classifier is right about held-out text, and how often it gives a positive text more than a
negative one, beside how often the longer one is the positive one.
"""

import argparse
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow_scripts"))

from dpo_stages.data.prompts import instruction_text

TOKENS = 96  # of prompt and response
VOCABULARY = 12_000
BATCH = 32
# Prompt and response go on in one another: no token types, which the tokenizer's configuration keeps.
ONE_SEGMENT = ["input_ids", "attention_mask"]


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def small_encoder(rows: list[dict]):
    """An untrained encoder of two layers and a tokenizer of whole words and their parts."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    words = BertWordPieceTokenizer()
    texts = (text for row in rows for text in (instruction_text(row["prompt"]), row["response"]))
    words.train_from_iterator(texts, vocab_size=VOCABULARY, show_progress=False)
    tokenizer = BertTokenizerFast(
        tokenizer_object=words._tokenizer, model_max_length=2 * TOKENS, model_input_names=ONE_SEGMENT
    )
    config = BertConfig(
        vocab_size=words.get_vocab_size(),
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=2 * TOKENS,
        pad_token_id=tokenizer.pad_token_id,
        num_labels=1,
    )
    return BertForSequenceClassification(config), tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path, help="JSON Lines with prompt, response, positive")
    parser.add_argument("output", type=Path, help="folder for the classifier")
    parser.add_argument("--heldout", type=Path, required=True, help="the same, of other reviews")
    parser.add_argument("--backbone", type=Path, help="folder of an encoder; without it a small one from scratch")
    parser.add_argument(
        "--rows", type=int, default=4000, help="that are trained on; more than there are: several times"
    )
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(arguments.seed)
    draw = random.Random(arguments.seed)
    rows = read(arguments.labelled)
    if arguments.backbone:
        tokenizer = AutoTokenizer.from_pretrained(
            arguments.backbone, model_max_length=2 * TOKENS, model_input_names=ONE_SEGMENT
        )
        model = AutoModelForSequenceClassification.from_pretrained(arguments.backbone, num_labels=1)
    else:
        model, tokenizer = small_encoder(rows)

    def score(rows: list[dict]) -> torch.Tensor:
        batch = tokenizer(
            [instruction_text(row["prompt"]) for row in rows],
            [row["response"] for row in rows],
            truncation="longest_first",
            max_length=TOKENS,
            padding=True,
            return_tensors="pt",
        )
        return model(**batch).logits[:, 0]

    steps = arguments.rows // BATCH
    optimizer = torch.optim.AdamW(model.parameters(), lr=arguments.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (0.1 * steps), (steps - step) / (0.9 * steps))
    )
    waiting: list[dict] = []
    model.train()
    for step in range(steps):
        if len(waiting) < BATCH:
            waiting = draw.sample(rows, len(rows))
        batch = [waiting.pop() for _ in range(BATCH)]
        target = torch.tensor([float(row["positive"]) for row in batch])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(score(batch), target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.3f}", flush=True)
    model.eval()
    model.save_pretrained(arguments.output)
    tokenizer.save_pretrained(arguments.output)

    heldout = random.Random(1).sample(read(arguments.heldout), 1000)
    with torch.no_grad():
        values = [value for start in range(0, 1000, BATCH) for value in score(heldout[start : start + BATCH]).tolist()]
    right = sum((value > 0) == bool(row["positive"]) for row, value in zip(heldout, values, strict=True))
    positive, negative = (
        [(value, len(row["response"])) for row, value in zip(heldout, values, strict=True) if row["positive"] == label]
        for label in (1, 0)
    )
    pairs = [(one, other) for one in positive for other in negative]
    ordered = sum(one[0] > other[0] for one, other in pairs) / len(pairs)
    longer = sum((one[1] > other[1]) + (one[1] == other[1]) / 2 for one, other in pairs) / len(pairs)
    print(
        f"right about {right / 10:.1f} % of 1000 held-out texts; of a positive and a negative one the positive one has more"
    )
    print(f"in {100 * ordered:.1f} %, and is the longer one in {100 * longer:.1f} %")


if __name__ == "__main__":
    main()
