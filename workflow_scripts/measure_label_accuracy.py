"""Measure how often the preference model's labels are right, by the hidden quality of the demo's world.

Nothing that learns sees the truth. The share of pairs whose chosen response is better stands beside what two trivial judges get of the
same pairs, who take the longer response and the first one; pairs of equal quality are left out and counted. It is also told by what tells the two responses apart and by the true gap in quality, so
that sources can be compared at equal gaps.
"""

import argparse
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import write_json
from dpo_stages.core.parquet import read_table
from dpo_stages.core.program import finish, run
from dpo_stages.data.schemas import PREFERENCES
from dpo_stages.demo.label_accuracy import label_accuracy
from dpo_stages.demo.world import read_facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--preferences", type=Path, required=True, metavar="PARQUET", help="of label_preferences.py")
    add("--facts", type=Path, required=True, metavar="JSON", help="facts.json of make_demo_world.py")
    add("--output", type=Path, required=True, metavar="JSON")
    arguments = parser.parse_args()
    facts = read_facts(arguments.facts)
    try:
        found = label_accuracy(facts, read_table(arguments.preferences, PREFERENCES).to_pylist())
    except ValueError as error:
        raise BadInput(f"{arguments.preferences}: {error}; only the demo's world has a truth to ask") from error
    write_json(arguments.output, found)
    decided, ties = found["decided"], found["ties"]
    trivial = found["baselines"]
    figures = {name: trivial[name]["estimate"] for name in ("longer", "first")} if trivial else {}
    finish(arguments.output, found["pairs"], decided, {"of equal quality": ties}, accuracy=found["accuracy"], **figures)


if __name__ == "__main__":
    run(main)
