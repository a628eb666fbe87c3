"""This study beside the paper, policy by policy, for the models that both have.

A table of the study is compared with the paper's table of the same name, and a policy with the one of the same model,
method and candidate sources. Of several runs the mean is compared.
"""

import statistics
from collections.abc import Mapping, Sequence

from dpo_boundary.result import UNDECIDED, recommended_source
from dpo_stages.report.paper_evidence import paper_evidence
from dpo_stages.report.policy_rows import History, Row
from dpo_stages.report.records import judge_of
from dpo_stages.report.table import Grid, Table
from dpo_stages.study.policies import OFF, ON

FIGURES = ("lc_win_rate", "win_rate", "average_length", "boundary_score")
COLUMNS = [
    *("table", "policy", "model", "model_label", "method", "method_label", "history"),
    *(f"{prefix}{figure}" for figure in FIGURES for prefix in ("", "paper_", "difference_")),
    *("recommended", "boundary_verdict", "paper_recommended", "stage_agrees"),
    *("better_arm", "paper_better_arm", "better_arm_agrees"),
    "judge",
]
"""`recommended`: off-policy (preference injection) or on-policy (preference fine-tuning), of the initial policy;
`boundary_verdict`: whether that is decided, in every run. `better_arm`: which arm of the initial policy gained more. All stand,
like the boundary score, on the first row that was trained from an initial policy. `judge` is that of this study; the paper's was
AlpacaEval 2's."""


def compare(table: str, ours: Sequence[Row], paper: Sequence[Row]) -> list[dict]:
    """The rows of one table that the study and the paper share, in the paper's order.

    Args:
        table: its name.
        ours: the study's rows.
        paper: the paper's.
    """
    measured: dict[tuple, list[Row]] = {}
    for row in ours:
        measured.setdefault(_key(row), []).append(row)
    printed = {_key(row): [row] for row in paper}
    first = {row.initial_policy: row for row in reversed(paper)}
    return [
        _row(table, measured, printed, row, row is first[row.initial_policy] and row.boundary_score is not None)
        for key, (row,) in printed.items()
        if key in measured
    ]


def _key(row: Row) -> tuple[str, str, History]:
    return row.model, row.method, row.history


def _row(table: str, measured: Mapping, printed: Mapping, papers: Row, leads: bool) -> dict:
    ours = measured[_key(papers)]
    first, history = ours[0], papers.history
    row: dict = dict.fromkeys(COLUMNS)
    row |= {"table": table, "history": "-".join(history) or "sft", "judge": judge_of(vars(first))}
    row |= {name: getattr(first, name) for name in ("policy", "model", "model_label", "method", "method_label")}
    for figure in FIGURES:
        if figure != "boundary_score" or leads:
            values = _mean(ours, figure), getattr(papers, figure)
            row |= {figure: values[0], f"paper_{figure}": values[1]}
            row[f"difference_{figure}"] = None if None in values else values[0] - values[1]
    if leads and row["boundary_score"] is not None:
        row["recommended"] = recommended_source(row["boundary_score"])
        row["boundary_verdict"] = _verdict(ours)
        row["paper_recommended"] = papers.recommended_source
        row["stage_agrees"] = row["recommended"] == row["paper_recommended"]
    if history and history[-1] == OFF:
        arms = [(papers.model, papers.method, (*history[:-1], source)) for source in (OFF, ON)]
        for prefix, rows in (("", measured), ("paper_", printed)):
            row[f"{prefix}better_arm"] = _better(*(_mean(rows.get(arm, []), "lc_win_rate") for arm in arms))
        if row["better_arm"] and row["paper_better_arm"]:
            row["better_arm_agrees"] = row["better_arm"] == row["paper_better_arm"]
    return row


def _verdict(runs: Sequence[Row]) -> str | None:
    verdicts = {run.boundary_verdict for run in runs}
    return None if None in verdicts else UNDECIDED if UNDECIDED in verdicts else verdicts.pop()


def _better(off: float | None, on: float | None) -> str | None:
    """The arm with the higher LC win rate. Both started from the same policy, so it is the one that gained more."""
    if off is None or on is None or off == on:
        return None
    return OFF if off > on else ON


def _mean(rows: Sequence[Row], figure: str) -> float | None:
    values = [value for row in rows if (value := getattr(row, figure)) is not None]
    return statistics.fmean(values) if values else None


def agreement(rows: Sequence[Mapping], what: str) -> str:
    """`5 of 9`: how often stage_agrees or better_arm_agrees."""
    judged = [row[what] for row in rows if row[what] is not None]
    return f"{sum(judged)} of {len(judged)}"


def table(rows: Sequence[Mapping], models: Sequence[str]) -> Table:
    """For each table of the paper what is ours, the paper's, the difference, and whether they agree; then what the paper's
    own rows can tell of the boundary score.

    Args:
        rows: as `compare` gives them.
        models: labels of the study's models.
    """
    parts: list[tuple[str, str | Grid]] = [("title", "Comparison with the paper")]
    if not rows:
        parts.append(("words", f"None of the models of this study ({', '.join(models)}) is one of the paper's."))
    for name in dict.fromkeys(row["table"] for row in rows):
        mine = [row for row in rows if row["table"] == name]
        shown = [figure for figure in FIGURES if any(row[f"paper_{figure}"] is not None for row in mine)]
        names = {"lc_win_rate": "LC", "win_rate": "WR", "average_length": "Len", "boundary_score": "BS"}
        columns = ["Model", "Policy", *(cell for figure in shown for cell in (names[figure], "paper", "diff."))]
        decided = any(row["stage_agrees"] is not None for row in mine)
        columns += ["Stage", "Better arm"] if decided else []
        lines = []
        for row in mine:
            cells = [row["model_label"], row["history"].replace("-", "→")]
            for figure in shown:
                digits = 0 if figure == "average_length" else 2
                cells += [_cell(row[figure], digits), _cell(row[f"paper_{figure}"], digits)]
                cells.append(_cell(row[f"difference_{figure}"], digits, "+"))
            if decided:
                undecided = " (undecided)" if row["boundary_verdict"] == UNDECIDED else ""
                cells += [_agreement(row["stage_agrees"]) + undecided, _agreement(row["better_arm_agrees"])]
            lines.append(cells)
        judges = "; ".join(dict.fromkeys(row["judge"] for row in mine))
        parts += [("heading", name.replace("table", "Table ")), ("grid", Grid(columns, lines))]
        parts.append(("words", f"Judged by {judges}."))
        if decided:
            agreed = (
                f"The stage agrees with the paper's for {agreement(mine, 'stage_agrees')} initial policies, and the better "
                f"arm for {agreement(mine, 'better_arm_agrees')}."
            )
            parts.append(("words", agreed))
    parts += [("heading", "What the paper's rows can tell"), ("words", paper_evidence().sentence())]
    return Table(rows, parts, COLUMNS)


def _cell(value: float | None, digits: int, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.{digits}f}"


def _agreement(value: bool | None) -> str:
    return {True: "agrees", False: "differs", None: "–"}[value]
