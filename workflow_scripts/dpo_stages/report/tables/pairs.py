"""What becomes of the rows of the preference data until policies train on them, as a table: here, and by the authors' rules.

The paper trains on 61,135 pairs. In its authors' public code the last record of a prompt wins, a missing response is an empty
text, and of a tie the second response is chosen, so that they lose duplicates alone. Here ties and pairs of two equal
responses are dropped, as they teach nothing.
"""

from collections.abc import Mapping, Sequence

from dpo_stages.data.preferences import NO_OWN_LABEL, OTHER_OWN_LABEL
from dpo_stages.report.table import Grid, Table

# Reasons of dropped rows, as the ledgers of prepare_dataset.py, sample_candidates.py and what labels name them.
EMPTY = ("empty prompt", "empty response", "begins with assistant")
IDENTICAL, DUPLICATE, BEYOND_LIMIT = "identical responses", "duplicate prompt", "beyond the limit"
NO_ROOM = "prompt leaves no room for a response"
CUT, TIES = "cut responses", "ties"


def row(name: str, data: Mapping, candidates: Mapping, labels: Mapping) -> dict:
    """The pairs of one source of candidates.

    Args:
        name: data set or policy whose candidates they are.
        data: ledger of the data set whose prompts it shares.
        candidates: ledger of the candidates; of the data set itself `data` once more.
        labels: ledger of the preferences.

    Returns:
        `rows` less every column between gives `pairs`. `authors_pairs` are what the authors' rules leave of the rows, and
        `authors_ties` those of them whose chosen response would be set by the rule of ties: ties of the preference model,
        equal responses and responses that are missing. Both are None where nobody counted the prompts.
    """
    lost, own = data["dropped"], candidates is data
    no_room = 0 if own else candidates["dropped"].get(NO_ROOM, 0)
    beyond, identical = lost.get(BEYOND_LIMIT, 0), lost.get(IDENTICAL, 0)
    prompts = data.get("prompts")
    return {
        "candidates": name,
        "rows": data["rows_in"],
        "duplicate_prompts": lost.get(DUPLICATE, 0),
        "empty_records": sum(lost.get(reason, 0) for reason in EMPTY),
        "identical_records": identical,
        "beyond_limit": beyond,
        "no_room": no_room,
        "cut_responses": labels["dropped"].get(CUT, 0),
        "identical_responses": labels["dropped"].get(IDENTICAL, 0),
        "ties": labels["dropped"].get(TIES, 0),
        "own_labels": sum(labels["dropped"].get(reason, 0) for reason in (NO_OWN_LABEL, OTHER_OWN_LABEL)),
        "pairs": labels["rows_out"],
        "authors_pairs": None if prompts is None else prompts - beyond,
        "authors_ties": None if prompts is None else labels["ties"] + (identical if own else no_room),
    }


def table(rows: Sequence[Mapping]) -> Table:
    """The table, and what its columns mean."""
    shown = (
        "rows",
        "duplicate_prompts",
        "empty_records",
        "identical_records",
        "beyond_limit",
        "no_room",
        "cut_responses",
    )
    shown += ("identical_responses", "ties", "own_labels", "pairs", "authors_pairs", "authors_ties")
    columns = [
        "Candidates of",
        "Rows",
        "Duplicates",
        "Empty",
        "Twice the same",
        "Beyond limit",
        "No room",
        "Cut",
        "Identical",
    ]
    columns += ["Ties", "Own label", "Pairs", "Pairs", "Set by a tie"]
    lines = [[one["candidates"], *("–" if one[key] is None else f"{one[key]:,}" for key in shown)] for one in rows]
    groups = [("", 1), ("Preference data", 5), ("Candidates", 5), ("Here", 1), ("Authors' rules", 2)]
    caption = (
        "What is left of the rows of the preference data for training: rows less every column before Pairs. Preference data: "
        "records of a prompt that another record has, records without a prompt or a response, those whose two responses are "
        "the same, and rows that the study's `limit` leaves out. Candidates: prompts that leave no room for a response, pairs "
        "with a response that was cut at max_new_tokens (where `truncated: drop` leaves them out), two equal responses, and ties "
        "of the preference model (both where `ties: drop` leaves them out), and pairs whose own label is missing or another (where "
        "`labels` is dataset or agree). Authors' rules: in the public code of the paper's "
        "authors the last record of a prompt wins, a missing response is an empty text, and of a tie the second response is "
        "chosen, so only duplicates are lost. Set by a tie: the pairs among them that have no better response, as far as "
        "they were labelled here. –: nobody counted."
    )
    return Table(rows, [("title", "Pairs"), ("grid", Grid(columns, lines, groups)), ("words", caption)])
