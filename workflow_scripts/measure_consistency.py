"""Measure the preference consistency of a policy with the preference model: Definition 5.5, equations 10 and 11.

Algorithm 1 assumes that a policy always finds its own responses likelier than off-policy ones, which turns the
consistency into the boundary score. Here the policy's log-probabilities decide, comparison by comparison, and the
result holds both: what the log-probabilities say, what the shortcut says, and how often the assumption is right, which
is the policy's figure of Table 8. Comparisons of prompts without log-probabilities are counted and left out.
"""

import argparse
from pathlib import Path

from dpo_boundary import errors
from dpo_stages.core.arguments import confidence
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--comparisons", type=Path, required=True, metavar="PARQUET", help="of compare_candidates.py")
    add("--likelihoods", type=Path, required=True, metavar="PARQUET", help="of compute_likelihoods.py, same candidates")
    add("--policy", required=True, help="name of the policy, for the result")
    add("--preference-model", required=True, metavar="NAME", help="name of what compared, for the result")
    add("--preference-data", required=True, metavar="NAME", help="name of the off-policy candidates' data set")
    add("--confidence", type=confidence, required=True, help="level of the intervals")
    add("--output", type=Path, required=True, metavar="OUT.json")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_boundary.consistency import logps_of_comparisons, preference_consistency
    from dpo_stages.core.files import write_json
    from dpo_stages.core.parquet import read_table
    from dpo_stages.data.schemas import COMPARISONS, LIKELIHOODS

    comparisons = read_table(arguments.comparisons, COMPARISONS).to_pylist()
    likelihoods = read_table(arguments.likelihoods, LIKELIHOODS).to_pylist()
    kept, on_logps, off_logps = logps_of_comparisons(comparisons, likelihoods)
    if not kept:
        raise BadInput(
            f"{arguments.comparisons} and {arguments.likelihoods} share no prompt; give files of one policy and split"
        )
    measured = preference_consistency(kept, on_logps, off_logps, confidence=arguments.confidence)
    names = {name: getattr(arguments, name) for name in ("policy", "preference_model", "preference_data")}
    write_json(arguments.output, names | measured.as_json())
    finish(
        arguments.output,
        rows_in=len(comparisons),
        rows_out=len(kept),
        dropped={"without log-probabilities": len(comparisons) - len(kept)},
        on_policy_likelier=measured.on_policy_likelier,
        consistency=measured.consistency,
        boundary_score=measured.boundary_score,
        recommended_source=f"{measured.recommended_source} ({measured.verdict})",
        shortcut_source=f"{measured.shortcut_source} ({measured.shortcut_verdict})",
    )


if __name__ == "__main__":
    run(main, errors.BadInput)
