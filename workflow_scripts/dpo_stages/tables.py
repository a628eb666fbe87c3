"""Tables of policies: which belong into one, what they gained, and how the table is written. Standard library only.

A table holds, for each model, seed and method, the SFT policy and the policies of a set of histories. Gains and Δ are
computed here from the win rates (see `arms`), never read from anywhere.
"""

import csv
import io
import itertools
import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from dpo_stages.annotations import describe_judge
from dpo_stages.arms import NOISE, OFF, ON, Decision, Interval, delta, format_delta, gain, separated, tally
from dpo_stages.files import read_text
from dpo_stages.policies import Policy
from dpo_stages.program import BadInput

History = tuple[str, ...]

WIDEST = 130  # characters of a Markdown line up to which models stand side by side, as in the paper
PAPER = Path(__file__).resolve().parent.parent / "paper_reference"

JUDGE_COLUMNS = {"judge": "model", "judge_version": "version", "judge_prompt": "prompt", "judge_endpoint": "endpoint"}
"""The columns of a table that name its judge, and what they hold of annotations.judge_record."""

COLUMNS = ("average_length", "boundary_score", "delta", "chosen", "samples", "labels")
"""What Markdown may show besides the LC win rate and the win rate."""


@dataclass(frozen=True)
class Row:
    """One policy of a table. Win rates and gains are in percent and percentage points, lengths in characters.

    Attributes:
        model: name of the base model, without the seed.
        model_label: its name in tables.
        method: preference optimisation method of the table; SFT policies appear under each.
        method_label: its name in tables.
        seed: seed of the replication.
        history: candidate sources of the iterations, oldest first; empty for the SFT policy.
        policy: name of the policy.
        resolved_policy: the policy of the fixed history that it stands for where `auto` chose; else its own name.
        initial_policy: name of the policy that this one was trained from; None for the SFT policy.
        lc_win_rate: length-controlled win rate.
        lc_low: lower end of its interval; None if it was not measured.
        lc_high: upper end.
        gain: LC win rate minus the initial policy's; None for the SFT policy.
        gain_low: lower end of the gain's interval; None if it was not measured.
        gain_high: upper end.
        gain_separated: whether the interval leaves out zero; None if it was not measured.
        win_rate: win rate.
        win_rate_low: lower end of its interval; None if it was not measured.
        win_rate_high: upper end.
        average_length: mean length of the outputs.
        boundary_score: of the initial policy; None for the SFT policy and where boundaries were not asked for.
        boundary_low: lower end of its interval.
        boundary_high: upper end.
        stage: stage of the initial policy.
        recommended_source: candidate source that the stage recommends.
        delta: Δ of the initial policy; None where it has no off-policy and on-policy arm or neither gains.
        difference: gain of the off-policy arm minus gain of the on-policy arm; None where one is missing.
        difference_low: lower end of its interval; None if it was not measured.
        difference_high: upper end.
        judge: name of the model that compared the outputs with the reference's.
        judge_version: what its endpoint calls it.
        judge_prompt: what it was asked.
        judge_endpoint: kind of its endpoint, see annotations.ENDPOINTS.
        lc_kind: difficulties that the length-controlled win rate stands on, see win_rate.LC_KINDS.
        instructions: number of instructions.
        truncated: outputs that were cut at the limit of their length; None if nobody counted.
        samples_drawn: responses of policies that the history needs; None without its trace.
        labels_made: pairs that the preference model compares for it; None without its trace.
    """

    model: str
    model_label: str
    method: str
    method_label: str
    seed: int
    history: History
    policy: str
    resolved_policy: str
    initial_policy: str | None
    lc_win_rate: float
    lc_low: float | None
    lc_high: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    gain_separated: bool | None
    win_rate: float
    win_rate_low: float | None
    win_rate_high: float | None
    average_length: float
    boundary_score: float | None
    boundary_low: float | None
    boundary_high: float | None
    stage: str | None
    recommended_source: str | None
    delta: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    judge: str | None
    judge_version: str | None
    judge_prompt: str | None
    judge_endpoint: str | None
    lc_kind: str
    instructions: int
    truncated: int | None
    samples_drawn: int | None
    labels_made: int | None


def named(model: str, seed: int, seeds: Sequence[int], method: str, history: History) -> Policy:
    """The policy of a row. The first of `seeds` keeps the plain name of the model."""
    return Policy(model, None if seed == seeds[0] else seed, method if history else None, history)


def labels(pairs: Iterable[str]) -> dict[str, str]:
    """`NAME=LABEL` arguments as a dictionary; a name without a label is its own."""
    return {name: label or name for name, _, label in (pair.partition("=") for pair in pairs)}


def by_policy(records: Iterable[tuple[Path, dict]], what: str) -> dict[str, dict]:
    """Index JSON records by their `policy`.

    Args:
        records: each with the file that it was read from.
        what: "win rate" or the like, for messages.

    Raises:
        BadInput: a record has no policy, or two have the same.
    """
    found: dict[str, tuple[Path, dict]] = {}
    for path, record in records:
        if not isinstance(record, dict) or not isinstance(record.get("policy"), str):
            raise BadInput(f"{path} holds no {what}: it has no 'policy'")
        policy = str(Policy.parse(record["policy"]))
        if policy in found:
            raise BadInput(f"{found[policy][0]} and {path} are both the {what} of {policy}; give one of them")
        found[policy] = path, {**record, "file": str(path)}
    return {policy: record for policy, (_, record) in found.items()}


def build_rows(
    models: Mapping[str, str],
    methods: Mapping[str, str],
    seeds: Sequence[int],
    histories: Sequence[History],
    win_rates: Mapping[str, dict],
    boundaries: Mapping[str, dict] | None,
    paired_interval: Callable[[str, str], Interval] | None = None,
    traces: Mapping[str, dict] | None = None,
) -> list[Row]:
    """The rows of a table: for each model, method and seed the SFT policy, then the policies of `histories`.

    Args:
        models: names and labels.
        methods: names and labels.
        seeds: the study's seeds.
        histories: candidate sources of each policy, in the table's order.
        win_rates: contents of win_rate.json by policy, of all policies here and of those that they were trained from.
        boundaries: contents of results/boundary/*.json by policy, of all initial policies; None leaves them out.
        paired_interval: gives the interval of the difference of two policies' LC win rates; None leaves intervals of
            gains and differences out.
        traces: contents of results/traces/*.json by policy: of those that leave a source to `auto`, and of all whose
            costs are wanted.

    Raises:
        BadInput: a policy is missing, or the results come from different judges or preference models.
    """
    require_same(win_rates, ("judge", "lc_kind", "difficulties_fitted_over", "resampled_from"), "win rates")
    if boundaries is not None:
        require_same(boundaries, ("preference_model", "preference_data", "confidence"), "boundary scores")
    interval = paired_interval or (lambda policy, other: None)
    rows = []
    for model, method, seed in itertools.product(models, methods, seeds):
        policies = [named(model, seed, seeds, method, history) for history in ((), *histories)]
        stands_for = {policy: _resolved(policy, traces or {}) for policy in policies}
        gained = {policy: _gain(policy, win_rates) for policy in stands_for.values() if policy.history}
        for named_policy, policy in stands_for.items():
            initial = policy.initial if policy.history else None
            gained_within = interval(str(policy), str(initial)) if initial else None
            arms = [initial.then(method, source) for source in (OFF, ON)] if initial else []
            rows.append(
                Row(
                    model=model,
                    model_label=models[model],
                    method=method,
                    method_label=methods[method],
                    seed=seed,
                    history=named_policy.history,
                    policy=str(named_policy),
                    resolved_policy=str(policy),
                    initial_policy=str(initial) if initial else None,
                    gain=gained.get(policy),
                    gain_low=gained_within and gained_within[0],
                    gain_high=gained_within and gained_within[1],
                    gain_separated=separated(gained_within),
                    **_comparison(*arms, gained, interval) if gained.keys() >= {*arms} and arms else _NO_COMPARISON,
                    **_evaluation(_find(win_rates, policy, "win rate")),
                    **_boundary(_find(boundaries, initial, "boundary score") if initial and boundaries else None),
                    **_costs((traces or {}).get(str(named_policy))),
                )
            )
    return rows


def _resolved(policy: Policy, traces: Mapping[str, dict]) -> Policy:
    return Policy.parse(_find(traces, policy, "trace")["resolved_policy"]) if policy.chooses else policy


def _costs(record: dict | None) -> dict:
    return {name: None if record is None else _number(record, name) for name in ("samples_drawn", "labels_made")}


def _find(records: Mapping[str, dict], policy: Policy, what: str) -> dict:
    if str(policy) not in records:
        raise BadInput(f"the {what} of {policy} is missing; give its file too")
    return records[str(policy)]


def _gain(policy: Policy, win_rates: Mapping[str, dict]) -> float:
    after, before = (_find(win_rates, which, "win rate") for which in (policy, policy.initial))
    return gain(_number(after, "lc_win_rate"), _number(before, "lc_win_rate"))


_NO_COMPARISON = dict.fromkeys(("delta", "difference", "difference_low", "difference_high"))


def _comparison(off: Policy, on: Policy, gained: Mapping[Policy, float], interval: Callable) -> dict:
    low, high = interval(str(off), str(on)) or (None, None)
    values = (delta(gained[off], gained[on]), gained[off] - gained[on], low, high)
    return dict(zip(_NO_COMPARISON, values, strict=True))


def require_same(records: Mapping[str, dict], keys: Sequence[str], what: str) -> None:
    """Make sure that results relative to different things never meet in one table.

    Args:
        records: as `by_policy` gives them.
        keys: what has to be the same in all of them.
        what: "win rates" or the like, for messages.

    Raises:
        BadInput: two records differ in one of the keys.
    """
    for key in keys:
        seen: dict[str, dict] = {}
        for record in records.values():
            seen.setdefault(_words(record.get(key)), record)
        if len(seen) > 1:
            (one, first), (other, second), *_ = seen.items()
            raise BadInput(
                f"{what} with another {key.replace('_', ' ')} cannot stand in one table: "
                f"{first['file']} has {one}, {second['file']} has {other}"
            )


def _words(value: object) -> str:
    return ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else str(value)


def _number(record: dict, key: str) -> float:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadInput(f"{record['file']}: {key} is {value!r}; a number is needed, so make the file again")
    return value


def _evaluation(record: dict) -> dict:
    judge = record.get("judge")
    lc_interval, interval = (record.get(key) or (None, None) for key in ("lc_interval", "win_rate_interval"))
    return {
        "lc_win_rate": _number(record, "lc_win_rate"),
        "lc_low": lc_interval[0],
        "lc_high": lc_interval[1],
        "win_rate": _number(record, "win_rate"),
        "win_rate_low": interval[0],
        "win_rate_high": interval[1],
        "average_length": _number(record, "average_length"),
        **judge_columns(judge),
        "lc_kind": str(record.get("lc_kind")),
        "instructions": _number(record, "instructions"),
        "truncated": record.get("truncated"),
    }


def judge_columns(judge: dict[str, str] | None) -> dict[str, str | None]:
    """The columns of a table that name its judge; None where nobody knows."""
    return {column: judge and judge[name] for column, name in JUDGE_COLUMNS.items()}


def judge_of(row: Mapping[str, str | None]) -> str:
    """The judge of a row in words; an empty name is none."""
    judge = {name: row[column] for column, name in JUDGE_COLUMNS.items()}
    return describe_judge(judge if judge["model"] else None)


def one_judge(rows: Iterable[Mapping[str, str | None]]) -> str:
    """The judge of all rows in words.

    Raises:
        BadInput: they have different judges.
    """
    judges = sorted({judge_of(row) for row in rows})
    if len(judges) > 1:
        raise BadInput(f"results of different judges cannot be shown together: {'; '.join(judges)}")
    return judges[0]


def _boundary(record: dict | None) -> dict:
    names = ("boundary_score", "boundary_low", "boundary_high", "stage", "recommended_source")
    if record is None:
        return dict.fromkeys(names)
    low, high = record["interval"]
    values = (_number(record, "boundary_score"), low, high, record["stage"], record["recommended_source"])
    return dict(zip(names, values, strict=True))


def decisions(rows: Iterable[Row]) -> list[Decision]:
    """What the boundary score recommended for each initial policy that has an off-policy and an on-policy arm."""
    arms: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        if row.initial_policy is not None and row.boundary_score is not None:
            arms.setdefault((row.initial_policy, row.method), {})[row.history[-1]] = row
    return [
        Decision(
            initial,
            method,
            arm[OFF].boundary_score,
            arm[OFF].recommended_source,
            arm[OFF].gain,
            arm[ON].gain,
            _interval(arm[OFF].difference_low, arm[OFF].difference_high),
            *(_interval(arm[source].gain_low, arm[source].gain_high) for source in (OFF, ON)),
        )
        for (initial, method), arm in arms.items()
        if OFF in arm and ON in arm
    ]


def _interval(low: float | None, high: float | None) -> Interval | None:
    return None if low is None or high is None else (low, high)


def rows_as_csv(rows: Sequence[Row]) -> str:
    """One line a row; `history` becomes the columns iter_1, iter_2, …. Empty: there is none. inf: Δ is infinite."""
    depth = max(len(row.history) for row in rows)
    iterations = [f"iter_{number}" for number in range(1, depth + 1)]
    names = [name for field in fields(Row) for name in (iterations if field.name == "history" else [field.name])]
    lines = [{**vars(row), **dict(itertools.zip_longest(iterations, row.history)), "history": None} for row in rows]
    return as_csv(names, lines)


def decisions_as_csv(found: Sequence[Decision], judge: str) -> str:
    """One line an initial policy and method: recommended and better arm, both gains, their difference, the judge."""
    names = ["initial_policy", "method", "boundary_score", "recommended", "off_gain", "on_gain"]
    names += ["difference", "separated", "better", "right"]
    lines = [{**{name: getattr(decision, name) for name in names}, "judge": judge} for decision in found]
    return as_csv([*names, "judge"], lines)


def as_csv(names: Sequence[str], lines: Iterable[Mapping[str, object]]) -> str:
    """CSV with a header; floats keep six decimals, None is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for line in lines:
        writer.writerow([round(line[name], 6) if isinstance(line[name], float) else line[name] for name in names])
    return text.getvalue()


def read_csv(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV file with a header.

    Raises:
        BadInput: the file is missing, has no row, or lacks one of the columns `needed`.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
    except csv.Error as error:
        raise BadInput(f"{path} is not a CSV file: {error}") from error
    if not rows:
        raise BadInput(f"{path} has no rows")
    missing = [name for name in needed if name not in rows[0]]
    if missing:
        raise BadInput(f"{path} lacks the column {', '.join(missing)}")
    return rows


def paper_table(number: int) -> list[dict[str, str]]:
    """The figures that the paper prints in one of its tables, as they stand there; see paper_reference/README.md."""
    return read_csv(PAPER / f"table{number}.csv", ("table", "row", "model", "method", "iter_1", "iter_2"))


def paper_decisions(number: int) -> list[Decision]:
    """The initial policies of the paper's Table 3, 4 or 5, with gains computed from its LC win rates."""
    from dpo_stages.boundary import recommended_source

    rows = paper_table(number)
    policies = {
        named(row["model"], 0, [0], row["method"], tuple(filter(None, (row["iter_1"], row["iter_2"])))): row
        for row in rows
    }
    found = []
    for policy, row in policies.items():
        if row["boundary_score"]:
            initial, score = policy.initial, float(row["boundary_score"])
            before = float(policies[initial]["lc_win_rate"])
            arms = [policies[initial.then(row["method"], source)] for source in (OFF, ON)]
            off_gain, on_gain = (round(gain(float(arm["lc_win_rate"]), before), 2) for arm in arms)
            found.append(Decision(str(initial), row["method"], score, recommended_source(score), off_gain, on_gain))
    return found


@dataclass(frozen=True)
class _Block:
    """The lines of one model and method in a Markdown table, one a history."""

    label: str
    iterations: list[list[str]]
    header: list[str]
    cells: list[list[str]]


def as_markdown(name: str, rows: Sequence[Row], columns: Sequence[str]) -> str:
    """The table in the paper's layout: for each method one block a model, side by side where that is not too wide.

    Where there are several seeds, cells hold the mean over seeds ± half of its 95 % interval (Student's t). Where there
    are boundary scores, how often they picked the better arm follows, by method, model and iteration too if there are
    several seeds or methods.

    Args:
        name: of the table.
        rows: as `build_rows` gives them.
        columns: those of `COLUMNS` that are wanted; what the rows do not have is left out.
    """
    shown = {
        "average_length": True,
        "boundary_score": any(row.boundary_score is not None for row in rows),
        "delta": {OFF, ON} <= {row.history[-1] for row in rows if row.history},
        "chosen": any(row.resolved_policy != row.policy for row in rows),
        "samples": any(row.samples_drawn is not None for row in rows),
        "labels": any(row.labels_made is not None for row in rows),
    }
    columns = [column for column in COLUMNS if column in columns and shown[column]]
    parts = [f"# {re.sub('^table', 'Table ', name)}"]
    methods = {row.method: row.method_label for row in rows}
    for method, label in methods.items():
        models: dict[str, list[Row]] = {}
        for row in rows:
            if row.method == method:
                models.setdefault(row.model, []).append(row)
        parts += [f"## {label}"] if len(methods) > 1 else []
        parts += _side_by_side([_block(group, columns) for group in models.values()])
    parts.append(_caption(rows, columns))
    if shown["boundary_score"]:
        parts.append(tally(decisions(rows)).sentence())
        parts += [_tallies(rows)] if len(methods) > 1 or len({row.seed for row in rows}) > 1 else []
    return "\n\n".join(parts) + "\n"


def _tallies(rows: Sequence[Row]) -> str:
    """How often the boundary score picked the better arm: over all, and by method, model and iteration."""
    found = decisions(rows)
    initial = {decision: Policy.parse(decision.initial_policy) for decision in found}
    model_labels = {row.model: row.model_label for row in rows}
    method_labels = {row.method: row.method_label for row in rows}
    groups = {"all": found}
    for decision in found:
        for group in (
            method_labels[decision.method],
            model_labels[initial[decision].model],
            f"iteration {initial[decision].iteration + 1}",
        ):
            groups.setdefault(group, []).append(decision)
    lines = [["Initial policies", "Better arm picked", "Share", "95 % interval"]]
    for group, members in sorted(groups.items(), key=lambda item: (item[0] != "all", item[0])):
        counted = tally(members)
        if counted.judged:
            low, high = counted.interval
            share = f"{counted.right / counted.judged:.0%}"
            lines.append([group, f"{counted.right} of {counted.judged}", share, f"{low:.0%} to {high:.0%}"])
    return markdown_table(lines)


def _side_by_side(blocks: Sequence[_Block]) -> list[str]:
    """One Markdown table if its lines are not too wide, else one for each model."""
    iterations = blocks[0].iterations
    names = [f"Iter-{number}" for number in range(1, len(iterations[0]) + 1)]
    labels = [cell for block in blocks for cell in (block.label, *[""] * (len(block.header) - 1))]
    joined = markdown_table(
        [
            [*[""] * len(names), *labels],
            [*names, *(cell for block in blocks for cell in block.header)],
            *(
                [*line, *itertools.chain(*cells)]
                for line, *cells in zip(iterations, *(block.cells for block in blocks), strict=True)
            ),
        ]
    )
    if len(blocks) > 1 and len(joined.partition("\n")[0]) <= WIDEST:
        return [joined]
    return [
        part
        for block in blocks
        for part in (
            f"**{block.label}**",
            markdown_table(
                [
                    [*names, *block.header],
                    *([*line, *cells] for line, cells in zip(block.iterations, block.cells, strict=True)),
                ]
            ),
        )
    ]


def _block(rows: Sequence[Row], columns: Sequence[str]) -> _Block:
    """Lines of one model and method; rows of several seeds become one line."""
    depth = max(len(row.history) for row in rows)
    by_history: dict[History, list[Row]] = {}
    for row in rows:
        by_history.setdefault(row.history, []).append(row)
    first_lines = {history[:-1]: history for history in reversed(by_history) if history}
    iterations, lines = [], []
    for history, group in by_history.items():
        iterations.append([f"PC_{source}" for source in history] + ["–"] * (depth - len(history)))
        # what belongs to the initial policy stands in the first line of those trained from it
        first = history in first_lines.values()
        special = {
            "average_length": mean_over_seeds([row.average_length for row in group], 0),
            "boundary_score": _boundary_score(group) if first else "–",
            "delta": _delta(history[:-1], by_history) if first else "–",
            "chosen": _chosen(group),
            "samples": _mean_count([row.samples_drawn for row in group]),
            "labels": _mean_count([row.labels_made for row in group]),
        }
        win_rate = mean_over_seeds([row.win_rate for row in group])
        lines.append([_lc_win_rate(group), win_rate, *(special[column] for column in columns)])
    headers = {
        "average_length": "Avg. Len",
        "boundary_score": "BS (initial)",
        "delta": "Δ(×)",
        "chosen": "Chosen",
        "samples": "Samples",
        "labels": "Labels",
    }
    header = ["LC Win Rate", "Win Rate", *(headers[column] for column in columns)]
    return _Block(rows[0].model_label.replace("|", r"\|"), iterations, header, lines)


def _lc_win_rate(group: Sequence[Row]) -> str:
    text = mean_over_seeds([row.lc_win_rate for row in group])
    gains = [row.gain for row in group]
    if gains[0] is None:
        return text
    shown, found = mean_over_seeds(gains, sign="+"), group[0].gain_separated
    if len(group) > 1:
        found = abs(statistics.fmean(gains)) > half_of_interval(gains)
    elif found is not None:
        shown += f"; {group[0].gain_low:+.2f} to {group[0].gain_high:+.2f}"
    return f"{text} ({shown}{f' {NOISE}' if found is False else ''})"


def _chosen(group: Sequence[Row]) -> str:
    """The fixed histories that a history stands for, with their number of seeds where they differ."""
    if group[0].resolved_policy == group[0].policy:
        return "–"
    counts = Counter("→".join(Policy.parse(row.resolved_policy).history) for row in group)
    return ", ".join(name if len(counts) == 1 else f"{name} ({count})" for name, count in counts.most_common())


def _mean_count(values: Sequence[int | None]) -> str:
    return "–" if None in values else f"{statistics.fmean(values):,.0f}"


def _boundary_score(group: Sequence[Row]) -> str:
    scores = [row.boundary_score for row in group]
    if len(scores) > 1 or scores[0] is None:
        return "–" if None in scores else mean_over_seeds(scores)
    return f"{scores[0]:.2f} ({group[0].boundary_low:.2f}–{group[0].boundary_high:.2f})"


def _delta(initial: History, by_history: Mapping[History, Sequence[Row]]) -> str:
    arms = [by_history.get((*initial, source)) for source in (OFF, ON)]
    if None in arms:
        return "–"
    return format_delta(delta(*(statistics.fmean(row.gain for row in arm) for arm in arms)))


def mean_over_seeds(values: Sequence[float], decimals: int = 2, sign: str = "") -> str:
    """The mean, and with several values half the width of its 95 % interval by Student's t."""
    text = f"{statistics.fmean(values):{sign}.{decimals}f}"
    return text if len(values) == 1 else f"{text} ± {half_of_interval(values):.{decimals}f}"


def half_of_interval(values: Sequence[float]) -> float:
    """Half the width of the mean's 95 % interval by Student's t; at least two values."""
    from scipy.special import stdtrit

    return float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first line is the header, padded so that it reads well as plain text too."""
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(lines[0]))]
    padded = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {padded[0]} |", f"|{rule}|", *(f"| {line} |" for line in padded[1:])])


def _caption(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """What the columns mean, and what the figures are relative to."""
    first, seeds = rows[0], len({row.seed for row in rows})
    sentences = [
        f"Percent of {first.instructions} instructions on which {judge_of(vars(first))} prefers the policy to the reference "
        f"(LC: length-controlled, {first.lc_kind}), and in parentheses the gain over the initial policy in points."
    ]
    if seeds > 1 or any(row.gain_separated is not None for row in rows):
        sentences.append(f"{NOISE}: the 95 % interval of the gain does not leave out zero.")
    if cut := [row.truncated for row in rows if row.truncated]:
        sentences.append(f"{sum(cut)} outputs, at most {max(cut)} of a policy, were cut at the limit of their length.")
    if "average_length" in columns:
        sentences.append("Avg. Len: characters of an output.")
    if "boundary_score" in columns:
        sentences.append(
            "BS (initial): boundary score of the initial policy, V_on / (V_on + V_off), with its interval; below 0.5 "
            "the policy is in preference injection, and off-policy candidates are expected to gain more (Δ > 1), "
            "otherwise in preference fine-tuning, and on-policy candidates are (Δ < 1)."
        )
    if "delta" in columns:
        sentences.append(
            "Δ: gain with off-policy candidates over gain with on-policy candidates; +∞ where only the former gain, "
            "– where neither do."
        )
    if "chosen" in columns:
        sentences.append("Chosen: the sources that `auto` took; the policy is the one of that fixed history.")
    if "samples" in columns or "labels" in columns:
        sentences.append(
            "Samples: responses of policies that a history needs, and Labels: pairs that the preference model compares for "
            "it, both with those of the boundary scores that it follows; what arms share is counted for each."
        )
    if seeds > 1:
        sentences.append(f"Means of {seeds} seeds ± half of the 95 % interval.")
    return " ".join(sentences)
