"""RQ1, Section 4.3: diversity and quality of each source of candidates beside what was gained with it in either stage.

Table 2 has the gains, Figure 3's training logs the intra-diversity (equation 12), and the table of quality how often a random
candidate of a source beats the chosen off-policy response (Appendix C.5).
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from dpo_stages.report.arms import NOISE, Interval, separated
from dpo_stages.report.policy_rows import Row
from dpo_stages.report.records import JUDGE_COLUMNS
from dpo_stages.report.table import Grid, Table
from dpo_stages.report.tables.intra_diversity import Curve
from dpo_stages.study.policies import OFF

STARTS = {"sft": (), "off": (OFF,)}
"""What the policies that gain were trained on before: nothing, or off-policy candidates."""
QUALITY = ("lc_win_rate", "lc_low", "lc_high", "win_rate", "win_rate_low", "win_rate_high", "paper_lc_win_rate")


def table_rows(
    rows: Sequence[Row],
    curves: Iterable[Curve],
    quality: Sequence[Mapping[str, str]],
    origins: Mapping[str, str],
    preference_data: str,
    paper: Sequence[Row],
) -> list[dict]:
    """One row for each model, method and source that its SFT policy was trained on.

    Figures are means over the runs. A gain has the interval over instructions and runs where there are several runs, else that
    over instructions. What was not measured is None.

    Args:
        rows: of Table 2.
        curves: of the policies that come of SFT policies.
        quality: rows of quality.csv.
        origins: whose candidates each of these policies was trained on, as quality.csv calls them.
        preference_data: the study's off-policy data set.
        paper: rows of the paper's Table 2.
    """
    of = {str(curve.policy): curve for curve in curves}
    pairs = {(row["candidates"], row["against"]): row for row in quality}
    ours, printed = _by_history(rows), _by_history(paper)
    found = []
    for (model, method, history), group in ours.items():
        if len(history) != 1:
            continue
        first, (source,) = group[0], history
        pair = pairs.get((origins.get(first.policy), preference_data), {})
        row = {"model": model, "model_label": first.model_label, "method": method, "source": source, "runs": first.runs}
        row |= _diversity([of[one.policy] for one in group if one.policy in of])
        row |= {f"quality_{name}": float(pair[name]) if pair.get(name) else None for name in QUALITY}
        for start, before in STARTS.items():
            trained, then = (ours.get((model, method, one), []) for one in ((*before, source), before))
            papers = printed.get((model, method, (*before, source)), [])
            row |= {f"{start}_{name}": value for name, value in _gain(trained, then).items()}
            row[f"paper_{start}_gain"] = papers[0].gain if papers else None
        found.append(row | {name: getattr(first, name) for name in JUDGE_COLUMNS})
    return found


def _by_history(rows: Sequence[Row]) -> dict[tuple, list[Row]]:
    """Rows of each model, method and history: one a run."""
    found: dict[tuple, list[Row]] = {}
    for row in rows:
        found.setdefault((row.model, row.method, row.history), []).append(row)
    return found


def _diversity(curves: Sequence[Curve]) -> dict:
    """Mean of equation 12 over training in nats, and the lowest and highest mean of a step, over all runs."""
    steps = [step for curve in curves for step in curve.mean]
    values = (statistics.fmean(steps), min(steps), max(steps)) if steps else (None, None, None)
    return dict(zip(("diversity", "diversity_low", "diversity_high"), values, strict=True))


def _gain(trained: Sequence[Row], before: Sequence[Row]) -> dict:
    """Gains in points: length-controlled with its interval, None without length control, and raw."""
    names = ("gain", "gain_low", "gain_high", "win_rate_gain")
    if not trained:
        return dict.fromkeys(names)
    first = trained[0]
    low, high = first.interval("runs_gain" if first.runs > 1 else "gain") or (None, None)
    raw = [statistics.fmean(row.win_rate for row in rows) for rows in (trained, before)]
    gains = [row.gain for row in trained]
    mean = None if None in gains else statistics.fmean(gains)
    return dict(zip(names, (mean, low, high, raw[0] - raw[1]), strict=True))


def table(rows: Sequence[Mapping], judge: str) -> Table:
    """For each model and method the three figures of each source, and which source leads in each of them.

    Args:
        rows: as `table_rows` gives them.
        judge: in words.
    """
    parts: list[tuple[str, str | Grid]] = [("title", "Diversity and quality (RQ1)")]
    groups: dict[tuple, list[Mapping]] = {}
    for row in rows:
        groups.setdefault((row["model_label"], row["method"]), []).append(row)
    for (label, _), group in groups.items():
        parts += [("name", label)] if len(groups) > 1 else []
        parts += [("grid", _grid(group)), ("words", _leaders(group))]
    parts.append(("words", _caption(rows, judge)))
    return Table(rows, parts)


def _grid(rows: Sequence[Mapping]) -> Grid:
    figures = {
        "Intra-diversity": lambda row: _interval(row, "diversity"),
        "Quality, LC": lambda row: _interval(row, "quality_lc_win_rate", "quality_lc"),
        "Quality, raw": lambda row: _interval(row, "quality_win_rate"),
        "paper's LC": lambda row: _number(row["quality_paper_lc_win_rate"]),
        "From SFT, LC": lambda row: _gained(row, "sft"),
        "From SFT, raw": lambda row: _number(row["sft_win_rate_gain"], "+"),
        "paper from SFT": lambda row: _number(row["paper_sft_gain"], "+"),
        "After PC_off, LC": lambda row: _gained(row, "off"),
        "After PC_off, raw": lambda row: _number(row["off_win_rate_gain"], "+"),
        "paper after PC_off": lambda row: _number(row["paper_off_gain"], "+"),
    }
    columns = {name: [cell(row) for row in rows] for name, cell in figures.items()}
    columns = {name: cells for name, cells in columns.items() if not (name.startswith("paper") and {*cells} == {"–"})}
    names = [f"PC_{row['source']}" for row in rows]
    return Grid(["Candidates", *columns], [*map(list, zip(names, *columns.values(), strict=True))])


def _number(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.2f}"


def _interval(row: Mapping, what: str, ends: str | None = None) -> str:
    if row[what] is None:
        return "–"
    low, high = (row[f"{ends or what}_{end}"] for end in ("low", "high"))
    return f"{row[what]:.2f} ({low:.2f} to {high:.2f})"


def _gained(row: Mapping, start: str) -> str:
    interval: Interval | None = None
    if row[f"{start}_gain_low"] is not None:
        interval = row[f"{start}_gain_low"], row[f"{start}_gain_high"]
    text = _number(row[f"{start}_gain"], "+")
    if interval:
        text += f" ({interval[0]:+.2f} to {interval[1]:+.2f})"
    return f"{text} {NOISE}" if row["runs"] > 1 and separated(interval) is False else text


def _leaders(rows: Sequence[Mapping]) -> str:
    """Which source leads in what, for those that were measured."""
    spread = [
        {**row, "spread": row["diversity_high"] - row["diversity_low"]} for row in rows if row["diversity"] is not None
    ]
    leads = {
        "the widest range of intra-diversity": (spread, "spread"),
        "the highest quality": (rows, "quality_win_rate"),
        "the largest gain from the SFT policy": (rows, "sft_win_rate_gain"),
        "the largest gain after PC_off": (rows, "off_win_rate_gain"),
    }
    words = []
    for what, (among, key) in leads.items():
        known = [row for row in among if row[key] is not None]
        if len(known) > 1:
            words.append(f"of {len(known)} sources, PC_{max(known, key=lambda row: row[key])['source']} has {what}")
    return f"By raw win rates: {'; '.join(words)}." if words else "Too little was measured to compare sources."


def _caption(rows: Sequence[Mapping], judge: str) -> str:
    runs = max(row["runs"] for row in rows)
    noise = (
        f"Gains are means over {runs} runs with 95 % intervals over instructions and runs; {NOISE}: the interval does not "
        "leave out zero."
        if runs > 1
        else "With one run, intervals hold which instructions were asked, and none of the gains is told from the noise of training."
    )
    return (
        "Intra-diversity: equation 12 in nats while the SFT policy is trained, the mean over training and the lowest and highest "
        "mean of a step; the paper argues from how far it fluctuates. Quality: percent of prompts on which "
        f"{judge} prefers a random candidate to the chosen off-policy response (Appendix C.5), by the study's first seed; – for "
        "what quality.pairs does not name. PC_on are samples of the SFT policy; the paper prints one figure for PC_on, which may be "
        "of another policy's (docs/paper.md). Gains: in points of win rate, length-controlled (LC) and raw, from the SFT policy and "
        f"from the policy that was trained on PC_off (Table 2). {noise} The paper's answer is that diversity leads in the first and "
        "quality in the second."
    )
