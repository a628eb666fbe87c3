"""Quality of candidates (Appendix C.5): a random candidate of one source against the chosen response of another.

What comes out has the form of an evaluation, so that any judge of evaluations compares the two: the prompts with the
chosen responses as references are an instruction set, and the random candidates are a policy's outputs.
"""

from collections.abc import Sequence

from dpo_stages.report.records import judge_columns
from dpo_stages.report.table import Grid, Table
from dpo_stages.study.policies import Policy


def table_rows(
    pairs: Sequence[tuple[str, str]], win_rates: Sequence[dict], paper: Sequence[dict[str, str]], preference_data: str
) -> list[dict]:
    """One row a pair of sources: how often its candidates beat the other's chosen responses, in percent.

    The paper's figure stands beside a pair whose candidates are those of a policy of the same model. It does not say
    which policy of Zephyr its on-policy candidates of Section 5.4 are of.

    Args:
        pairs: the sources of candidates and of chosen responses.
        win_rates: the contents of win_rate.json, in the same order.
        paper: rows of paper_reference/quality.csv, which compare with the off-policy data.
        preference_data: the study's off-policy data set.
    """
    rows = []
    for (source, against), record in zip(pairs, win_rates, strict=True):
        model = Policy.parse(source).model if "/" in source and against == preference_data else None
        (low, high), (lc_low, lc_high) = record["win_rate_interval"], record["lc_interval"]
        rows.append(
            {
                "candidates": source,
                "against": against,
                "lc_win_rate": record["lc_win_rate"],
                "lc_low": lc_low,
                "lc_high": lc_high,
                "win_rate": record["win_rate"],
                "win_rate_low": low,
                "win_rate_high": high,
                "average_length": record["average_length"],
                "against_length": record["reference_length"],
                "prompts": record["instructions"],
                **judge_columns(record["judge"]),
                "lc_kind": record["lc_kind"],
                "paper_lc_win_rate": next(
                    (float(row["lc_win_rate"]) for row in paper if row["candidate_model"] == model), None
                ),
            }
        )
    return rows


def table(rows: Sequence[dict], judge: str) -> Table:
    """The table, and what its figures mean."""
    columns = ["Candidates of", "Chosen of", "LC Win Rate", "Win Rate", "Avg. Len", "Len of chosen", "Paper's LC"]
    lines = [
        [
            row["candidates"],
            row["against"],
            f"{row['lc_win_rate']:.2f} ({row['lc_low']:.2f} to {row['lc_high']:.2f})",
            f"{row['win_rate']:.2f} ({row['win_rate_low']:.2f} to {row['win_rate_high']:.2f})",
            f"{row['average_length']:.0f}",
            f"{row['against_length']:.0f}",
            "–" if row["paper_lc_win_rate"] is None else f"{row['paper_lc_win_rate']:.2f}",
        ]
        for row in rows
    ]
    caption = (
        f"Percent of {rows[0]['prompts']} prompts of the training set on which {judge} prefers one random candidate of "
        "the first source to the chosen response of the second (Appendix C.5), with 95 % intervals. LC: controlled for "
        "length alone. AlpacaEval's difficulties belong to its own 805 instructions, and fitting others takes many "
        "policies and length-gamed references of the same prompts; the paper does not say what its figures stand on. "
        "Its fit is AlpacaEval's, whose penalty draws a difference that may be noise to 50 itself. "
        "Above 50 the candidates are of higher quality than the chosen responses."
    )
    return Table(rows, [("title", "Quality of candidates"), ("grid", Grid(columns, lines)), ("words", caption)])
