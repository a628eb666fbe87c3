"""Decide which candidate source a policy trains on next: what `auto` in a history stands for.

It is the source that the policy's boundary score recommends, or that leads its race, where that is decided, and the one of
--undecided where it is not, unless --by-hand names another; the decision says which of the three it was, and what was measured.
Of several boundary scores, one against each data set, it is a data set that comes before own samples, or own samples if they come
before all of them.
"""

import argparse
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.study.choices import BY_RACE, BY_SCORE, DECIDED, UNDECIDED, Standing, choose, rule_among
from dpo_stages.study.policies import RECOMMENDED

BOUNDARY = ("policy", "boundary_score", "interval", "verdict", "recommended_source")
AGAINST = (*BOUNDARY, "preference_data", "confidence")
RACE = ("policy", "leader", "out", "verdict", "reason", "standing")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measured = parser.add_mutually_exclusive_group(required=True)
    measured.add_argument(
        "--boundary", nargs="+", type=Path, metavar="JSON", help="of measure_boundary.py, one for each data set"
    )
    measured.add_argument("--race", type=Path, metavar="JSON", help="of decide_race.py, after its last look")
    parser.add_argument(
        "--undecided",
        required=True,
        metavar="SOURCE",
        help=f"take this source where the measurement is undecided; {RECOMMENDED}: the one that leads nevertheless",
    )
    parser.add_argument("--by-hand", metavar="SOURCE", help="take this source, whatever was measured")
    parser.add_argument("--output", type=Path, required=True, metavar="OUT.json")
    return parser.parse_args()


def read_measured(path: Path, what: str, names: tuple[str, ...]) -> dict:
    """What a measurement says, of which a decision keeps `names`."""
    from dpo_stages.core.files import read_json

    measured = read_json(path)
    if not isinstance(measured, dict) or any(name not in measured for name in names):
        raise BadInput(f"{path} is no {what}; it needs {', '.join(names)}")
    return {name: measured[name] for name in names}


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.files import write_json

    undecided = arguments.undecided
    if arguments.race is not None:
        measured, by = read_measured(arguments.race, "race", RACE), BY_RACE
        leads = measured["leader"]
        undecided = rule_among(undecided, [leads, *measured.pop("standing")])
    elif len(arguments.boundary) == 1:
        measured, by = read_measured(arguments.boundary[0], "boundary measurement", BOUNDARY), BY_SCORE
        leads = measured["recommended_source"]
    else:
        scores = [read_measured(path, "boundary measurement", AGAINST) for path in arguments.boundary]
        standing, by = Standing.of(scores), BY_SCORE
        leads, undecided = standing.leads, standing.rule(undecided)
        verdict = DECIDED if standing.decided else UNDECIDED
        measured = {"policy": scores[0]["policy"], "verdict": verdict, "order": standing.sentence(), "scores": scores}
    source, decided_by = choose(leads, measured["verdict"] == DECIDED, by, undecided, arguments.by_hand)
    decision = {"source": source, "decided_by": decided_by}
    write_json(arguments.output, {**decision, **measured})
    finish(arguments.output, 1, 1, {}, **decision, leads=leads, verdict=measured["verdict"])


if __name__ == "__main__":
    run(main)
