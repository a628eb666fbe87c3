"""Write the report: one HTML page with the answers, tables, figures, sample responses, provenance and cost of a study.

The page is whole in itself, without scripts and without anything from the network.
"""

import argparse
import json
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.report.baselines import add_held_out_flag


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--study", required=True, metavar="JSON", help="what the study is, by the names that the page shows")
    add("--policy-tables", nargs="+", type=Path, required=True, metavar="CSV", help="files of make_table.py")
    add("--tables", nargs="+", type=Path, required=True, metavar="JSON", help="tables in the page's order")
    add("--figures", nargs="*", type=Path, default=[], metavar="SVG", help="figures in the page's order")
    add("--captions", nargs="*", default=[], metavar="TEXT", help="one a figure")
    add("--comparison", type=Path, metavar="CSV", help="of make_comparison.py, its JSON beside it")
    add("--responses", type=Path, metavar="CSV", help="of make_table10.py")
    add("--rules", type=Path, required=True, metavar="SVG", help="of draw_rule_graph.py")
    add("--cost", type=Path, required=True, metavar="CSV", help="of plan_study.py")
    add(
        "--judgements", nargs="+", type=Path, required=True, metavar="FILE", help="annotations.json of every evaluation"
    )
    add("--labels", type=Path, required=True, metavar="CSV", help="of make_labels_table.py")
    add_held_out_flag(parser)
    add("--audits", nargs="+", type=Path, default=[], metavar="JSON", help="of audit_sources.py, of initial policies")
    add("--boundaries", nargs="+", type=Path, default=[], metavar="JSON", help="of measure_boundary.py, for warnings")
    add("--second-opinions", nargs="+", type=Path, default=[], metavar="JSON", help="boundary measurements by others")
    add("--races", nargs="+", type=Path, default=[], metavar="JSON", help="of make_race.py, the figures beside them")
    add("--trainings", nargs="+", default=[], metavar="POLICY=FILE", help="training_log.jsonl of policies")
    add("--betas", nargs="+", default=[], metavar="METHOD=BETA", help="of the methods of these, as they were trained")
    add("--notes", nargs="+", default=[], metavar="TEXT", help="sentences on what the answers are worth")
    add("--locks", nargs="+", type=Path, required=True, metavar="FILE", help="locks of the environments")
    add("--output", type=Path, required=True, metavar="OUT.html")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if len(arguments.figures) != len(arguments.captions):
        raise BadInput(f"{len(arguments.figures)} --figures but {len(arguments.captions)} --captions; give one each")

    from markupsafe import Markup

    from dpo_stages.core.files import read_csv, read_json, read_text, write_text
    from dpo_stages.core.ledgers import commit, hardware, ledger
    from dpo_stages.report import capabilities, curves, gainless, opinions, page, partings, race, tallies
    from dpo_stages.report.audits import agreement
    from dpo_stages.report.baselines import paragraph, read_held_out
    from dpo_stages.report.baselines import warnings as below_longer
    from dpo_stages.report.decisions import read_decisions
    from dpo_stages.report.table import read_parts
    from dpo_stages.report.tables.data_sets import standings
    from dpo_stages.report.writing import labels as named
    from dpo_stages.report.yardsticks import LC_WIN_RATE, labelled, leading

    study = json.loads(arguments.study)
    decisions = read_decisions(arguments.policy_tables)
    beside_paper = arguments.comparison and len(read_text(arguments.comparison).splitlines()) > 1
    comparison = read_csv(arguments.comparison, []) if beside_paper else []
    costs = page.costs(read_csv(arguments.cost, ("rule", "jobs_done", "hours_taken")))
    ledgers = [ledger(path) for path in arguments.judgements]
    judging = page.judging(ledgers)
    labels = read_csv(arguments.labels, ("candidates", "work", *page.LABELS))
    boundaries = [read_json(path) for path in arguments.boundaries]
    asked = opinions.read_opinions(arguments.second_opinions)
    audits = [read_json(path) for path in arguments.audits]
    held_out = [read_held_out(path) for path in arguments.held_out]
    said_once = below_longer(held_out)  # among what can be trusted
    warnings = {one["policy"]: [text for text in one["warnings"] if text not in said_once] for one in boundaries}
    audited = {
        audit["initial_policy"]: {source: agreement(found) for source, found in audit["sources"].items()}
        for audit in audits
    }
    betas = {method: float(beta) for method, beta in named(arguments.betas).items()}
    trainings = [curves.read_training(policy, Path(log), betas) for policy, log in named(arguments.trainings).items()]
    valid, shown = tallies.lc_valid(decisions), tallies.measured_with(decisions)
    context = {
        "answers": page.answers(decisions, comparison, labels, audited, warnings, standings(boundaries), asked),
        "many_methods": len({decision.off.method_label for decision in decisions}) > 1,
        "verdict": tallies.sentence(decisions),
        "tally": tallies.grid(decisions),
        "notes": [
            text
            for text in (
                gainless.count(decisions),
                capabilities.count(arguments.policy_tables),
                partings.sentence(decisions),
                *arguments.notes,
            )
            if text
        ],
        "audited_by": " and ".join(sorted({audit["yardstick"] for audit in audits})),
        "trusted": [*map(paragraph, held_out), *filter(None, [page.agreement(labels)])],
        "labels_known": any(row["accuracy"] for row in labels),
        "gains_of": leading(valid).words,
        "lc_valid": valid if LC_WIN_RATE in shown else None,
        "yardsticks": [labelled(of, valid) for of in shown],
        "compared": tallies.compared_words(decisions),
        "tables": [{"name": path.stem, "parts": read_parts(path)} for path in arguments.tables],
        "figures": [
            {"uri": page.picture(path), "caption": caption}
            for path, caption in zip(arguments.figures, arguments.captions, strict=True)
        ],
        "races": [race.card(read_json(path), page.picture(path.with_suffix(".svg"))) for path in arguments.races],
        "trainings": curves.groups(trainings),
        "displacement": curves.displacement(trainings),
        "comparison": read_parts(arguments.comparison.with_suffix(".json")) if arguments.comparison else [],
        "responses": read_csv(arguments.responses, ("label", "text", "rule")) if arguments.responses else [],
        "graph": Markup(read_text(arguments.rules)),
        "provenance": [
            *study.items(),
            ("Judge", judging["judge"]),
            ("Commit of the workflow", commit()),
            ("This page was made on", hardware()),
        ],
        "locks": page.versions(arguments.locks),
        "costs": costs,
        "total_time": page.duration(sum(row["seconds"] for row in costs)),
        "judging": judging,
    }
    write_text(arguments.output, page.render(context))
    size = arguments.output.stat().st_size
    finish(
        arguments.output,
        len(decisions),
        len(decisions),
        {},
        tables=len(arguments.tables),
        trainings=len(trainings),
        kilobytes=round(size / 1000),
    )


if __name__ == "__main__":
    run(main)
