"""Measure the boundary score of a policy: should it train next on off-policy or on on-policy candidates?

Algorithm 1 with any number of candidates. One row of the comparisons is one comparison of an on-policy candidate with
an off-policy one: prompt_id, on_index, off_index, on_policy_preferred (1, 0, or 0.5 for a tie). The columns order_flip,
on_length and off_length are used for warnings where they are there. Below 0.5 the policy is in preference injection and
off-policy candidates are recommended; otherwise it is in preference fine-tuning and on-policy candidates are.
"""

import argparse
from pathlib import Path

from dpo_stages.program import finish, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=Path, required=True, metavar="FILE", help="Parquet or CSV file")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="OUT.json", help="the measurement; OUT.md says it in words"
    )
    parser.add_argument("--confidence", type=float, default=0.95, help="level of the interval (default: 0.95)")
    parser.add_argument("--policy", default="policy", help="name of the policy, for the result")
    parser.add_argument("--preference-model", metavar="NAME", help="name of what compared, for the result")
    parser.add_argument("--preference-data", metavar="NAME", help="name of their data set, for the result")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.boundary import measure_boundary, read_comparisons
    from dpo_stages.files import write_json, write_text

    comparisons = read_comparisons(arguments.comparisons)
    measured = measure_boundary(
        comparisons,
        confidence=arguments.confidence,
        policy=arguments.policy,
        preference_model=arguments.preference_model,
        preference_data=arguments.preference_data,
    )
    write_text(arguments.output.with_suffix(".md"), measured.paragraph())
    write_json(arguments.output, measured.as_json())
    finish(
        arguments.output,
        rows_in=len(comparisons),
        rows_out=measured.comparisons,
        dropped={},
        prompts=measured.prompts,
        boundary_score=measured.boundary_score,
        stage=measured.stage,
        verdict=measured.verdict,
    )


if __name__ == "__main__":
    run(main)
