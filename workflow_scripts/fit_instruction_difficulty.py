"""Fit the difficulty of every instruction of a set, jointly over the policies of a study.

Length-controlled win rates need difficulties. AlpacaEval publishes those of its own 805 instructions; for any other set
they are fitted here, with the two length-gamed versions of the set's own reference. All annotations must come from one
judge and cover the same instructions.
"""

import argparse

from dpo_stages.core.program import finish, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--annotations", nargs="+", required=True, metavar="FILE", help="annotations.json of each policy"
    )
    parser.add_argument("--verbose", required=True, metavar="FILE", help="annotations of the reference made verbose")
    parser.add_argument("--concise", required=True, metavar="FILE", help="annotations of the reference made concise")
    parser.add_argument("--output", required=True, metavar="CSV", help="gamed baselines and difficulties")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()

    from dpo_stages.evaluation.difficulties import fit_difficulties_of_set, write_difficulties
    from dpo_stages.evaluation.judgements import read_judgements

    policies = [read_judgements(path) for path in arguments.annotations]
    verbose, concise = read_judgements(arguments.verbose), read_judgements(arguments.concise)
    difficulties = fit_difficulties_of_set(policies, verbose, concise)
    write_difficulties(arguments.output, difficulties)
    everyone = (*policies, verbose, concise)
    rows_in = sum(len(judgements.index) for judgements in everyone)
    spread = float(difficulties.gamed.difficulty.std())
    finish(
        arguments.output,
        rows_in,
        len(difficulties.gamed.index),
        {},
        policies=len(policies),
        instructions=len(difficulties.indices),
        without_preference=rows_in - sum(int(judgements.judged.sum()) for judgements in everyone),
        spread_of_difficulty=spread,
    )


if __name__ == "__main__":
    run(main)
