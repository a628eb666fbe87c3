"""Win rate and length-controlled win rate of a policy, with alpaca-eval's own code, and their intervals.

Input is a policy's annotations (see annotations.py), or AlpacaEval's judgements as numbers. `win_rate.json` holds:

    policy                the policy's name
    judge                 {"model", "version", "prompt", "endpoint"}; null where the numbers came without
    instructions          rows judged
    missing_instructions  instructions of the set without a row or a preference, by index
    win_rate              percent: mean probability that the policy's response beats the reference's
    standard_error        of win_rate, percent
    win_rate_interval     [low, high], percentile bootstrap over instructions; near 0 and 100 no less than a share's, see `gains`
    lc_win_rate           length-controlled win rate, percent; null like lc_interval and model where there is no length control
    lc_interval           [low, high], the same, the model fitted again to each resample
    lc_kind               which difficulties it stands on, one of LC_KINDS
    lc_by_row_position    only where rows are missing and the difficulties are published: the value that alpaca-eval's
                          command line gives, which numbers the rows it has from 0 and so mixes up the difficulties
    truncated             responses that were cut at the limit of their length; null where nobody counted
    average_length        of the policy's responses, in characters; reference_length: of the reference's
    wins, draws, losses   rows with preference above, at and below one half
    confidence, resamples of the intervals
    resampled_from        hash of the instructions: resamples of two policies are paired where it is the same
    model                 coefficients of the fitted model (length, difficulty, policy) and its strength C
    package               version of alpaca-eval

The resamples themselves go into `win_rate_resamples.parquet` beside it: resample k of two policies draws the same
instructions, so the difference of two policies has its paired bootstrap already (see gains.py).
"""

import hashlib
import os
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dpo_stages.core import files
from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import write_table
from dpo_stages.evaluation.difficulties import Difficulties
from dpo_stages.evaluation.gains import (
    CONFIDENCE,
    RESAMPLES,
    RESAMPLES_SCHEMA,
    SEED,
    level_interval,
    resamples_path,
)
from dpo_stages.evaluation.judgements import PUBLISHED_FOR, Judgements, reference_lengths
from dpo_stages.evaluation.length_control import Floats, resample_counts, resampled_lc_win_rates
from dpo_stages.judges import alpaca_eval
from dpo_stages.judges.alpaca_eval import PROMPT
from dpo_stages.judges.record import describe_judge, name_rows

NO_LENGTH_CONTROL = "none"
LC_KINDS = {
    "published": "difficulties published by AlpacaEval, for its 805 instructions and GPT-4-turbo as judge",
    "published for another judge": "difficulties published by AlpacaEval for GPT-4-turbo as judge; this judge is another",
    "fitted": "difficulties fitted jointly over the policies of the study, for its own instruction set and judge",
    NO_LENGTH_CONTROL: "no length control, since nothing is known of the difficulties of these instructions",
    "length alone": "no difficulties, which nobody knows for these instructions: controlled for length and nothing else",
}


@dataclass(frozen=True)
class WinRate:
    """The content of `win_rate.json`, and the resamples behind its intervals, in percent; None of what was not computed."""

    figures: dict
    lc_resamples: Floats | None
    win_rate_resamples: Floats


def compute_win_rate(judgements: Judgements, difficulties: Difficulties | None) -> WinRate:
    """Win rate and length-controlled win rate of a policy with their intervals.

    Args:
        judgements: of the policy.
        difficulties: that length control stands on; None: the win rate alone.

    Raises:
        BadInput: rows that the difficulties do not know, difficulties of another judge or instruction set, fewer than
            two rows, or responses that all differ from the reference by the same number of characters.
    """
    if judgements.judged.sum() < 2:
        raise BadInput(f"{judgements.source} has fewer than two judged rows; a win rate needs at least two")
    counts = resample_counts(len(judgements.index), RESAMPLES, SEED)
    counts[~counts[:, judgements.judged].any(axis=1)] = 1  # of a few rows: a draw of none that was judged says nothing
    plain = 100 * (counts @ np.nan_to_num(judgements.preference)) / (counts @ judgements.judged)
    if difficulties is None:
        package, lc = alpaca_eval.win_rate(judgements.preference), None
        controlled = dict.fromkeys(("lc_win_rate", "lc_interval", "difficulties_fitted_over", "model"))
        controlled["lc_kind"] = NO_LENGTH_CONTROL
    else:
        package, controlled, lc = _length_controlled(judgements, difficulties, counts, plain)
    indices = judgements.index if difficulties is None else difficulties.indices
    figures = {
        "policy": judgements.policy,
        "judge": judgements.judge,
        "instructions": int(judgements.judged.sum()),
        "missing_instructions": np.setdiff1d(indices, judgements.index[judgements.judged]).tolist(),
        "win_rate": float(package["win_rate"]),
        "standard_error": float(package["standard_error"]),
        "win_rate_interval": level_interval(plain, judgements.preference[judgements.judged], CONFIDENCE),
        **controlled,
        "lc_description": LC_KINDS[controlled["lc_kind"]],
        "truncated": judgements.truncated,
        "average_length": float(judgements.length.mean()),
        "reference_length": float(judgements.reference_length.mean()),
        "wins": int(package["n_wins"]),
        "draws": int(package["n_draws"]),
        "losses": int(package["n_wins_base"]),
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "resampled_from": hashlib.sha256(
            judgements.index.tobytes() + judgements.reference_length.tobytes()
        ).hexdigest(),
        "package": f"alpaca-eval {alpaca_eval.version()}",
    }
    return WinRate(figures, lc, plain)


def _length_controlled(
    judgements: Judgements, difficulties: Difficulties, counts: NDArray[np.int64], plain: Floats
) -> tuple[dict[str, float], dict, Floats]:
    """The package's metrics, the figures of the length-controlled win rate, and its resamples."""
    _check_fit_together(judgements, difficulties)
    place = np.searchsorted(difficulties.indices, judgements.index)
    rows = (judgements.preference, judgements.length, judgements.reference_length, difficulties.table())
    package, coefficients, strength = alpaca_eval.win_rates(place, *rows)
    lc = plain
    if strength is not None:
        lc = resampled_lc_win_rates(
            judgements.index, judgements.preference, judgements.difference, difficulties.gamed, strength, counts
        )
    kind = difficulties.kind
    judge = judgements.judge
    if kind == "published" and judge is not None and (judge["model"], judge["prompt"]) != (PUBLISHED_FOR, PROMPT):
        kind = "published for another judge"
    level = float(package["length_controlled_winrate"])
    figures = {
        "lc_win_rate": level,
        "lc_interval": level_interval(lc, np.full(judgements.judged.sum(), level / 100), CONFIDENCE),
        "lc_kind": kind,
        "difficulties_fitted_over": difficulties.policies,
        "model": {**dict(zip(("length", "difficulty", "policy"), coefficients, strict=True)), "C": strength},
    }
    if len(judgements.index) < len(difficulties.indices) and difficulties.kind == "published":
        by_position, _, _ = alpaca_eval.win_rates(np.arange(len(place)), *rows)
        figures["lc_by_row_position"] = float(by_position["length_controlled_winrate"])
    return package, figures, lc


def write_win_rate(path: str | os.PathLike, result: WinRate) -> None:
    """Write `win_rate.json` and, beside it, `win_rate_resamples.parquet`."""
    lc = [None] * RESAMPLES if result.lc_resamples is None else result.lc_resamples
    resamples = {"lc_win_rate": lc, "win_rate": result.win_rate_resamples}
    write_table(resamples_path(path), pa.table(resamples, schema=RESAMPLES_SCHEMA), RESAMPLES_SCHEMA)
    files.write_json(path, result.figures)


def _check_fit_together(judgements: Judgements, difficulties: Difficulties) -> None:
    if unknown := np.setdiff1d(judgements.index, difficulties.indices).tolist():
        raise BadInput(f"{judgements.source} has {name_rows(unknown)}, which {difficulties.source} does not know")
    if difficulties.kind == "published":
        lengths = {int(row["index"]): int(row["length"]) for row in reference_lengths()}
        expected = np.array([lengths[index] for index in judgements.index.tolist()])
        if np.mean(expected != judgements.reference_length) > 0.05:
            raise BadInput(
                f"{judgements.source} was not judged against AlpacaEval's reference, so AlpacaEval's difficulties mean "
                "nothing for it; fit those of its own set (fit_instruction_difficulty.py) and name --gamed-baselines"
            )
    elif difficulties.kind == "fitted" and judgements.judge != difficulties.judge:
        raise BadInput(
            f"{judgements.source} was judged by {describe_judge(judgements.judge)}, the difficulties of "
            f"{difficulties.source} stand on {describe_judge(difficulties.judge)}; fit them for this judge"
        )
    if np.ptp(judgements.difference) == 0 and judgements.difference[0] != 0:
        raise BadInput(
            f"{judgements.source}: every response differs from the reference by {judgements.difference[0]:.0f} "
            "characters, so the effect of length cannot be told from that of quality"
        )
