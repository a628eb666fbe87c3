"""Write Table 10 of the paper: what every policy of one model answers to one short instruction of the evaluation.

The instruction is chosen by a rule that looks at lengths alone, see dpo_stages/report/tables/responses.py; the table says it.
"""

import argparse
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.report.table import table_parser


def parse_arguments() -> argparse.Namespace:
    parser = table_parser(__doc__)
    add = parser.add_argument
    add(
        "--policies", nargs="+", required=True, metavar="POLICY", help="the policies of one model, in the table's order"
    )
    add("--outputs", nargs="+", type=Path, required=True, metavar="FILE", help="model_outputs.json of each policy")
    add("--instructions", type=Path, required=True, metavar="PARQUET", help="the instruction set with its references")
    add("--model-label", required=True, metavar="TEXT", help="the model's name in the table")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if len(arguments.policies) != len(arguments.outputs):
        raise BadInput(f"{len(arguments.policies)} --policies but {len(arguments.outputs)} --outputs; give one each")

    from dpo_stages.core.parquet import read_table
    from dpo_stages.data.schemas import INSTRUCTIONS
    from dpo_stages.evaluation.annotations import read_rows
    from dpo_stages.report.tables import responses
    from dpo_stages.study.policies import Policy

    outputs = {
        policy: {row["index"]: row for row in read_rows(path, ("index", "output"))}
        for policy, path in zip(arguments.policies, arguments.outputs, strict=True)
    }
    references = {row["index"]: row for row in read_table(arguments.instructions, INSTRUCTIONS).to_pylist()}
    for policy, path in zip(arguments.policies, arguments.outputs, strict=True):
        if outputs[policy].keys() != references.keys():
            raise BadInput(f"{path} does not answer the instructions of {arguments.instructions}; generate it again")
    index = responses.choose_instruction(outputs)
    rows = [
        {"policy": "", "label": "Instruction", "text": references[index]["instruction"]},
        {"policy": "", "label": "Reference output", "text": references[index]["reference"]},
    ]
    for policy in arguments.policies:
        name = responses.label(arguments.model_label, Policy.parse(policy).history)
        rows.append({"policy": policy, "label": name, "text": outputs[policy][index]["output"]})
    responses.table(rows, index, responses.rule_in_words(outputs, index)).write(arguments.csv)
    finish(arguments.csv, len(references), len(rows), {}, instruction=index)


if __name__ == "__main__":
    run(main)
