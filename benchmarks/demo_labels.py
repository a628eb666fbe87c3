"""How much better is the chosen response of each data source of the demo, by the hidden quality that labels never see?

    envs/run workflow benchmarks/demo_labels.py        after `make demo`

One line a source: the share of pairs in which the chosen response has the higher quality (ties left out), the mean
quality gained by choosing, and the mean quality of all responses. Prints Markdown.
"""

import sys
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from dpo_stages.core.files import read_json  # noqa: E402
from dpo_stages.core.parquet import read_table  # noqa: E402
from dpo_stages.data.schemas import PREFERENCES  # noqa: E402
from dpo_stages.demo.quality import quality  # noqa: E402

MODELS = ("tiny-llama", "tiny-mistral", "tiny-phi")
ORIGINS = ("demo-preferences", *(f"{model}/{policy}" for model in MODELS for policy in ("sft", "dpo/off", "dpo/on")))


def main() -> None:
    facts = read_json(ROOT / "results/demo/world/facts.json")
    print("| responses of | chosen is better | quality gained by choosing | mean quality |\n|---|---|---|---|")
    for origin in ORIGINS:
        rows = read_table(ROOT / f"results/preferences/{origin}/train.parquet", PREFERENCES).to_pylist()
        pairs = [
            tuple(quality(facts, row["prompt"][-1]["content"], row[side]) for side in ("chosen", "rejected"))
            for row in rows
        ]
        unequal = [chosen > rejected for chosen, rejected in pairs if chosen != rejected]
        gained = fmean(chosen - rejected for chosen, rejected in pairs)
        print(f"| {origin} | {fmean(unequal):.0%} | {gained:.2f} | {fmean(sum(pair) / 2 for pair in pairs):.2f} |")


if __name__ == "__main__":
    main()
