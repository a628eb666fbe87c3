"""Mix preference data of two sources: some prompts with their on-policy pair, all others with their off-policy pair.

The share of on-policy prompts is --percent, or follows from a boundary score s as s^2 / (s^2 + (1 - s)^2): half on the
boundary, and the more of a source the more often its candidates win. Which prompts they are, --seed decides. A prompt
that only one source has a pair for stays with that source and counts for the share; no prompt stands there twice.
"""

import argparse
from pathlib import Path

from dpo_stages.core.arguments import seed
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--on-policy", type=Path, required=True, metavar="PARQUET", help="preferences over the policy's own samples")
    add("--off-policy", type=Path, required=True, metavar="PARQUET", help="preferences over other candidates")
    share = parser.add_mutually_exclusive_group(required=True)
    share.add_argument("--percent", type=float, help="of the prompts are on-policy")
    share.add_argument("--boundary", type=Path, metavar="JSON", help="of measure_boundary.py; its score sets the share")
    add("--seed", type=seed, required=True, help="of the choice of prompts")
    add("--output", type=Path, required=True, metavar="PARQUET")
    arguments = parser.parse_args()
    if arguments.percent is not None and not 0 <= arguments.percent <= 100:
        raise BadInput(f"--percent is {arguments.percent:g}; give a number from 0 to 100")
    return arguments


def boundary_score(path: Path) -> float:
    """The score of a boundary measurement."""
    from dpo_stages.core.files import read_json

    measured = read_json(path)
    score = measured.get("boundary_score") if isinstance(measured, dict) else None
    if not isinstance(score, (int, float)) or not 0 <= score <= 1:
        raise BadInput(f"{path} is no boundary measurement: its boundary_score is {score!r}")
    return score


def main() -> None:
    arguments = parse_arguments()
    import pyarrow as pa
    import pyarrow.compute as pc

    from dpo_boundary.mixtures import blended_share, on_policy_prompts
    from dpo_stages.core.parquet import read_table, write_table
    from dpo_stages.data.schemas import PREFERENCES

    score = None if arguments.boundary is None else boundary_score(arguments.boundary)
    share = arguments.percent / 100 if score is None else blended_share(score)
    on_policy, off_policy = (read_table(path, PREFERENCES) for path in (arguments.on_policy, arguments.off_policy))
    names = [table["prompt_id"].to_pylist() for table in (on_policy, off_policy)]
    chosen = on_policy_prompts(*names, share, arguments.seed)
    taken = pa.array(sorted(chosen), pa.string())
    on_rows = on_policy.filter(pc.is_in(on_policy["prompt_id"], taken))
    off_rows = off_policy.filter(pc.invert(pc.is_in(off_policy["prompt_id"], taken)))
    rows = pa.concat_tables([on_rows, off_rows])
    if not rows.num_rows:
        raise BadInput(f"{arguments.on_policy} and {arguments.off_policy} have no pair; there is nothing to mix")
    write_table(arguments.output, rows.sort_by("prompt_id"), PREFERENCES)
    both = on_policy.num_rows + off_policy.num_rows
    finish(
        arguments.output,
        both,
        rows.num_rows,
        {"the other source's pair of a prompt": both - rows.num_rows},
        wanted_share=share,
        on_policy_share=on_rows.num_rows / rows.num_rows,
        on_policy_prompts=on_rows.num_rows,
        off_policy_prompts=off_rows.num_rows,
        **({} if score is None else {"boundary_score": score}),
    )


if __name__ == "__main__":
    run(main)
