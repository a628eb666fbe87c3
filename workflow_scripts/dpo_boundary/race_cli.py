"""The command race: which of several training sources makes the better policy?"""

import argparse

from dpo_boundary.command import answer, confidence, seed
from dpo_boundary.files import FILES, STANDARD_INPUT

DESCRIPTION = """\
Decide a race: which of several training sources (arms) makes the better policy, as early in training as can be said?

One row of the comparisons is one comparison of two arms on one held-out prompt: prompt_id, arm_1, arm_2, arm_1_preferred
(1, 0, 0.5 for a tie, or anything between). The columns run (which training of each arm), share (of an epoch that the arms
were trained on) and length_1, length_2 are used where they are there. Files without the column share are looks, in the order
of --shares.

An arm is out as soon as another one beats it decidedly; the race is decided when one arm is left. The intervals hold other
prompts and other runs, and may be looked at as often as one likes.
"""


def main() -> None:
    """Print the race. Exit code 0, or 2 with one sentence on standard error where the input is at fault."""
    parser = argparse.ArgumentParser(
        "race", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("comparisons", nargs="*", default=[STANDARD_INPUT], metavar="FILE", help=f"{FILES} (default: standard input)")
    add("--shares", nargs="+", type=float, default=[], metavar="SHARE", help="of an epoch, all looks that may come")
    add("--confidence", type=confidence, default=0.95, help="of what is decided (default: 0.95)")
    add("--seed", type=seed, default=0, help="of the prompts' order (default: 0)")
    add("--run-sd", type=float, metavar="POINTS", help="standard deviation between runs that is expected")
    add("--run-df", type=float, metavar="NUMBER", help="degrees of freedom that the expectation is worth")
    add("--length-controlled", action="store_true", help="decide on scores between responses of one length")
    add("--json", action="store_true", help="print JSON instead of words")
    arguments = parser.parse_args()

    def make() -> tuple[dict, str]:
        from dpo_boundary.race import decide_race
        from dpo_boundary.race_columns import read_arm_comparisons

        prior = {"run_sd": arguments.run_sd, "run_df": arguments.run_df}
        race = decide_race(
            read_arm_comparisons(arguments.comparisons, arguments.shares),
            shares=arguments.shares,
            confidence=arguments.confidence,
            seed=arguments.seed,
            length_controlled=arguments.length_controlled,
            **{name: value for name, value in prior.items() if value is not None},
        )
        return race.as_json(), race.paragraph()

    answer("race", make, arguments.json)


if __name__ == "__main__":
    main()
