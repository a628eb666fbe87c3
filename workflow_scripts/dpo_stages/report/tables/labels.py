"""What passes of the preference model report about themselves, as a table: how far its labels can be trusted."""

from collections.abc import Mapping, Sequence

from dpo_stages.data.preferences import BY_MODEL
from dpo_stages.report.baselines import below_sentence, warnings
from dpo_stages.report.table import Grid, Table

COUNTS = ("ties", "truncated_sources", "truncated_candidates", "control_texts", "close_calls", "truncated_responses")
SHARES = ("order_flip_rate", "longer_preferred", "agreement_with_original")

TRIVIAL = (
    "Longer, First: what whoever takes the longer response, in characters, and whoever takes the first one gets of the same pairs; two "
    "responses of one length count half."
)
ACCURACY = (
    "Share of the pairs in which the chosen response is truly the better one, with its 95 % interval. Equally good: pairs that "
    f"have no right label, which are left out. {TRIVIAL} Of a data set that ranks its responses the first one is its own choice. The "
    "columns behind it hold the share of the pairs in which one thing alone tells "
    "the two responses apart, and of those with a true gap in quality of that size (over the lower bound, up to the upper one)."
)
VOTES = (
    "Share of the votes for one of two responses that the preference model prefers as well, a tie of it counting half, with Wilson's "
    f"interval. {TRIVIAL}"
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
    trivial = accuracy.get("baselines")
    return {
        **found,
        "accuracy": accuracy["accuracy"],
        "accuracy_low": low,
        "accuracy_high": high,
        **{name: trivial and trivial[name]["estimate"] for name in ("longer", "first")},
        "below_longer": trivial and trivial["below_longer"],
        "equally_good": accuracy["ties"],
    }


def accuracy_text(truth: Mapping) -> str:
    """How often labels are right, with the interval: `65.1% (60.9 to 69.1)`; a dash where no pair has a right label."""
    return _with_interval(truth["accuracy"], truth["interval"])


def _with_interval(found: float | None, interval: Sequence[float] | None) -> str:
    return "–" if found is None else f"{_percent(found)} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def _estimate(found: Mapping | None) -> str:
    return "–" if found is None else _with_interval(found["estimate"], (found["low"], found["high"]))


def _trivial(found: Mapping | None) -> list[str]:
    """What whoever takes the longer and the first response gets."""
    return [_estimate(found and found[name]) for name in ("longer", "first")]


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
            *_trivial(truth["baselines"]),
            *(_right(truth[part].get(name)) for part, _ in parts for name in names[part]),
        ]
        for source, truth in truths.items()
    ]
    columns = ["Candidates of", "Pairs", "Equally good", "Right", "Longer", "First"]
    columns += [name for part, _ in parts for name in names[part]]
    return Grid(columns, lines, [("", 6), *((title, len(names[part])) for part, title in parts if names[part])])


def _right(share: Mapping | None) -> str:
    return "–" if share is None else f"{100 * share['accuracy']:.0f}% of {share['decided']:,}"


def votes_grid(measured: Sequence[Mapping]) -> Grid:
    """A row for each preference model, and for each file of its votes where there are several.

    Args:
        measured: what measure_preference_model.py found; not empty.
    """
    lines = []
    for one in measured:
        parts = one["by_file"] if len(one["by_file"]) > 1 else {}
        for votes, found in [(", ".join(one["votes"]) if not parts else "all", one), *parts.items()]:
            accuracy = found["accuracy"]
            figures = [f"{accuracy['pairs']:,}", _estimate(accuracy), *_trivial(found["baselines"])]
            lines.append([one["preference_model"], votes, *figures])
    return Grid(["Preference model", "Votes", "Pairs", "Right", "Longer", "First"], lines)


def table(
    rows: Sequence[Mapping],
    truths: Mapping[str, Mapping],
    measured: Sequence[Mapping] = (),
    notes: Sequence[str] = (),
) -> Table:
    """The table, and what its columns mean.

    Args:
        rows: of `row`.
        truths: how often labels are right, by source, where that is known.
        measured: what measure_preference_model.py found of preference models with held-out votes.
        notes: sentences of what nobody knows.
    """
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
    if measured or notes:
        parts += [("heading", "How often the preference model is right")]
    if measured:
        parts += [("grid", votes_grid(measured)), ("words", VOTES)]
        parts += [("words", f"Warning: {one}.") for one in warnings(measured)]
    parts += [("words", note) for note in notes]
    if truths:
        parts += [("heading", "How often labels are right"), ("grid", accuracy_grid(truths)), ("words", ACCURACY)]
        known = {
            f"the labels of {source}": truth["baselines"] for source, truth in truths.items() if truth["baselines"]
        }
        said = [sentence for who, found in known.items() for sentence in below_sentence(found, who)]
        parts += [("words", sentence) for sentence in said]
    return Table(rows, parts)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"


def _count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"
