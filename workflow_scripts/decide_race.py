"""Decide how a race stands after its looks so far: which arms are beaten, and whether one has won.

The arms are those of candidate sources; the statistics are dpo_boundary's, which decide with the stated confidence over prompts,
orders and looks. Responses of one length are what counts where length control is valid (--length-control), else responses as
they are.
"""

import argparse
from pathlib import Path

from dpo_boundary import errors
from dpo_stages.core.arguments import confidence, positive_float, seed
from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import write_json
from dpo_stages.core.program import finish, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--looks", nargs="+", type=Path, required=True, metavar="PARQUET", help="of compare_racing_arms.py, so far")
    add("--shares", nargs="+", type=positive_float, required=True, help="of an epoch, all looks that may come")
    add("--confidence", type=confidence, required=True, help="of the decision")
    add("--seed", type=seed, required=True, help="of the order in which prompts are taken")
    add("--length-control", type=Path, metavar="JSON", help="of check_length_control.py: whether it is valid here")
    add("--policy", required=True, metavar="NAME", help="the initial policy")
    add("--output", type=Path, required=True, metavar="JSON")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    import pyarrow as pa

    from dpo_boundary.race import decide_race
    from dpo_stages.core.parquet import read_table
    from dpo_stages.data.schemas import RACE_LOOK
    from dpo_stages.evaluation.length_validity import read_length_control

    comparisons = pa.concat_tables([read_table(path, RACE_LOOK) for path in arguments.looks])
    try:
        race = decide_race(
            comparisons.to_pydict(),
            shares=arguments.shares,
            confidence=arguments.confidence,
            seed=arguments.seed,
            length_controlled=read_length_control(arguments.length_control)[0] is True,
        )
    except errors.BadInput as error:
        raise BadInput(f"{', '.join(map(str, arguments.looks))}: {error}") from error
    standing = [arm for arm in race.arms if arm not in race.out]
    found = {"policy": arguments.policy, **race.as_json(), "standing": standing, "paragraph": race.paragraph()}
    write_json(arguments.output, found)
    rows = comparisons.num_rows
    finish(arguments.output, rows, rows, {}, verdict=race.verdict, leader=race.leader, standing=len(standing))


if __name__ == "__main__":
    run(main)
