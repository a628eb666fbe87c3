"""What passes of the preference model report about themselves, as a table: how far its labels can be trusted."""

from collections.abc import Mapping, Sequence

from dpo_stages.data.preferences import BY_MODEL
from dpo_stages.report.table import Grid, Table

COUNTS = ("ties", "truncated_sources", "truncated_candidates", "control_texts", "close_calls", "truncated_responses")
SHARES = ("order_flip_rate", "longer_preferred", "agreement_with_original")

ACCURACY = (
    "Share of the pairs in which the chosen response is truly the better one, with its 95 % interval. Equally good: pairs that "
    "have no right label, which are left out. The columns behind it hold the share of the pairs in which one thing alone tells "
    "the two responses apart, and of those with a true gap in quality of that size (over the lower bound, up to the upper one)."
)


def row(name: str, work: str, ledger: Mapping, truth: Mapping | None = None) -> dict:
    """One pass, or labels of a data set's own.

    Args:
        name: whose candidates were read.
        work: "labels" or "comparisons".
        ledger: what the program wrote beside its output. A figure that this kind of model does not have is None.
        truth: what measure_label_accuracy.py found, where the right labels are known.
    """
    names = ("preference_model", "pairs", "pairs_per_second", *SHARES, *COUNTS)
    found = {"candidates": name, "work": work, **{key: ledger.get(key) for key in names}}
    labels = work == "labels"
    found["labelled_by"] = ledger.get("labelled_by", BY_MODEL) if labels else None
    found["left_out"] = sum(ledger["dropped"].values()) if labels else None
    accuracy = truth or {"accuracy": None, "interval": None, "ties": None}
    low, high = accuracy["interval"] or (None, None)
    return {
        **found,
        "accuracy": accuracy["accuracy"],
        "accuracy_low": low,
        "accuracy_high": high,
        "equally_good": accuracy["ties"],
    }


def accuracy_text(truth: Mapping) -> str:
    """How often labels are right, with the interval: `65.1% (60.9 to 69.1)`; a dash where no pair has a right label."""
    if truth["accuracy"] is None:
        return "–"
    low, high = truth["interval"]
    return f"{_percent(truth['accuracy'])} ({100 * low:.1f} to {100 * high:.1f})"


def accuracy_grid(truths: Mapping[str, Mapping]) -> Grid:
    """A row for each labelled source: how often its labels are right, by kind of difference and by gap in quality.

    Args:
        truths: what measure_label_accuracy.py found, by source; not empty.
    """
    parts = [("by_kind", "What tells the responses apart"), ("by_gap", "Gap in quality")]
    names = {part: list(dict.fromkeys(name for truth in truths.values() for name in truth[part])) for part, _ in parts}
    lines = [
        [
            source,
            f"{truth['decided']:,}",
            f"{truth['ties']:,}",
            accuracy_text(truth),
            *(_right(truth[part].get(name)) for part, _ in parts for name in names[part]),
        ]
        for source, truth in truths.items()
    ]
    columns = ["Candidates of", "Pairs", "Equally good", "Right", *(name for part, _ in parts for name in names[part])]
    return Grid(columns, lines, [("", 4), *((title, len(names[part])) for part, title in parts if names[part])])


def _right(share: Mapping | None) -> str:
    return "–" if share is None else f"{100 * share['accuracy']:.0f}% of {share['decided']:,}"


def table(rows: Sequence[Mapping], truths: Mapping[str, Mapping]) -> Table:
    """The table, and what its columns mean; with `truths`, how often labels are right where that is known."""
    columns = ["Candidates of", "For", "Labelled by", "Pairs", "Pairs/s", "Order flips", "Ties", "Longer preferred"]
    columns += ["As the data set says", "Left out", "Cut prompts", "Cut responses", "Control texts", "Unfinished"]
    lines = [
        [
            one["candidates"],
            one["work"],
            one["labelled_by"] or "–",
            f"{one['pairs']:,}",
            "–" if one["pairs_per_second"] is None else f"{one['pairs_per_second']:,.0f}",
            _percent(one["order_flip_rate"]),
            _count(one["ties"]),
            _percent(one["longer_preferred"]),
            _percent(one["agreement_with_original"]),
            _count(one["left_out"]),
            *(
                _count(one[key])
                for key in ("truncated_sources", "truncated_candidates", "control_texts", "truncated_responses")
            ),
        ]
        for one in rows
    ]
    models = " and ".join(sorted({one["preference_model"] for one in rows} - {None})) or "none was asked"
    caption = (
        f"Every pass of the preference model ({models}). Labelled by: whose choice the chosen response is; data set: its own, about "
        "which no model was asked, so that agreement is unknown and ties are pairs without a label; both: pairs on which model and "
        "data set agree, the others being left out (`labels`). Order flips: pairs in which it prefers another response when it "
        "reads them in the other order. Ties: pairs without a preference, which are not trained on and count half in a "
        "comparison. Longer preferred: share of decided pairs in which the longer response won. As the data set says: "
        "share in which the data set's own label is the same, of those that have one. Left out: pairs that are not trained on. Cut: pairs of which the model did not read everything. "
        "Control texts: pairs with the text of one of the model's own control tokens. Unfinished: responses that were cut at "
        "max_new_tokens when they were sampled. –: it has no such thing, or nobody counted."
    )
    parts = [("title", "Labels"), ("grid", Grid(columns, lines)), ("words", caption)]
    if truths:
        parts += [("heading", "How often labels are right"), ("grid", accuracy_grid(truths)), ("words", ACCURACY)]
    return Table(rows, parts)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"


def _count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"
