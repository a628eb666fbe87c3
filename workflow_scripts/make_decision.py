"""Decide which candidate source a policy trains on next: what `auto` in a history stands for.

It is the source that the policy's boundary measurement recommends, whether that is decided or not, unless --by-hand names
another; the decision says which of the two it was, and what the measurement said.
"""

import argparse
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run

MEASURED = ("policy", "boundary_score", "interval", "verdict", "recommended_source")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boundary", type=Path, required=True, metavar="JSON", help="of measure_boundary.py")
    parser.add_argument("--by-hand", metavar="SOURCE", help="take this source, whatever was measured")
    parser.add_argument("--output", type=Path, required=True, metavar="OUT.json")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.files import read_json, write_json

    measured = read_json(arguments.boundary)
    if not isinstance(measured, dict) or any(name not in measured for name in MEASURED):
        raise BadInput(f"{arguments.boundary} is no boundary measurement; it needs {', '.join(MEASURED)}")
    by_hand = arguments.by_hand is not None
    source = arguments.by_hand if by_hand else measured["recommended_source"]
    decision = {"source": source, "decided_by": "hand" if by_hand else "boundary score"}
    write_json(arguments.output, {**decision, **{name: measured[name] for name in MEASURED}})
    finish(arguments.output, 1, 1, {}, **decision, boundary_score=measured["boundary_score"])


if __name__ == "__main__":
    run(main)
