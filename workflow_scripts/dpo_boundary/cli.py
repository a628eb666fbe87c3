"""The command measure-boundary: should a policy train next on off-policy candidates or on its own?"""

import argparse
from collections.abc import Sequence
from typing import Any

from dpo_boundary.command import answer, confidence, seed
from dpo_boundary.errors import BadInput
from dpo_boundary.files import FILES, STANDARD_INPUT

DESCRIPTION = """\
Measure the boundary score of a policy: should it train next on off-policy or on on-policy candidates?

Algorithm 1 with any number of candidates. One row of the comparisons is one comparison of an on-policy candidate with
an off-policy one: prompt_id, on_index, off_index, on_policy_preferred (1, 0, or 0.5 for a tie). The columns order_flip,
on_length, off_length and on_truncated (the on-policy one was cut at the limit of its length) are used for warnings where they
are there. Below 0.5 the policy is in preference injection and off-policy candidates are recommended; otherwise it is in
preference fine-tuning and on-policy candidates are.

With --sequential the prompts are taken in a seeded order in growing blocks, and the measurement ends as soon as an
anytime-valid confidence sequence leaves 0.5 out: it tells how many of the prompts would have been enough.
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `measure` reads, but for the comparisons themselves."""
    add = parser.add_argument
    add("--confidence", type=confidence, default=0.95, help="level of the interval (default: 0.95)")
    add("--sequential", action="store_true", help="stop as soon as the stage is decided")
    add("--seed", type=seed, default=0, help="of the prompts' order, for blocks and halves (default: 0)")
    add("--robustness", action="store_true", help="add the decision on parts of the comparisons")
    add("--second-opinion", nargs="+", default=[], metavar="NAME=FILE", help="comparisons under other models")
    add("--policy", default="policy", help="name of the policy, for the result")
    add("--preference-model", metavar="NAME", help="name of what compared, for the result")
    add("--preference-data", metavar="NAME", help="name of the off-policy candidates' data set, for the result")


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Any], str, int]:
    """Measure as the flags say.

    Returns:
        The measurement as plain JSON values, the same in words (Markdown), and the number of comparisons that were read.

    Raises:
        BadInput: see `measure_boundary` and `read_comparisons`.
    """
    from dpo_boundary.measurement import measure_boundary
    from dpo_boundary.reading import read_comparisons
    from dpo_boundary.robustness import as_markdown, look_again

    opinions = _files_by_name(arguments.second_opinion)
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
        others = {name: read_comparisons(file) for name, file in opinions.items()}
        looks = look_again(
            comparisons, confidence=arguments.confidence, seed=arguments.seed, other_preference_models=others
        )
        result["robustness"] = [look.as_json() for look in looks]
        words += "\n" + as_markdown(looks)
    return result, words, len(comparisons)


def _files_by_name(opinions: Sequence[str]) -> dict[str, str]:
    """Files of second opinions by the names of who gave them."""
    files: dict[str, str] = {}
    for opinion in opinions:
        name, _, file = opinion.partition("=")
        if not name or not file:
            raise BadInput(f"--second-opinion {opinion} is not of the form NAME=FILE")
        if name in files:
            raise BadInput(f"--second-opinion has the name {name} twice; give each file a name of its own")
        files[name] = file
    return files


def main() -> None:
    """Print the measurement. Exit code 0, or 2 with one sentence on standard error where the input is at fault."""
    parser = argparse.ArgumentParser(
        "measure-boundary", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "comparisons", nargs="?", default=STANDARD_INPUT, metavar="FILE", help=f"{FILES} (default: standard input)"
    )
    add_flags(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of words")
    arguments = parser.parse_args()
    answer("measure-boundary", lambda: measure(arguments)[:2], arguments.json)


if __name__ == "__main__":
    main()
