"""Check whether length control is valid for an instruction set: are its length-gamed references as good as the reference?

A preference model that is not the judge, the witness, has compared both with the reference (judge_with_preference_model.py,
whose ledger beside its output says how many of its preferences hang on the order). Without it the result says that nothing
was tested.
"""

import argparse
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--judged", nargs=2, required=True, metavar="FILE", help="the judge's annotations.json of verbose and concise")
    add("--witnessed", nargs=2, type=Path, metavar="FILE", help="the witness's, in the same order; none: not tested")
    add("--witness", required=True, metavar="NAME", help="the preference model that is the witness, or would be")
    add(
        "--margin", type=float, required=True, metavar="POINTS", help="from 50, up to which a reference counts as equal"
    )
    add("--output", type=Path, required=True, metavar="JSON")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if not 0 < arguments.margin < 50:
        raise BadInput(f"--margin is {arguments.margin}; give points between 0 and 50")

    import numpy as np

    from dpo_stages.core.files import write_json
    from dpo_stages.core.ledgers import ledger
    from dpo_stages.evaluation.annotations import read_annotations
    from dpo_stages.evaluation.length_validity import VERSIONS, LengthValidity, arrays, compare_version
    from dpo_stages.judges.record import describe_judge

    versions, judges, rows_in, refused = {}, [], 0, 0
    for number, name in enumerate(VERSIONS):
        rows = read_annotations(arguments.judged[number])
        judge, lengths, reference_lengths = arrays(rows)
        judges.append(rows[0]["judge"])
        rows_in, refused = rows_in + len(rows), refused + int(np.isnan(judge).sum())
        if (~np.isnan(judge)).sum() < 2:
            raise BadInput(f"{arguments.judged[number]} has fewer than two judged rows; judge again")
        witness = flips = None
        if arguments.witnessed:
            file = arguments.witnessed[number]
            witnessed = read_annotations(file)
            if [_texts(row) for row in witnessed] != [_texts(row) for row in rows]:
                raise BadInput(
                    f"{file} and {arguments.judged[number]} are not about the same texts; compare them again"
                )
            witness, flips = arrays(witnessed)[0], ledger(file)["order_flip_rate"]
        versions[name] = compare_version(judge, lengths, reference_lengths, witness, flips, arguments.margin)
    if judges[0] != judges[1]:
        raise BadInput(f"{' and '.join(arguments.judged)} were judged by two judges; judge both with one")
    found = LengthValidity(
        **versions, margin=arguments.margin, judge=describe_judge(judges[0]), witness=arguments.witness
    )
    write_json(arguments.output, found.record())
    verdicts = {name: version.verdict for name, version in versions.items()}
    finish(
        arguments.output, rows_in, rows_in - refused, {"refused by the judge": refused}, valid=found.valid, **verdicts
    )


def _texts(row: dict) -> tuple:
    return row["index"], row["output_1"], row["output_2"]


if __name__ == "__main__":
    run(main)
