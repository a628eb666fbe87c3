"""A table of policies as people read it, in the paper's layout: models side by side where they fit."""

import re
import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from dpo_stages.report import capabilities, gainless, opinions, partings, tallies
from dpo_stages.report.arms import NOISE, Interval, delta, format_delta, separated
from dpo_stages.report.decisions import Decision, decisions
from dpo_stages.report.policy_rows import History, Row
from dpo_stages.report.records import judge_of
from dpo_stages.report.table import Grid, Table, with_iterations
from dpo_stages.report.writing import mean_over_runs, with_interval
from dpo_stages.report.yardsticks import LC_WIN_RATE, WIN_RATE, Yardstick, labelled, leading
from dpo_stages.study import arms
from dpo_stages.study.policies import Policy, data_of

WIDEST = 130  # characters of a Markdown line up to which models stand side by side, as in the paper
HEADERS = {
    "average_length": "Avg. Len",
    "boundary_score": "BS (initial)",
    opinions.COLUMN: "BS by",
    "delta": "Δ(×)",
    "chosen": "Chosen",
    "samples": "Samples",
    "labels": "Labels",
}
COLUMNS = tuple(HEADERS)
"""What may be shown besides the LC win rate and the win rate."""


def table(
    name: str,
    rows: Sequence[Row],
    columns: Sequence[str],
    notes: Sequence[str] = (),
    measured: capabilities.Measured = MappingProxyType({}),
    asked: opinions.Opinions = MappingProxyType({}),
) -> Table:
    """The table in the paper's layout: for each method one block a model, side by side where that is not too wide.

    Where there are several seeds or replicates, cells hold means over them, win rates and gains ± half of their 95 % interval
    over instructions and runs, lengths of Student's t over runs, boundary scores over seeds. Where there are boundary scores,
    there follow the two arms of each initial policy on every yardstick, how often the score picked the better one, also by
    method, model and iteration, where neither arm gains, and where the yardsticks part.

    Args:
        name: of the table.
        rows: as `build_rows` gives them.
        columns: those of `COLUMNS` that are wanted; what the rows do not have is left out.
        notes: sentences on what the figures are worth, for the caption.
        measured, asked: accuracy on tasks, boundary scores by other preference models: a column each; empty if not asked.
    """
    sources = {row.history[-1] for row in rows if row.history}
    shown = {
        "average_length": True,
        "boundary_score": any(row.boundary_score is not None for row in rows),
        opinions.COLUMN: bool(asked),
        "delta": any(arms.is_off_policy(source) and arms.on_policy(source, sources) for source in sources),
        "chosen": any(row.resolved_policy != row.policy for row in rows),
        "samples": any(row.samples_drawn is not None for row in rows),
        "labels": any(row.labels_made is not None for row in rows),
    }
    columns = [column for column in COLUMNS if column in columns and shown[column]]
    parts: list[tuple[str, str | Grid]] = [("title", re.sub("^table", "Table ", name))]
    methods = {row.method: row.method_label for row in rows}
    runs: dict[tuple, list[Row]] = {}
    for row in rows:
        runs.setdefault((row.model, row.method, row.history), []).append(row)
    for method, label in methods.items():
        models: dict[str, list[Row]] = {}
        for row in rows:
            if row.method == method:
                models.setdefault(row.model, []).append(row)
        parts += [("heading", label)] if len(methods) > 1 else []
        parts += _side_by_side([_block(group, columns, measured, asked) for group in models.values()])
    said = [*([opinions.CAPTION] if asked else []), *([capabilities.caption(measured)] if measured else [])]
    parts.append(("words", " ".join([_caption(rows, columns), *said, *notes])))
    if warning := capabilities.words([*runs.values()], measured) if measured else "":
        parts.append(("words", warning))
    if shown["boundary_score"]:
        parts += _answers(decisions(rows))
    parts += [("words", opinions.words(rows, asked))] if asked else []
    lines = with_iterations(rows)
    for line, row in zip(lines, rows, strict=True):
        line |= capabilities.columns(row, measured) if measured else {}
        line |= opinions.columns(row, asked)
    return Table(lines, parts)


def _answers(found: Sequence[Decision]) -> list[tuple[str, str | Grid]]:
    """Which arms are better, on every yardstick, and what that says of the boundary score."""
    parts: list[tuple[str, str | Grid]] = []
    if found:
        parts += [("name", "Off-policy arm against on-policy arm"), ("grid", tallies.compared_grid(found))]
        parts.append(("words", f"For each yardstick {tallies.compared_words(found)}"))
    parts.append(("words", tallies.sentence(found)))
    by_group = tallies.grid(found)
    parts += [("grid", by_group)] if by_group else []
    return [*parts, *(("words", said) for said in (gainless.sentence(found), partings.sentence(found)) if said)]


def _side_by_side(blocks: Sequence[Grid]) -> list[tuple[str, str | Grid]]:
    """One grid if its lines of Markdown are not too wide, else one for each model."""
    first, depth = blocks[0], blocks[0].groups[0][1]
    joined = Grid(
        [*first.columns[:depth], *(cell for block in blocks for cell in block.columns[depth:])],
        [
            [*rows[0][:depth], *(cell for row in rows for cell in row[depth:])]
            for rows in zip(*(block.rows for block in blocks), strict=True)
        ],
        [first.groups[0], *(block.groups[1] for block in blocks)],
    )
    if len(blocks) > 1 and len(joined.markdown().partition("\n")[0]) <= WIDEST:
        return [("grid", joined)]
    return [
        part for block in blocks for part in (("name", block.groups[1][0]), ("grid", Grid(block.columns, block.rows)))
    ]


def _block(
    rows: Sequence[Row], columns: Sequence[str], measured: capabilities.Measured, asked: opinions.Opinions
) -> Grid:
    """Lines of one model and method under its label; rows of several runs become one line."""
    depth, valid = max(len(row.history) for row in rows), rows[0].lc_valid
    lead = leading(valid)
    others = [one for one in (WIN_RATE, LC_WIN_RATE) if one is not lead and getattr(rows[0], one.level) is not None]
    by_history: dict[History, list[Row]] = {}
    for row in rows:
        by_history.setdefault(row.history, []).append(row)
    leading_lines = _leading_lines(by_history)
    lines = []
    for history, group in by_history.items():
        leads = history in leading_lines
        cells = {
            "average_length": mean_over_runs(_by_run(group, "average_length"), 0),
            "boundary_score": _boundary_score(group) if leads else "–",
            "delta": _delta(history, by_history, lead) if leads else "–",
            "chosen": _chosen(group),
            "samples": _mean_count([row.samples_drawn for row in group]),
            "labels": _mean_count([row.labels_made for row in group]),
        }
        iterations = [f"PC_{source}" for source in history] + ["–"] * (depth - len(history))
        win_rates = [_with_gain(group, lead), *(_level(group, one) for one in others)]
        by_others = [opinions.cell(group, name, asked) if leads else "–" for name in asked]
        shown = opinions.in_columns(columns, cells, by_others)
        able = (capabilities.cell(group, task, measured) for task in capabilities.tasks(measured))
        lines.append([*iterations, *win_rates, *shown, *able])
    iterations = [f"Iter-{number}" for number in range(1, depth + 1)]
    names = opinions.in_columns(columns, HEADERS, [f"{HEADERS[opinions.COLUMN]} {name}" for name in asked])
    header = [*(labelled(one, valid) for one in (lead, *others)), *names, *capabilities.tasks(measured)]
    return Grid([*iterations, *header], lines, [("", depth), (rows[0].model_label, len(header))])


def _by_run(group: Sequence[Row], figure: str) -> list[float]:
    """A figure of each run: of each replicate, or where there are several seeds the mean over a seed's replicates."""
    by_seed: dict[int, list[float]] = {}
    for row in group:
        by_seed.setdefault(row.seed, []).append(getattr(row, figure))
    return [*map(statistics.fmean, by_seed.values())] if len(by_seed) > 1 else [*by_seed.popitem()[1]]


def _level(group: Sequence[Row], of: Yardstick) -> str:
    return _mean([getattr(row, of.level) for row in group], group[0].interval(f"runs_{of.name}"))


def _with_gain(group: Sequence[Row], of: Yardstick) -> str:
    first, text = group[0], _level(group, of)
    if getattr(first, of.gain) is None:
        return text
    gained = _mean([getattr(row, of.gain) for row in group], first.interval(f"runs_{of.gain}"), "+")
    if len(group) == 1 and first.interval(of.gain):
        low, high = first.interval(of.gain)
        gained += f"; {low:+.2f} to {high:+.2f}"
    return f"{text} ({gained}{f' {NOISE}' if separated(first.interval(f'runs_{of.gain}')) is False else ''})"


def _mean(values: Sequence[float], interval: Interval | None, sign: str = "") -> str:
    """The mean over runs ± half of its interval."""
    text = f"{statistics.fmean(values):{sign}.2f}"
    return f"{text} ± {(interval[1] - interval[0]) / 2:.2f}" if interval else text


def _chosen(group: Sequence[Row]) -> str:
    """The fixed histories that a history stands for, with their number of seeds where they differ."""
    if group[0].resolved_policy == group[0].policy:
        return "–"
    chosen = (row.resolved_policy for row in group if row.replicate == 1)
    counts = Counter("→".join(Policy.parse(policy).history) for policy in chosen)
    return ", ".join(name if len(counts) == 1 else f"{name} ({count})" for name, count in counts.most_common())


def _mean_count(values: Sequence[int | None]) -> str:
    return "–" if None in values else f"{statistics.fmean(values):,.0f}"


def _boundary_score(group: Sequence[Row]) -> str:
    scores = [*{row.initial_policy: row.boundary_score for row in group}.values()]  # one for all replicates
    if len(scores) > 1 or scores[0] is None:
        return "–" if None in scores else mean_over_runs(scores)
    return with_interval(scores[0], group[0].boundary_low, group[0].boundary_high)


def _data_set(history: History) -> str | None:
    """The data set that it was trained on last where that is not the preference data, whose boundary score is its own."""
    return data_of(history[-1])[1] if history else None


def _leading_lines(histories: Collection[History]) -> set[History]:
    """Where the boundary score and Δ of an initial policy stand: in the first line of those trained from it.

    With several data sets in the line of each one's off-policy arm, else in the first of its lines.
    """
    trained = [history for history in histories if history]
    if any(map(_data_set, trained)):
        trained.sort(key=lambda history: not arms.is_off_policy(history[-1]))
    return {*{(history[:-1], _data_set(history)): history for history in reversed(trained)}.values()}


def _delta(history: History, by_history: Mapping[History, Sequence[Row]], of: Yardstick) -> str:
    """Δ of its initial policy and the data set that its last source is of."""
    beside = {other[-1]: group for other, group in by_history.items() if other and other[:-1] == history[:-1]}
    off = arms.off_policy(history[-1])
    on = arms.on_policy(off, beside)
    if off not in beside or on is None:
        return "–"
    gains = (statistics.fmean(getattr(row, of.gain) for row in beside[source]) for source in (off, on))
    return format_delta(delta(*gains))


def _caption(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """What the columns mean, and what the figures are relative to."""
    first, several = rows[0], any(_data_set(row.history) for row in rows)
    seeds, replicates = len({row.seed for row in rows}), max(row.replicate for row in rows)
    runs = seeds * replicates
    length_controlled = first.lc_win_rate is not None
    controlled = f" (LC: length-controlled, {first.lc_kind})" if length_controlled else ""
    sentences = [
        f"Percent of {first.instructions} instructions on which {judge_of(vars(first))} prefers the policy to the reference"
        f"{controlled}, and in parentheses the gain over the initial policy in points."
    ]
    if first.lc_valid is False and length_controlled:
        sentences.append(
            "Length control is not valid for these instructions, so gains and Δ are those of the plain win rate."
        )
    if any(row.interval(leading(first.lc_valid).gain) for row in rows):
        sentences.append(
            f"{NOISE}: the 95 % interval of the gain over {runs} runs does not leave out zero."
            if runs > 1
            else "Intervals hold which instructions were asked, and not that training once more gives another policy: that takes "
            "several runs (`replicates` or `seeds`)."
        )
    if cut := [row.truncated for row in rows if row.truncated]:
        sentences.append(f"{sum(cut)} outputs, at most {max(cut)} of a policy, were cut at the limit of their length.")
    if "average_length" in columns:
        sentences.append("Avg. Len: characters of an output.")
    if "boundary_score" in columns:
        sentences.append(
            "BS (initial): boundary score of the initial policy, V_on / (V_on + V_off), with its interval; below 0.5 "
            "the policy is in preference injection, and off-policy candidates are recommended (Δ > 1 where they gain more), "
            "otherwise in preference fine-tuning, and on-policy candidates are (Δ < 1), relative to the preference model that "
            "labels."
        )
        if several:
            sentences.append(
                "Of a source like off.NAME it is the score against the data set NAME; intervals of a policy's scores hold together."
            )
    if "delta" in columns:
        sentences.append(
            "Δ: gain with off-policy candidates over gain with on-policy candidates; +∞ where only the former gain, "
            "– where neither do."
        )
        if several:
            sentences.append(
                "That of off.NAME is over the gain with own samples for the prompts of NAME (on.NAME) where they are here, else with "
                "those for the prompts of the first data set (on)."
            )
    if "chosen" in columns:
        sentences.append("Chosen: the sources that `auto` took; the policy is the one of that fixed history.")
    if "samples" in columns or "labels" in columns:
        sentences.append(
            "Samples: responses of policies that a history needs, and Labels: pairs that the preference model compares for "
            "it, both with those of the boundary scores that it follows; what arms share is counted for each."
        )
    if runs > 1:
        counted = f"{seeds} seed{'s' if seeds > 1 else ''}"
        counted = counted if replicates == 1 else f"{runs} runs ({counted}, {replicates} replicates)"
        sentences.append(
            f"Means of {counted} ± half of the 95 % interval: of win rates and gains over instructions and runs, with the "
            f"variance of a run pooled over the policies here; of lengths over runs{' and boundary scores over seeds' * (seeds > 1)} "
            "(Student's t)."
        )
    if replicates > 1 and seeds == 1:
        sentences.append(
            "Replicates share the initial policy with its evaluation, samples, labels and boundary score, so intervals over runs "
            "hold the noise of the last training and its evaluation alone; that of what was before takes several `seeds`."
        )
    return " ".join(sentences)
