"""Make the page and the figure of a finished race, and clear away the checkpoints of the arms that are not trained on.

The checkpoint of the source that is taken stays: its policy is trained on from there.
"""

import argparse
import shutil
from dataclasses import asdict
from pathlib import Path

from dpo_stages.core.program import finish, run
from dpo_stages.report.baselines import add_held_out_flag


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--race", type=Path, required=True, metavar="JSON", help="of decide_race.py, after the last look")
    add(
        "--audits",
        nargs="+",
        type=Path,
        required=True,
        metavar="JSON",
        help="of audit_sources.py, for the same policy, one a data set",
    )
    add("--prompts", type=Path, required=True, metavar="PARQUET", help="of draw_race_prompts.py, for the cost")
    add("--undecided", required=True, metavar="SOURCE", help="what is trained on where the race is undecided")
    add("--by-hand", metavar="SOURCE", help="what is trained on whatever the race says")
    add("--yardstick", required=True, metavar="NAME", help="what compared the responses")
    add("--notes", nargs="+", default=[], metavar="SENTENCE", help="what takes weight from it")
    add_held_out_flag(parser)
    add("--checkpoints", nargs="*", default=[], metavar="ARM=FOLDER", help="checkpoints of the arms' trainings")
    add("--json", type=Path, required=True, metavar="OUT.json")
    add("--markdown", type=Path, required=True, metavar="OUT.md")
    add("--svg", type=Path, required=True, metavar="OUT.svg")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.files import read_json, replacing, write_json, write_text
    from dpo_stages.core.ledgers import ledger
    from dpo_stages.report.baselines import paragraph, read_held_out, warnings
    from dpo_stages.report.figures.race import draw
    from dpo_stages.report.figures.style import save
    from dpo_stages.report.race import as_markdown, cost
    from dpo_stages.study.choices import BY_RACE, choose, rule_among

    race, audits = read_json(arguments.race), [read_json(path) for path in arguments.audits]
    held_out = [read_held_out(path) for path in arguments.held_out]
    decided = race["verdict"] == "decided"
    undecided = rule_among(arguments.undecided, [race["leader"], *race["standing"]])
    source, decided_by = choose(race["leader"], decided, BY_RACE, undecided, arguments.by_hand)
    took = cost(race, ledger(arguments.prompts)["rows_out"], source)
    race |= {"source": source, "decided_by": decided_by, "yardstick": arguments.yardstick, "cost": asdict(took)}
    race["notes"] += warnings(held_out)
    notes = [*arguments.notes, *map(paragraph, held_out)]
    write_text(arguments.markdown, as_markdown(race, audits, arguments.svg.name, notes))
    with replacing(arguments.svg) as temporary:
        save(draw(race), temporary, "svg")
    write_json(arguments.json, race)
    for argument in arguments.checkpoints:
        arm, _, folder = argument.partition("=")
        if arm != source:
            shutil.rmtree(folder, ignore_errors=True)
    looks = len(race["looks"])
    finish(arguments.json, looks, looks, {}, verdict=race["verdict"], source=source, decided_by=decided_by)


if __name__ == "__main__":
    run(main)
