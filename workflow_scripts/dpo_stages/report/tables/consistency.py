"""Table 8 and what stands behind it: how often a policy finds its own samples likelier, and what that does to Algorithm 1.

Standard library only, but for the interval of means over several seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from dpo_boundary.result import UNDECIDED
from dpo_stages.report.policy_rows import History
from dpo_stages.report.records import require_same
from dpo_stages.report.table import Grid, Table, with_iterations
from dpo_stages.report.writing import mean_over_runs, with_interval
from dpo_stages.study.policies import Policy, of_data

PART = (
    "Either holds the policy's consistency against P_off, which is 1 less the boundary score: the log-probabilities hold P_θ "
    "against it, Algorithm 1 the boundary score, as if a policy always found its own samples likelier. So they can part where "
    "Difference is larger than the distance between boundary score and P_off. "
)
FOLLOWED = {"boundary": "`auto` follows Algorithm 1.", "race": "`auto` follows neither, but races."}


@dataclass(frozen=True)
class Row:
    """One policy and data set. What Table 8 prints is in percent, as there; consistencies and scores are shares.

    Attributes:
        model: name of the base model, without the seed.
        model_label: its name in tables.
        method: preference optimisation method; None for the SFT policy.
        history: candidate sources of the iterations, oldest first; empty for the SFT policy.
        policy: name of the policy, asked the prompts of the data set.
        on_policy_likelier: percent of comparisons whose on-policy response has the higher log-probability under the
            policy, summed over its tokens; the mean over prompts.
        likelier_low: lower end of its interval.
        likelier_high: upper end.
        consistency: preference consistency of the preference model and the policy (equation 10).
        consistency_low: lower end of its interval.
        consistency_high: upper end.
        boundary_score: what Algorithm 1 takes for it, on the same comparisons.
        off_policy_consistency: the same of the off-policy source (equation 11), taken to prefer its own responses.
        recommended_source: whichever is the more consistent, `off` or `on`.
        verdict: whether that is decided or undecided.
        shortcut_source: what Algorithm 1 recommends.
        shortcut_verdict: whether that is decided or undecided.
        prompts: prompts that the figures rest on.
        comparisons: comparisons that they rest on.
        confidence: level of the intervals.
        preference_model: what compared.
        preference_data: where the off-policy candidates come from.
    """

    model: str
    model_label: str
    method: str | None
    history: History
    policy: str
    on_policy_likelier: float
    likelier_low: float
    likelier_high: float
    consistency: float
    consistency_low: float
    consistency_high: float
    boundary_score: float
    off_policy_consistency: float
    recommended_source: str
    verdict: str
    shortcut_source: str
    shortcut_verdict: str
    prompts: int
    comparisons: int
    confidence: float
    preference_model: str
    preference_data: str


def build_rows(models: Mapping[str, str], records: Mapping[str, dict]) -> list[Row]:
    """The rows of the table, in the order of `records`.

    Args:
        models: names and labels.
        records: contents of results/consistency/*.json by policy.

    Raises:
        BadInput: the records are relative to different preference models, data or levels.
    """
    of_one = {name: record for name, record in records.items() if Policy.parse(name).asked is None}
    require_same(of_one, ("preference_data",), "preference consistencies")
    require_same(records, ("preference_model", "confidence"), "preference consistencies")
    rows = []
    for name, record in records.items():
        policy = Policy.parse(name)
        likelier = (record["on_policy_likelier"], *record["on_policy_likelier_interval"])
        rows.append(
            Row(
                policy.model,
                models.get(policy.model, policy.model),
                policy.method,
                policy.history,
                name,
                *(100 * share for share in likelier),
                record["consistency"],
                *record["interval"],
                **{field.name: record[field.name] for field in fields(Row)[11:]},
            )
        )
    return rows


def table(rows: Sequence[Row], decide_by: str) -> Table:
    """Table 8 in the paper's layout, then the preference consistencies beside Algorithm 1's shortcut.

    Args:
        rows: as `build_rows` gives them.
        decide_by: what `auto` follows in this study, a key of FOLLOWED.
    """
    first, data_sets = rows[0], {row.preference_data: row.prompts for row in reversed(rows)}
    of = ", ".join(f"{prompts} prompts of {name}" for name, prompts in reversed(data_sets.items()))
    caption = (
        "Win rate: percent of comparisons in which the policy gives its own sample a higher probability (the sum of the "
        "log-probabilities of its tokens) than the off-policy candidate of the same prompt; the mean over prompts, each "
        f"with two candidates of either kind, and the {first.confidence:.0%} interval with prompts as the independent "
        f"unit. {of}."
    )
    meaning = (
        "Consistency (Definition 5.5) with the preference model "
        f"{first.preference_model}. P_θ: of the policy, by its log-probabilities (equation 10). Algorithm 1: the same "
        "under the assumption that its own samples are always likelier, which is the boundary score. Difference: what the "
        "assumption adds or takes away. P_off: of the source of the off-policy candidates (equation 11), whose probabilities nobody "
        "has, so that it is taken to find its own responses likelier always. The more consistent of P_θ and P_off is "
        "the better proxy of the general text distribution, and the source to train on next."
    )
    changed = sum(row.recommended_source != row.shortcut_source for row in rows)
    verdict = (
        f"The log-probabilities change the recommendation of Algorithm 1 for {changed} of {len(rows)} initial policies"
        f"{' and data sets' if len(data_sets) > 1 else ''}. {PART if changed else ''}{FOLLOWED[decide_by]}"
    )
    parts = [
        ("title", "Table 8"),
        ("grid", _papers_layout(rows)),
        ("words", caption),
        ("grid", _consistencies(rows)),
        ("words", meaning),
        ("words", verdict),
    ]
    return Table(with_iterations(rows), parts)


def _papers_layout(rows: Sequence[Row]) -> Grid:
    """A line for each history and data set, under its model; rows of several seeds become one."""
    several = len({row.preference_data for row in rows}) > 1
    columns = [f"Iter-{number}" for number in range(1, max(len(row.history) for row in rows) + 2)]
    lines = []
    groups: dict[str, dict[tuple[History, str], list[Row]]] = {}
    for row in rows:
        groups.setdefault(row.model_label, {}).setdefault((row.history, row.preference_data), []).append(row)
    for label, histories in groups.items():
        lines.append([label])
        for (history, data), group in histories.items():
            iterations = [f"PC_{source}" for source in history] + ["–"] * (len(columns) - len(history))
            alone = len(group) == 1
            interval = f"{group[0].likelier_low:.1f} to {group[0].likelier_high:.1f}" if alone else "–"
            likelier = mean_over_runs([row.on_policy_likelier for row in group])
            lines.append([*iterations, *[data] * several, likelier, interval])
    return Grid([*columns, *["Data set"] * several, "Win Rate", "Interval"], lines)


def _consistencies(rows: Sequence[Row]) -> Grid:
    columns = ["Initial policy", "P_θ", "Algorithm 1", "Difference", "P_off", "Train on", "Algorithm 1: train on"]
    lines = [
        [
            row.policy,
            with_interval(row.consistency, row.consistency_low, row.consistency_high),
            f"{row.boundary_score:.2f}",
            f"{row.boundary_score - row.consistency:+.2f}",
            f"{row.off_policy_consistency:.2f}",
            _source(row, row.recommended_source, row.verdict),
            _source(row, row.shortcut_source, row.shortcut_verdict),
        ]
        for row in rows
    ]
    return Grid(columns, lines)


def _source(row: Row, source: str, verdict: str) -> str:
    return f"PC_{of_data(source, Policy.parse(row.policy).asked)}" + (" (undecided)" if verdict == UNDECIDED else "")
