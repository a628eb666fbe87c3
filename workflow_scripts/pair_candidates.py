"""Make pairs of a chosen and a rejected response from the candidates of each prompt, two or more, by a rule.

What the preference model says of the candidates is given (--scores, of score_candidates.py), so another rule asks nothing
again. The rules are those of dpo_stages/preferences/pairing.py. With two files of candidates, a policy's own and then
off-policy ones, and the scores of both together, the rule takes all of them; with --pick it makes a pair of each, and the
off-policy one is taken where its chosen response beats the policy's own best.

With --labels dataset a data set's own scores choose, and no --scores are needed; with --labels agree the model chooses, and
pairs whose own scores say otherwise, or nothing, are left out. Prompts without a pair are counted by reason, and so are
pairs of which the rule chooses one response and the model, asked about the two, prefers the other.
"""

import argparse
from pathlib import Path

from dpo_stages.core.arguments import seed
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.preferences.pairing import RULES

MODEL, DATASET, AGREE = "model", "dataset", "agree"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--candidates", type=Path, nargs="+", required=True, metavar="PARQUET", help="one file, or own and off-policy")
    add("--scores", type=Path, metavar="PARQUET", help="of score_candidates.py, for the same candidates")
    add("--pairs", choices=RULES, required=True, help="the rule")
    add("--pick", action="store_true", help="of two files a pair of one of them, see above")
    add("--truncated", choices=["keep", "drop"], default="keep", help="candidates that were cut (default: %(default)s)")
    add("--ties", choices=["drop", "second"], default="drop", help="as of label_preferences.py (default: %(default)s)")
    add("--labels", choices=[MODEL, DATASET, AGREE], default=MODEL, help="who chooses (default: %(default)s)")
    add("--seed", type=seed, required=True, help="of what is drawn")
    add("--output", type=Path, required=True, metavar="PARQUET")
    arguments = parser.parse_args()
    if (arguments.scores is None) != (arguments.labels == DATASET):
        raise BadInput("give --scores, or --labels dataset, whose labels need none")
    if len(arguments.candidates) > 2 or (len(arguments.candidates) == 2 and arguments.labels != MODEL):
        raise BadInput("--candidates takes one file, or two that the preference model has scored together")
    if arguments.pick and len(arguments.candidates) != 2:
        raise BadInput(
            "--pick chooses between two files of --candidates; give the policy's own and the off-policy ones"
        )
    return arguments


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.ledgers import ledger
    from dpo_stages.core.parquet import read_table, write_table
    from dpo_stages.data.candidates import pooled, read_groups
    from dpo_stages.data.preferences import BY_BOTH, BY_DATASET, require_own_labels
    from dpo_stages.data.schemas import PREFERENCES, SCORES
    from dpo_stages.preferences.margins import Margins
    from dpo_stages.preferences.pairing import Pairing, PairMaker

    own, *others = map(read_groups, arguments.candidates)
    groups = pooled(own, others[0]) if others else own
    if arguments.labels != MODEL:
        scored = (candidate.own_score for group in groups for candidate in group.candidates)
        require_own_labels(scored, arguments.candidates[0])
    drops = arguments.truncated == "drop", arguments.ties == "drop"
    maker = PairMaker(
        Pairing(arguments.pairs, arguments.seed, *drops), arguments.pick, disputed=arguments.labels == AGREE
    )
    if arguments.labels == DATASET:
        margins = {
            group.prompt_id: Margins.of_scores([candidate.own_score for candidate in group.candidates])
            for group in groups
        }
        asked: dict[str, object] = {"labelled_by": BY_DATASET}
    else:
        margins = margins_from(arguments.scores, read_table(arguments.scores, SCORES).to_pylist(), groups)
        asked = {"labelled_by": BY_BOTH} if arguments.labels == AGREE else {}
        asked |= passed_on(ledger(arguments.scores))
    rows = [row for group in groups if (row := maker.pair(group, margins[group.prompt_id])) is not None]
    write_table(arguments.output, rows, PREFERENCES)
    samples = sum(candidate.sampled for group in groups for candidate in group.candidates)
    counts = {"samples": samples, **maker.counts(others=bool(others))}
    finish(arguments.output, len(groups), len(rows), maker.dropped, **asked, **counts)


def margins_from(path: Path, rows: list[dict], groups: list) -> dict:
    """The margins of every group by prompt, of rows of `schemas.SCORES`.

    Raises:
        BadInput: they are not of these candidates.
    """
    from dpo_stages.preferences.margins import Margins

    found = {row["prompt_id"]: row for row in rows}
    margins = {}
    for group in groups:
        row = found.get(group.prompt_id)
        if row is None or len(row["scores"]) != len(group.candidates):
            raise BadInput(f"{path} has no scores of the candidates of {group.prompt_id}; score these candidates again")
        margins[group.prompt_id] = Margins.of_pairs(len(group.candidates), row["logits"], row["order_flips"])
    return margins


def passed_on(scored: dict) -> dict[str, object]:
    """What the ledger of the scores says of the pass of the preference model that is true of the pairs as well."""
    names = ("preference_model", "pairs_per_second", "truncated_responses", "thoughts", "empty_answers")
    return {name: scored[name] for name in names if name in scored} | {"compared_pairs": scored["pairs"]}


if __name__ == "__main__":
    run(main)
