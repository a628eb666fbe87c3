"""Measure the boundary score of a policy: should it train next on off-policy or on on-policy candidates?

Algorithm 1 with any number of candidates. One row of the comparisons is one comparison of an on-policy candidate with
an off-policy one: prompt_id, on_index, off_index, on_policy_preferred (1, 0, or 0.5 for a tie). The columns order_flip,
on_length and off_length are used for warnings where they are there. Below 0.5 the policy is in preference injection and
off-policy candidates are recommended; otherwise it is in preference fine-tuning and on-policy candidates are.

With --sequential the prompts are taken in a seeded order in growing blocks, and the measurement ends as soon as an
anytime-valid confidence sequence leaves 0.5 out: it tells how many of the prompts would have been enough.
"""

import argparse
from pathlib import Path

from dpo_stages.argument_types import confidence, seed
from dpo_stages.program import BadInput, finish, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--comparisons", type=Path, required=True, metavar="FILE", help="Parquet or CSV file")
    add("--output", type=Path, required=True, metavar="OUT.json", help="the measurement; OUT.md says it in words")
    add("--confidence", type=confidence, default=0.95, help="level of the interval (default: 0.95)")
    add("--sequential", action="store_true", help="stop as soon as the stage is decided")
    add("--seed", type=seed, default=0, help="of the prompts' order, for blocks and halves (default: 0)")
    add("--robustness", action="store_true", help="add the decision on parts of the comparisons")
    add("--second-opinion", nargs="+", default=[], metavar="NAME=FILE", help="comparisons under other models")
    add("--policy", default="policy", help="name of the policy, for the result")
    add("--preference-model", metavar="NAME", help="name of what compared, for the result")
    add("--preference-data", metavar="NAME", help="name of the off-policy candidates' data set, for the result")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.output.suffix != ".json" or arguments.output.is_dir():
        raise BadInput(f"--output {arguments.output} is no name of a JSON file; end it in .json")
    from dpo_stages.boundary import measure_boundary, read_comparisons
    from dpo_stages.files import write_json, write_text

    comparisons = read_comparisons(arguments.comparisons)
    measured = measure_boundary(
        comparisons,
        confidence=arguments.confidence,
        sequential=arguments.sequential,
        seed=arguments.seed,
        policy=arguments.policy,
        preference_model=arguments.preference_model,
        preference_data=arguments.preference_data,
    )
    result, words = measured.as_json(), measured.paragraph()
    if arguments.robustness or arguments.second_opinion:
        from dpo_stages.robustness import as_markdown, look_again

        others = {}
        for opinion in arguments.second_opinion:
            name, _, file = opinion.partition("=")
            if not name or not file:
                raise BadInput(f"--second-opinion {opinion} is not of the form NAME=FILE")
            others[name] = read_comparisons(Path(file))
        looks = look_again(
            comparisons, confidence=arguments.confidence, seed=arguments.seed, other_preference_models=others
        )
        result["robustness"] = [look.as_json() for look in looks]
        words += "\n" + as_markdown(looks)
    write_text(arguments.output.with_suffix(".md"), words)
    write_json(arguments.output, result)
    finish(
        arguments.output,
        rows_in=len(comparisons),
        rows_out=measured.comparisons,
        dropped={"not needed for the decision": len(comparisons) - measured.comparisons},
        prompts=measured.prompts,
        boundary_score=measured.boundary_score,
        stage=measured.stage,
        verdict=measured.verdict,
    )


if __name__ == "__main__":
    run(main)
