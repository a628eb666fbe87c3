import argparse
from pathlib import Path

from dpo_boundary import cli, errors
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.report.baselines import add_held_out_flag

__doc__ = cli.DESCRIPTION


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", required=True, metavar="FILE", help=cli.FILES)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="OUT.json", help="the measurement; OUT.md says it in words"
    )
    parser.add_argument(
        "--notes", nargs="+", default=[], metavar="SENTENCES", help="what OUT.md says besides, a paragraph each"
    )
    add_held_out_flag(parser)
    cli.add_flags(parser)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.output.suffix != ".json" or arguments.output.is_dir():
        raise BadInput(f"--output {arguments.output} is no name of a JSON file; end it in .json")
    from dpo_stages.core.files import write_json, write_text
    from dpo_stages.report.baselines import read_held_out, with_held_out

    measured = [read_held_out(path) for path in arguments.held_out]
    result, words, comparisons = cli.measure(arguments)
    result, said = with_held_out(result, measured)
    notes = (f"{note}\n" for note in (*said, *arguments.notes))
    write_text(arguments.output.with_suffix(".md"), "\n".join([words, *notes]))
    write_json(arguments.output, result)
    finish(
        arguments.output,
        rows_in=comparisons,
        rows_out=result["comparisons"],
        dropped={"not needed for the decision": comparisons - result["comparisons"]},
        **{name: result[name] for name in ("prompts", "boundary_score", "stage", "verdict")},
    )


if __name__ == "__main__":
    run(main, errors.BadInput)
