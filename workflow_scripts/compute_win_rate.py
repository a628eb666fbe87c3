"""Win rate and, unless --plain is given, length-controlled win rate of one or several policies, with intervals.

By alpaca-eval's own code, from annotations.json of this workflow or of alpaca-eval's own command, or from AlpacaEval's
judgements as numbers (CSV, also gzipped, with the columns index, len_1, len_2 and preference, where output 1 is the
reference's).
"""

import argparse
import sys

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.evaluation.difficulties import PUBLISHED, read_difficulties, without_difficulties


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", nargs="+", required=True, metavar="FILE", help="judgements of each policy")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--gamed-baselines",
        metavar="CSV",
        help="length-gamed baselines and difficulties of the instruction set, from fit_instruction_difficulty.py; "
        "default: those of AlpacaEval's 805 instructions",
    )
    which.add_argument(
        "--length-alone",
        action="store_true",
        help="difficulties are not known: control for length and nothing else",
    )
    which.add_argument("--plain", action="store_true", help="no length control: the plain win rate alone")
    parser.add_argument("--output", nargs="+", required=True, metavar="FILE", help="win_rate.json of each policy")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if len(arguments.annotations) != len(arguments.output):
        raise BadInput(
            f"{len(arguments.annotations)} --annotations but {len(arguments.output)} --output; give one each"
        )

    from dpo_stages.evaluation.judgements import read_judgements
    from dpo_stages.evaluation.win_rate import compute_win_rate, write_win_rate
    from dpo_stages.judges.record import name_rows

    known = not (arguments.length_alone or arguments.plain)
    difficulties = read_difficulties(arguments.gamed_baselines or PUBLISHED) if known else None
    policies = [read_judgements(path) for path in arguments.annotations]
    for judgements, output in zip(policies, arguments.output, strict=True):
        alone = without_difficulties(judgements) if arguments.length_alone else None
        result = compute_win_rate(judgements, difficulties or alone)
        write_win_rate(output, result)
        figures = result.figures
        if missing := figures["missing_instructions"]:
            print(f"compute_win_rate: {judgements.source} lacks {name_rows(missing)} of the set", file=sys.stderr)
        controlled = {}
        if not arguments.plain:
            low, high = figures["lc_interval"]
            controlled = {"lc_win_rate": figures["lc_win_rate"], "lc_interval": f"{low:.2f} to {high:.2f}"}
        finish(
            output,
            len(judgements.index),
            figures["instructions"],
            {"without a preference": len(judgements.index) - figures["instructions"]},
            policy=figures["policy"],
            **controlled,
            win_rate=figures["win_rate"],
            missing=len(missing),
        )


if __name__ == "__main__":
    run(main)
