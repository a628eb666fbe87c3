"""This study beside the paper, policy by policy, for the models that both have.

A table of the study is compared with the paper's table of the same name, and a policy with the one of the same model,
method and candidate sources. Of several seeds the mean is compared.
"""

import statistics
from collections.abc import Mapping, Sequence

from dpo_boundary.measurement import recommended_source
from dpo_stages.report.decisions import OFF, ON
from dpo_stages.report.records import judge_of
from dpo_stages.report.table import Grid, Table

FIGURES = ("lc_win_rate", "win_rate", "average_length", "boundary_score")
COLUMNS = [
    *("table", "policy", "model", "model_label", "method", "method_label", "history"),
    *(f"{prefix}{figure}" for figure in FIGURES for prefix in ("", "paper_", "difference_")),
    *("recommended", "paper_recommended", "stage_agrees"),
    *("better_arm", "paper_better_arm", "better_arm_agrees"),
    "judge",
]
"""`recommended`: off-policy (preference injection) or on-policy (preference fine-tuning), of the initial policy.
`better_arm`: which arm of the initial policy gained more. Both stand, like the boundary score, on the first row that was
trained from an initial policy. `judge` is that of this study; the paper's was AlpacaEval 2's."""


def compare(table: str, ours: Sequence[Mapping[str, str]], paper: Sequence[Mapping[str, str]]) -> list[dict]:
    """The rows of one table that the study and the paper share, in the paper's order.

    Args:
        table: its name.
        ours: rows of results/tables/{table}.csv.
        paper: rows of paper_reference/{table}.csv.
    """
    measured: dict[tuple, list[Mapping[str, str]]] = {}
    for row in ours:
        measured.setdefault(_key(row), []).append(row)
    printed = {_key(row): row for row in paper}
    return [_row(table, key, measured, printed) for key in printed if key in measured]


def _key(row: Mapping[str, str]) -> tuple[str, str, tuple[str, ...]]:
    sources = [row[name] for name in sorted(row) if name.startswith("iter_")]
    return row["model"], row["method"], tuple(filter(None, sources))


def _row(table: str, key: tuple, measured: Mapping, printed: Mapping) -> dict:
    model, method, history = key
    first = measured[key][0]
    row: dict = dict.fromkeys(COLUMNS)
    row |= {"table": table, "model": model, "method": method, "history": "-".join(history) or "sft"}
    row |= {name: first[name] for name in ("policy", "model_label", "method_label")} | {"judge": judge_of(first)}
    leads = bool(printed[key].get("boundary_score"))
    for figure in FIGURES:
        if figure != "boundary_score" or leads:
            ours, papers = _mean(measured[key], figure), _number(printed[key].get(figure, ""))
            both = ours is not None and papers is not None
            row |= {figure: ours, f"paper_{figure}": papers, f"difference_{figure}": ours - papers if both else None}
    if leads and row["boundary_score"] is not None:
        row["recommended"] = recommended_source(row["boundary_score"])
        row["paper_recommended"] = recommended_source(row["paper_boundary_score"])
        row["stage_agrees"] = row["recommended"] == row["paper_recommended"]
    if history and history[-1] == OFF:
        arms = [(model, method, (*history[:-1], source)) for source in (OFF, ON)]
        row["better_arm"] = _better(*(_mean(measured.get(arm, []), "lc_win_rate") for arm in arms))
        row["paper_better_arm"] = _better(*(_number(printed.get(arm, {}).get("lc_win_rate", "")) for arm in arms))
        if row["better_arm"] and row["paper_better_arm"]:
            row["better_arm_agrees"] = row["better_arm"] == row["paper_better_arm"]
    return row


def _better(off: float | None, on: float | None) -> str | None:
    """The arm with the higher LC win rate. Both started from the same policy, so it is the one that gained more."""
    if off is None or on is None or off == on:
        return None
    return OFF if off > on else ON


def _number(text: str) -> float | None:
    return float(text) if text else None


def _mean(rows: Sequence[Mapping[str, str]], figure: str) -> float | None:
    values = [float(row[figure]) for row in rows if row.get(figure)]
    return statistics.fmean(values) if values else None


def tally(rows: Sequence[Mapping], what: str) -> str:
    """`5 of 9`: how often stage_agrees or better_arm_agrees."""
    judged = [row[what] for row in rows if row[what] is not None]
    return f"{sum(judged)} of {len(judged)}"


def table(rows: Sequence[Mapping], models: Sequence[str]) -> Table:
    """For each table of the paper what is ours, the paper's, the difference, and whether they agree.

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
            cells += [_agreement(row["stage_agrees"]), _agreement(row["better_arm_agrees"])] if decided else []
            lines.append(cells)
        judges = "; ".join(dict.fromkeys(row["judge"] for row in mine))
        parts += [("heading", name.replace("table", "Table ")), ("grid", Grid(columns, lines))]
        parts.append(("words", f"Judged by {judges}."))
        if decided:
            agreed = (
                f"The stage agrees with the paper's for {tally(mine, 'stage_agrees')} initial policies, and the better "
                f"arm for {tally(mine, 'better_arm_agrees')}."
            )
            parts.append(("words", agreed))
    return Table(rows, parts, COLUMNS)


def _cell(value: float | None, digits: int, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.{digits}f}"


def _agreement(value: bool | None) -> str:
    return {True: "agrees", False: "differs", None: "–"}[value]
