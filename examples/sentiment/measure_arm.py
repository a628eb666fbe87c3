"""What two classifiers say of a trained policy's samples beside the initial policy's, and of the pairs it was trained on.

Both policies have two responses to each held-out prompt; every two of different policies are compared. For each prompt and classifier
it is kept by how much the trained policy's reward is higher (in logits) and how often it is; for each pair that was trained
on, how much more reward the chosen response has. Of both policies' texts: their length, how many were cut, and how much they repeat.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow_scripts"))

import numpy as np

from dpo_stages.core.parquet import read_table
from dpo_stages.core.program import finish, run
from dpo_stages.data.schemas import PREFERENCES, SAMPLED_CANDIDATES
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.pairs import Pair, ask


def repeated(text: str) -> float:
    """Share of a text's sequences of three words that stood in it before."""
    words = text.lower().split()
    triples = list(zip(words, words[1:], words[2:], strict=False))
    return 1 - len(set(triples)) / len(triples) if triples else 0.0


def looks(samples: dict[str, dict]) -> dict[str, float]:
    """Means over all responses: length in tokens, share that was cut, share of triples of words that are repeated."""
    rows = [(row, number) for row in samples.values() for number in (1, 2)]
    return {
        "tokens": float(np.mean([row[f"tokens_{number}"] for row, number in rows])),
        "truncated": float(np.mean([row[f"truncated_{number}"] for row, number in rows])),
        "repeated": float(np.mean([repeated(row[f"response_{number}"]) for row, number in rows])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--samples", type=Path, required=True, help="the trained policy's, of sample_candidates.py")
    add("--initial", type=Path, required=True, help="the initial policy's, to the same prompts")
    add("--preferences", type=Path, required=True, help="pairs that it was trained on")
    add(
        "--classifiers", type=Path, nargs="+", required=True, help="manifests: the one that labels, the one that judges"
    )
    add("--output", type=Path, required=True, help="JSON")
    arguments = parser.parse_args()
    samples, initial = (
        {row["prompt_id"]: row for row in read_table(path, SAMPLED_CANDIDATES).to_pylist()}
        for path in (arguments.samples, arguments.initial)
    )
    prompts = sorted(samples)
    comparisons = [
        Pair(samples[name]["prompt"], samples[name][f"response_{own}"], initial[name][f"response_{other}"])
        for name in prompts
        for own in (1, 2)
        for other in (1, 2)
    ]
    preferences = read_table(arguments.preferences, PREFERENCES).to_pylist()
    trained = [Pair(row["prompt"], row["chosen"], row["rejected"]) for row in preferences]
    classifiers = {}
    for manifest in arguments.classifiers:
        model = open_preference_model(manifest)
        logits, of_pairs = (ask(model, pairs)[0].logits.astype(float) for pairs in (comparisons, trained))
        by_prompt = logits.reshape(-1, 4)
        wins = (1 + np.sign(by_prompt)) / 2
        classifiers[model.name] = {
            "reward": by_prompt.mean(axis=1).tolist(),
            "win_rate": wins.mean(axis=1).tolist(),
            "pairs": of_pairs.tolist(),
        }
    texts = {"trained": looks(samples), "initial": looks(initial)}
    kept = {"prompts": prompts, "classifiers": classifiers, **texts}
    arguments.output.write_text(json.dumps(kept) + "\n", encoding="utf-8")
    finish(arguments.output, len(comparisons), len(comparisons), {}, tokens=texts["trained"]["tokens"])


if __name__ == "__main__":
    run(main)
