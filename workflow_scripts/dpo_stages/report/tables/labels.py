"""What passes of the preference model report about themselves, as a table: how far its labels can be trusted."""

from collections.abc import Mapping, Sequence

from dpo_stages.report.table import Grid, Table

COUNTS = ("ties", "truncated_sources", "truncated_candidates", "control_texts", "close_calls", "truncated_responses")
SHARES = ("order_flip_rate", "longer_preferred", "agreement_with_original")


def row(name: str, work: str, ledger: Mapping) -> dict:
    """One pass.

    Args:
        name: whose candidates were read.
        work: "labels" or "comparisons".
        ledger: what the program wrote beside its output. A figure that this kind of model does not have is None.
    """
    names = ("preference_model", "pairs", "pairs_per_second", *SHARES, *COUNTS)
    return {"candidates": name, "work": work, **{key: ledger.get(key) for key in names}}


def table(rows: Sequence[Mapping]) -> Table:
    """The table, and what its columns mean."""
    columns = ["Candidates of", "For", "Pairs", "Pairs/s", "Order flips", "Ties", "Longer preferred"]
    columns += ["As the data set says", "Cut prompts", "Cut responses", "Control texts", "Unfinished"]
    lines = [
        [
            one["candidates"],
            one["work"],
            f"{one['pairs']:,}",
            f"{one['pairs_per_second']:,.0f}",
            _percent(one["order_flip_rate"]),
            _count(one["ties"]),
            _percent(one["longer_preferred"]),
            _percent(one["agreement_with_original"]),
            *(
                _count(one[key])
                for key in ("truncated_sources", "truncated_candidates", "control_texts", "truncated_responses")
            ),
        ]
        for one in rows
    ]
    models = " and ".join(sorted({str(one["preference_model"]) for one in rows}))
    caption = (
        f"Every pass of the preference model ({models}). Order flips: pairs in which it prefers another response when it "
        "reads them in the other order. Ties: pairs without a preference, which are not trained on and count half in a "
        "comparison. Longer preferred: share of decided pairs in which the longer response won. As the data set says: "
        "share in which the data set's own label is the same. Cut: pairs of which the model did not read everything. "
        "Control texts: pairs with the text of one of the model's own control tokens. Unfinished: responses that were cut at "
        "max_new_tokens when they were sampled. –: it has no such thing, or nobody counted."
    )
    return Table(rows, [("title", "Labels"), ("grid", Grid(columns, lines)), ("words", caption)])


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"


def _count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"
