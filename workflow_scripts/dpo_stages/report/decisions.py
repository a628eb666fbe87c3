"""Which candidate source the boundary score of each initial policy recommends, and which arm is better on each yardstick.

Standard library only.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dpo_boundary.result import recommended_source
from dpo_stages.core.errors import BadInput
from dpo_stages.report.arms import Interval, separated
from dpo_stages.report.policy_rows import Row, read_rows
from dpo_stages.report.records import one_judge
from dpo_stages.report.table import Table
from dpo_stages.report.yardsticks import LC_WIN_RATE, WIN_RATE, YARDSTICKS, Yardstick, leading, yardsticks
from dpo_stages.study import arms
from dpo_stages.study.policies import OFF, ON, Policy, data_of

NEITHER, NO_GAIN = "train on neither", "neither arm shows a gain"


@dataclass(frozen=True)
class Decision:
    """What the boundary score against a data set recommended for one initial policy, and what its arms then came to.

    `pooled` makes one of several seeds: then scores, gains and differences are means over them. `off` and `on` are its two arms,
    whatever their sources are called.

    Attributes:
        off_rows: the off-policy arm in each of its replicates; they have what is known of the initial policy and the data set.
        on_rows: the same of the on-policy arm that it is held against.
        whole: whether these are all runs of the model, method and history, and not one of several seeds.
    """

    off_rows: tuple[Row, ...]
    on_rows: tuple[Row, ...]
    whole: bool = True

    @property
    def off(self) -> Row:
        """The first run of the off-policy arm, for what all share."""
        return self.off_rows[0]

    @property
    def off_source(self) -> str:
        """What its off-policy arm was trained on."""
        return self.off.history[-1]

    @property
    def on_source(self) -> str:
        """What its on-policy arm was trained on."""
        return self.on_rows[0].history[-1]

    @property
    def pair(self) -> str:
        """Both, for people."""
        return f"{self.off_source} against {self.on_source}"

    @property
    def initial_policy(self) -> str:
        """Name of the initial policy."""
        return self.off.initial_policy

    @property
    def asked(self) -> str:
        """The same, asked the prompts of the data set: the name of what was measured of it."""
        return str(Policy.parse(self.initial_policy).asking(data_of(self.off_source)[1]))

    @property
    def boundary_score(self) -> float:
        """Boundary score of the initial policy against the data set."""
        return statistics.fmean({row.initial_policy: row.boundary_score for row in self.off_rows}.values())

    @property
    def recommended(self) -> str:
        """`off` or `on`, by the boundary score."""
        return recommended_source(self.boundary_score)

    @property
    def decided(self) -> bool | None:
        """Whether the boundary score is told apart from 0.5, in every seed of several; None where nobody knows."""
        verdicts = {row.boundary_verdict for row in self.off_rows}
        return None if None in verdicts else verdicts == {"decided"}

    @property
    def recommendation(self) -> str:
        """The recommended source, and that the score is undecided."""
        return self.recommended + (" (undecided)" if self.decided is False else "")

    @property
    def leading(self) -> Yardstick:
        """The judge's win rate that gains are shown of."""
        return leading(self.off.lc_valid)

    @property
    def yardsticks(self) -> tuple[Yardstick, ...]:
        """What its arms are held against each other with, of all three what was measured."""
        return tuple(one for one in yardsticks(self.off.lc_valid) if self.compared(one) is not None)

    def gain(self, source: str, yardstick: Yardstick) -> float | None:
        """Mean gain of an arm, in percentage points; None where it was not measured."""
        return _mean(getattr(row, yardstick.gain) for row in (self.off_rows if source == OFF else self.on_rows))

    def gain_interval(self, source: str, yardstick: Yardstick) -> Interval | None:
        """The interval of an arm's gain: over instructions and runs, or of one run over instructions."""
        rows = self.off_rows if source == OFF else self.on_rows
        return self._interval(rows, yardstick.gain)

    def compared(self, yardstick: Yardstick) -> float | None:
        """The off-policy arm against the on-policy arm, in the unit of the yardstick; None where it was not measured."""
        if yardstick.gain is None:
            return _mean(getattr(row, yardstick.compared) for row in self.off_rows)
        gains = [self.gain(source, yardstick) for source in (OFF, ON)]
        return None if None in gains else gains[0] - gains[1]

    def interval(self, yardstick: Yardstick) -> Interval | None:
        """The interval of that: over instructions and runs, or of one run over instructions."""
        return self._interval(self.off_rows, yardstick.compared)

    def _interval(self, rows: Sequence[Row], figure: str) -> Interval | None:
        over_runs = rows[0].interval(f"runs_{figure}") if self.whole else None
        return over_runs or (rows[0].interval(figure) if len(rows) == 1 else None)

    def better(self, yardstick: Yardstick) -> str | None:
        """The better arm, or None if both are equal or it was not measured."""
        compared = self.compared(yardstick)
        if compared is None or compared == yardstick.even:
            return None
        return OFF if compared > yardstick.even else ON

    def right(self, yardstick: Yardstick) -> bool | None:
        """Whether the recommended arm is the better one; None if neither is."""
        return None if self.better(yardstick) is None else self.better(yardstick) == self.recommended

    def separated(self, yardstick: Yardstick) -> bool | None:
        """Whether several runs tell the arms apart; None with one run."""
        ends = self.off.interval(f"runs_{yardstick.compared}")
        return separated(ends and (ends[0] - yardstick.even, ends[1] - yardstick.even))

    @property
    def gainless(self) -> str | None:
        """NEITHER where both arms are shown to be worse than the initial policy, NO_GAIN where neither is shown to be better.

        By the judge's win rate that leads. Shown is what the interval of a gain tells from zero; without an interval a gain
        above zero has to do, and no loss is shown.
        """
        if None in (self.gain(OFF, self.leading), self.gain(ON, self.leading)):
            return None
        best = max(self._side(source) for source in (OFF, ON))
        return None if best > 0 else NEITHER if best < 0 else NO_GAIN

    def _side(self, source: str) -> int:
        """1 where an arm is shown to gain, -1 where it is shown to lose, 0 where neither is shown."""
        interval = self.gain_interval(source, self.leading)
        if interval is None:
            return int(self.gain(source, self.leading) > 0)
        return int(interval[0] > 0) - int(interval[1] < 0)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [*values]
    return None if None in known else statistics.fmean(known)


def decisions(rows: Iterable[Row]) -> list[Decision]:
    """One for each initial policy, method and data set with a boundary score, an off-policy arm and one to hold it against."""
    rows = [*rows]
    seeds = {row.seed for row in rows}
    trained: dict[tuple[str, str], dict[str, dict[int, Row]]] = {}
    for row in rows:
        if row.initial_policy is not None and row.boundary_score is not None:
            arm = trained.setdefault((row.initial_policy, row.method), {}).setdefault(row.history[-1], {})
            arm[row.replicate] = row
    return [
        Decision(*(tuple(beside[source].values()) for source in (off, on)), whole=len(seeds) == 1)
        for beside in trained.values()
        for off in filter(arms.is_off_policy, beside)
        if (on := arms.on_policy(off, beside))
    ]


def has_several_data_sets(found: Iterable[Decision]) -> bool:
    """Whether data sets have to be told apart: an off-policy arm is of another one than the preference data."""
    return any(one.off_source != OFF for one in found)


def cases(found: Iterable[Decision]) -> str:
    """What decisions are about, in words: with several data sets an initial policy has several."""
    return "pairs of arms" if has_several_data_sets(found) else "initial policies"


def pooled(found: Iterable[Decision]) -> list[Decision]:
    """The decisions with all seeds of a model, method and history in one: what runs tell apart, they tell of all seeds."""
    groups: dict[tuple, list[Decision]] = {}
    for one in found:
        groups.setdefault((one.off.model, one.off.method, one.off.history, one.on_source), []).append(one)
    return [
        Decision(*(tuple(row for one in group for row in getattr(one, arm)) for arm in ("off_rows", "on_rows")))
        for group in groups.values()
    ]


def read_decisions(paths: Sequence[Path]) -> list[Decision]:
    """The decisions of tables (CSV files of make_table.py); one that stands in several tables counts once.

    Which arm an off-policy one is held against is the table's: the figures of its row are against that one. Arms of which no table
    has both are held against each other with what is known of either.

    Raises:
        BadInput: a file is no such table, the tables have different judges, or there is no decision at all.
    """
    tables = [read_rows(path) for path in paths]
    rows = [row for table in tables for row in table]
    one_judge(map(vars, rows))
    found: dict[tuple[str, str, str], dict[str, Decision]] = {}
    for one in (one for table in tables for one in decisions(table)):
        found.setdefault(_key(one), {})[one.on_source] = one
    for one in decisions(rows):
        found.setdefault(_key(one), {one.on_source: one})
    if not found:
        raise BadInput(
            f"{', '.join(map(str, paths))}: no initial policy has a boundary score and both an off-policy and an "
            "on-policy arm; make the table with --boundaries and the sources off and on"
        )
    return [one for held in found.values() for one in held.values()]


def _key(one: Decision) -> tuple[str, str, str]:
    return one.initial_policy, one.off.method, one.off_source


def decisions_table(found: Sequence[Decision], judge: str) -> Table:
    """One line an initial policy, method and data set: the recommended arm, gains, and for each yardstick the better arm.

    `off` and `on` are the two arms; `off_source` and `on_source` say what they were trained on.

    Beside gains stand for each yardstick the off-policy arm against the on-policy arm (`verdict`, `win_rate_difference`,
    `difference`) with its interval, and NAME_better, NAME_separated (whether several runs tell the arms apart) and NAME_right.
    `gainless` says where training on neither gains.
    """
    lines = []
    for one in found:
        line = [one.initial_policy, one.off.method, one.off_source, one.on_source]
        line += [one.boundary_score, one.decided, one.recommended, one.gainless]
        line += [one.gain(source, of) for of in (LC_WIN_RATE, WIN_RATE) for source in (OFF, ON)]
        for of in YARDSTICKS:
            line += [one.compared(of), *(one.interval(of) or (None, None))]
            line += [one.better(of), one.separated(of), one.right(of)]
        lines.append([*line, one.leading.name, one.off.lc_valid, one.off.runs, judge])
    columns = ["initial_policy", "method", "off_source", "on_source"]
    columns += ["boundary_score", "decided", "recommended", "gainless"]
    columns += [f"{source}_{of.gain}" for of in (LC_WIN_RATE, WIN_RATE) for source in (OFF, ON)]
    for of in YARDSTICKS:
        columns += [of.compared, f"{of.compared}_low", f"{of.compared}_high"]
        columns += [f"{of.name}_{what}" for what in ("better", "separated", "right")]
    columns += ["leading", "lc_valid", "runs", "judge"]
    return Table([dict(zip(columns, line, strict=True)) for line in lines], columns=columns)
