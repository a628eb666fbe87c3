"""Make the data of controlled sentiment from film reviews: preference pairs of real text, and labelled text for two classifiers.

    python examples/sentiment/make_data.py --reviews aclImdb --output data/sentiment

aclImdb is the Large Movie Review Dataset (Maas et al., 2011): train/pos, train/neg, test/pos and test/neg with one review a file.
It is not shipped here.

A preference pair is two reviews that open with the same four words. The prompt asks to continue these; chosen is how a positive
review goes on, rejected how a negative one does, whole sentences of up to 30 words. No opening and no review is used twice. Half of
the reviews are for these pairs, a fifth for either classifier, the rest measures the classifiers. Classifiers read what a
policy is asked and what it writes: the beginning and the end of each review, cut after four words.
"""

import argparse
import json
import random
import re
from collections import defaultdict
from pathlib import Path

OPENING = 4  # words
CONTINUATION = 12, 30  # words, shortest and longest
WINDOW = 15, 40
PARTS = {"pairs": 0.5, "labelled_a": 0.2, "labelled_b": 0.2, "labelled_heldout": 0.1}
SPLITS = {"train": 88, "test": 104, "other": 80}  # openings; the last to choose a learning rate on


def read_reviews(folder: Path) -> list[tuple[bool, str]]:
    """Whether a review is positive, and its text; each text once, in an order that depends on nothing but the texts."""
    reviews = {}
    for part in ("train", "test"):
        for sentiment in ("pos", "neg"):
            for path in sorted((folder / part / sentiment).glob("*.txt")):
                text = re.sub(r"<br\s*/?>|\s", " ", path.read_text(encoding="utf-8"))
                reviews[" ".join(text.split())] = sentiment == "pos"
    shuffled = sorted(reviews)
    random.Random(0).shuffle(shuffled)
    return [(reviews[text], text) for text in shuffled]


def asked(opening: str) -> list[dict[str, str]]:
    """The prompt that asks to continue a review."""
    return [
        {"role": "system", "content": "You write film reviews."},
        {"role": "user", "content": f"Continue this film review: {opening}"},
    ]


def continuation(words: list[str]) -> str | None:
    """Whole sentences at the beginning of these words, None where there are none of a fitting length."""
    text = " ".join(words[: CONTINUATION[1] + 1])
    ends = [match.end() for match in re.finditer(r"[.!?](?= )", text)]
    return text[: ends[-1]] if ends and len(text[: ends[-1]].split()) >= CONTINUATION[0] else None


def make_pairs(reviews: list[tuple[bool, str]]) -> list[dict]:
    """A pair of every opening that a positive and a negative review share."""
    found = defaultdict(dict)
    for positive, text in reviews:
        words = text.split()
        if response := continuation(words[OPENING:]):
            found[" ".join(words[:OPENING])].setdefault(positive, response)
    pairs = [
        {"prompt": asked(opening), "chosen": of[True], "rejected": of[False]}
        for opening, of in sorted(found.items())
        if len(of) == 2
    ]
    random.Random(1).shuffle(pairs)
    return pairs


def windows(reviews: list[tuple[bool, str]]) -> list[dict]:
    """The beginning and the end of each review, as a prompt and a response of 15 to 40 words."""
    draw = random.Random(2)
    rows = []
    for positive, text in reviews:
        words = text.split()
        longest = OPENING + WINDOW[1]
        if len(words) >= 2 * longest:
            for start in (0, len(words) - longest):
                opening, rest = words[start : start + OPENING], words[start + OPENING : start + longest]
                length = draw.randint(*WINDOW)
                rest = rest[:length] if start == 0 else rest[-length:]
                rows.append({"prompt": asked(" ".join(opening)), "response": " ".join(rest), "positive": int(positive)})
    return rows


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{path}: {len(rows)} rows")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--reviews", type=Path, required=True, help="folder with train/pos, train/neg, test/pos, test/neg"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the JSON Lines files")
    arguments = parser.parse_args()
    reviews = read_reviews(arguments.reviews)
    if not reviews:
        parser.error(f"{arguments.reviews} has no train/pos/*.txt; give the folder aclImdb")
    start, parts = 0, {}
    for name, share in PARTS.items():
        end = start + round(share * len(reviews))
        parts[name], start = reviews[start:end], end
    pairs = make_pairs(parts.pop("pairs"))
    if len(pairs) < sum(SPLITS.values()):
        parser.error(f"{arguments.reviews} gives {len(pairs)} pairs of {sum(SPLITS.values())}; give all of aclImdb")
    for name, rows in SPLITS.items():
        write(arguments.output / f"{name}.jsonl", pairs[:rows])
        pairs = pairs[rows:]
    for name, part in parts.items():
        write(arguments.output / f"{name}.jsonl", windows(part))


if __name__ == "__main__":
    main()
