"""Decide which candidate source a policy trains on next: what `auto` in a history stands for.

It is the source that the policy's boundary measurement recommends where that is decided, and the one of --undecided where it
is not, unless --by-hand names another; the decision says which of the three it was, and what the measurement said.
"""

import argparse
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.study.policies import RECOMMENDED

MEASURED = ("policy", "boundary_score", "interval", "verdict", "recommended_source")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boundary", type=Path, required=True, metavar="JSON", help="of measure_boundary.py")
    parser.add_argument(
        "--undecided",
        required=True,
        metavar="SOURCE",
        help=f"take this source where the boundary is undecided; {RECOMMENDED}: what the score says nevertheless",
    )
    parser.add_argument("--by-hand", metavar="SOURCE", help="take this source, whatever was measured")
    parser.add_argument("--output", type=Path, required=True, metavar="OUT.json")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.files import read_json, write_json

    measured = read_json(arguments.boundary)
    if not isinstance(measured, dict) or any(name not in measured for name in MEASURED):
        raise BadInput(f"{arguments.boundary} is no boundary measurement; it needs {', '.join(MEASURED)}")
    if arguments.by_hand is not None:
        decision = {"source": arguments.by_hand, "decided_by": "hand"}
    elif measured["verdict"] == "decided" or arguments.undecided == RECOMMENDED:
        decision = {"source": measured["recommended_source"], "decided_by": "boundary score"}
    else:
        decision = {"source": arguments.undecided, "decided_by": "the rule for undecided scores"}
    write_json(arguments.output, {**decision, **{name: measured[name] for name in MEASURED}})
    finish(arguments.output, 1, 1, {}, **decision, boundary_score=measured["boundary_score"])


if __name__ == "__main__":
    run(main)
