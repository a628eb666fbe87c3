"""Audit the preference data that a policy could be trained on next, source by source, before anything is trained.

The preference model that labels says nothing of whether its labels are right. Here a yardstick that did not label, or people,
have been asked about drawn pairs of each source (ask_yardstick.py, read_votes.py). Labels are trustworthy if the whole interval of
the share in which they prefer the chosen response lies above one half. Beside that stands what the literature measures on
preference data, and how the sources differ on the prompts that they share.

Sources, answers and comparisons are named: off=NAME, off=FILE. Where the yardstick is the labelling model itself, nobody is asked and
the audit says so.
"""

import argparse
from pathlib import Path

from dpo_stages.audit.drawing import add_drawing_flags
from dpo_stages.core.arguments import confidence
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--initial", required=True, metavar="NAME", help="the policy that would be trained")
    add("--sources", nargs="+", required=True, metavar="SOURCE=NAME", help="whose candidates each source has")
    add("--preferences", nargs="+", type=Path, required=True, metavar="PARQUET", help="their pairs, one file each")
    add("--answers", nargs="+", default=[], metavar="SOURCE=FILE", help="of ask_yardstick.py or read_votes.py")
    add(
        "--chosen",
        nargs="+",
        default=[],
        metavar="SOURCE=FILE",
        help="of ask_yardstick.py: its chosen responses against those of the first source",
    )
    add("--likelihoods", type=Path, required=True, metavar="PARQUET", help="of compute_pair_likelihoods.py")
    add("--preference-model", required=True, metavar="NAME", help="what labelled, for the result")
    add("--yardstick", required=True, metavar="NAME", help="what was asked, for the result")
    add_drawing_flags(parser)
    add("--confidence", type=confidence, required=True, help="level of the intervals")
    add("--output", type=Path, required=True, metavar="OUT.json", help="OUT.md lies beside it")
    return parser.parse_args()


def named(words: list[str]) -> dict[str, str]:
    """`SOURCE=WORD` arguments."""
    return dict(word.split("=", 1) for word in words)


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.audit.advice import advice, itself
    from dpo_stages.audit.columns import ANSWERS, PAIR_LIKELIHOODS
    from dpo_stages.audit.contrast import contrast
    from dpo_stages.audit.drawing import draw_pairs
    from dpo_stages.audit.source import CANNOT_TELL, found_of_labels, panel
    from dpo_stages.core.files import write_json, write_text
    from dpo_stages.core.ledgers import ledger
    from dpo_stages.core.parquet import read_table
    from dpo_stages.data.preferences import BY_DATASET, BY_MODEL
    from dpo_stages.report.audits import markdown

    def read_answers(file: str) -> dict[str, dict]:
        return {row["prompt_id"]: row for row in read_table(file, ANSWERS).to_pylist()}

    likelihoods = read_table(arguments.likelihoods, PAIR_LIKELIHOODS).to_pylist()
    sources, answered, by_vote, there = {}, {}, {}, 0
    answers, chosen = named(arguments.answers), named(arguments.chosen)
    for (source, candidates), path in zip(named(arguments.sources).items(), arguments.preferences, strict=True):
        table, number = draw_pairs(path, arguments.pairs, arguments.seed)
        rows, there = table.to_pylist(), there + number
        likely = {row["prompt_id"]: row for row in likelihoods if row["source"] == source}
        labelled_by = ledger(path).get("labelled_by", BY_MODEL)
        found = {"verdict": CANNOT_TELL, "asked": None, "advice": itself(arguments.yardstick)}
        if source in answers:
            answered[source] = read_answers(answers[source])
            if not {row["prompt_id"] for row in rows}.issuperset(answered[source]):
                raise BadInput(f"{answers[source]} is about other pairs than those drawn of {path}; ask again")
            labels = found_of_labels(rows, answered[source], arguments.confidence)
            votes = ledger(Path(answers[source])).get("votes")
            by_vote[source] = bool(votes)
            asked = f"votes in {votes}" if votes else arguments.yardstick
            helps = advice(labels, own=labelled_by == BY_DATASET)
            found = {"verdict": labels["verdict"], "asked": asked, "advice": helps, "labels": labels}
        sources[source] = {
            "candidates": candidates,
            "pairs": number,
            "drawn": len(rows),
            "labelled_by": labelled_by,
            **found,
            "panel": panel(rows, likely, ledger(path)),
        }
    first = next(iter(sources))
    contrasts = [
        {
            "source": source,
            "against": first,
            **contrast(
                answered[source],
                answered[first],
                read_answers(chosen[source]) if source in chosen else None,
                arguments.confidence,
            ),
        }
        for source in answered
        if source != first and by_vote[source] == by_vote.get(first)  # people and a yardstick are not compared
    ]
    names = {name: getattr(arguments, name) for name in ("preference_model", "yardstick", "confidence", "seed")}
    audit = {"initial_policy": arguments.initial, **names, "sources": sources, "contrasts": contrasts}
    write_text(arguments.output.with_suffix(".md"), markdown(audit))
    write_json(arguments.output, audit)
    drawn = sum(source["drawn"] for source in sources.values())
    verdicts = {source: found["verdict"] for source, found in sources.items()}
    finish(arguments.output, there, drawn, {"not drawn": there - drawn}, **verdicts)


if __name__ == "__main__":
    run(main)
