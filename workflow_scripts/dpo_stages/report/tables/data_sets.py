"""Which of a study's data sets come before a policy's own samples, and which behind them, as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dpo_stages.report.audits import agreement
from dpo_stages.report.table import Grid, Table
from dpo_stages.study.choices import Standing, off_policy
from dpo_stages.study.policies import OFF, Policy


def standings(boundaries: Sequence[Mapping[str, Any]]) -> dict[str, Standing]:
    """How the data sets stand to the own samples of each policy that is compared with several, by its name.

    Args:
        boundaries: JSON of measure_boundary.py, of policies as they were asked the prompts of each data set.
    """
    measured: dict[str, list[Mapping[str, Any]]] = {}
    for one in boundaries:
        measured.setdefault(str(replace(Policy.parse(one["policy"]), asked=None)), []).append(one)
    return {policy: Standing.of(found) for policy, found in measured.items() if len(found) > 1}


def row(policy: str, measured: Mapping[str, Any], place: str, audits: Mapping[str, Mapping[str, Any]]) -> dict:
    """A line: one data set against the own samples of one policy.

    Args:
        policy: its name.
        measured: JSON of measure_boundary.py.
        place: of the data set, in words.
        audits: JSON of audit_sources.py by the policy of the measurement; where there is none, nothing is said of labels.
    """
    low, high = measured["interval"]
    audit = audits.get(measured["policy"])
    return {
        "policy": policy,
        "data_set": measured["preference_data"],
        "source": off_policy(measured),
        "boundary_score": measured["boundary_score"],
        "low": low,
        "high": high,
        "confidence": measured["confidence"],
        "prompts": measured["prompts"],
        "place": place,
        "labels_right": agreement(audit["sources"][OFF]) if audit and OFF in audit["sources"] else None,
    }


def rows_of(policy: str, standing: Standing, audits: Mapping[str, Mapping[str, Any]]) -> list[dict]:
    """The lines of a policy, the data set with the lowest score first."""
    places = {
        "before own samples": standing.ahead,
        "not told apart": standing.open,
        "behind own samples": standing.behind,
    }
    lines = [row(policy, one, place, audits) for place, found in places.items() for one in found]
    return sorted(lines, key=lambda line: line["boundary_score"])


def table(found: Mapping[str, Standing], audits: Mapping[str, Mapping[str, Any]], confidence: float) -> Table:
    """For each policy its data sets, and in words which come first.

    Args:
        found: as `standings` gives them, at least one.
        audits: JSON of audit_sources.py by policy, as it was asked the prompts of a data set.
        confidence: with which all scores of a policy hold together.
    """
    lines: list[dict] = []
    parts: list[tuple[str, str | Grid]] = [("title", "Which data sets come first")]
    for policy, standing in found.items():
        rows = rows_of(policy, standing, audits)
        lines += rows
        cells = [
            [
                f"{line['data_set']} (`{line['source']}`)",
                f"{line['boundary_score']:.2f} ({line['low']:.2f} to {line['high']:.2f})",
                f"{line['prompts']:,}",
                line["place"],
                *([line["labels_right"] or "–"] if audits else []),
            ]
            for line in rows
        ]
        columns = [
            "Data set",
            "Own samples win",
            "Prompts",
            "The data set comes",
            *(["Labels right"] if audits else []),
        ]
        parts += [("name", policy), ("grid", Grid(columns, cells)), ("words", f"First to last: {standing.sentence()}")]
    asked = " and ".join(sorted({audit["yardstick"] for audit in audits.values()}))
    words = (
        "Own samples win: the boundary score, the share of comparisons that the policy's own samples for a data set's prompts win against "
        "that data set's responses, by the preference model. Each interval is as wide as it has to be for all of a policy's to hold "
        f"together with {100 * confidence:g} % confidence. Data sets are compared with own samples, not with each other: their prompts "
        "may be others. Which one trains better is asked by a race (`decide_by: race`)."
    )
    if audits:
        words += f" Labels right: the share of pairs whose chosen response is the better one by {asked}."
    return Table(lines, [*parts, ("words", words)])
