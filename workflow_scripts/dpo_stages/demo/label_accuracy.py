"""How often labels are right, where the truth is known: by what tells two responses apart, and by how much."""

from collections.abc import Iterable, Mapping

from dpo_stages.audit.baselines import Judged, baselines
from dpo_stages.audit.statistics import share
from dpo_stages.demo.differences import KINDS, kind_of_difference
from dpo_stages.demo.quality import assess
from dpo_stages.demo.world import Facts

GAPS = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, float("inf"))
"""Bounds of the bands of the true gap in quality; a band holds its upper bound."""


def label_accuracy(facts: Facts, pairs: Iterable[Mapping], confidence: float = 0.95) -> dict:
    """Share of labelled pairs whose chosen response has the higher hidden quality, in all and by kind and gap.

    Pairs of equal quality have no right label; they are counted and left out.

    Args:
        facts: the truth.
        pairs: rows with prompt (turns), chosen, rejected and chosen_first.
        confidence: of the intervals, Wilson's.

    Returns:
        `pairs`, `ties`, what `_share` returns for all, and under `by_kind` and `by_gap` for each kind and band that occurs;
        `baselines`, what trivial labels get of all, see `audit/baselines`.

    Raises:
        ValueError: a prompt is not an instruction of this world.
    """
    everything: list[bool] = []
    by_kind: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    bands = list(zip(GAPS, GAPS[1:], strict=False))
    by_gap: dict[str, list[bool]] = {_band(*band): [] for band in bands}
    ties, judged = 0, []
    for pair in pairs:
        instruction = pair["prompt"][-1]["content"]
        chosen, rejected = (assess(facts, instruction, pair[side]) for side in ("chosen", "rejected"))
        better_by = round(chosen.quality - rejected.quality, 6)
        if not better_by:
            ties += 1
            continue
        band = next(band for band in bands if abs(better_by) <= band[1])
        for votes in (everything, by_kind[kind_of_difference(chosen, rejected)], by_gap[_band(*band)]):
            votes.append(better_by > 0)
        better, worse = ("chosen", "rejected") if better_by > 0 else ("rejected", "chosen")
        better_first = pair["chosen_first"] == (better_by > 0)
        judged.append(Judged(float(better_by > 0), len(pair[better]), len(pair[worse]), better_first))
    return {
        "pairs": ties + len(everything),
        "ties": ties,
        "confidence": confidence,
        **_share(everything, confidence),
        "baselines": baselines(judged, confidence),
        "by_kind": {kind: _share(votes, confidence) for kind, votes in by_kind.items() if votes},
        "by_gap": {band: _share(votes, confidence) for band, votes in by_gap.items() if votes},
    }


def _band(low: float, high: float) -> str:
    return f"over {low:g}" if high == float("inf") else f"{low:g} to {high:g}"


def _share(votes: list[bool], confidence: float) -> dict:
    """`decided` (pairs), `accuracy` in [0, 1] and `interval`; None of both where there are no pairs."""
    if not votes:
        return {"decided": 0, "accuracy": None, "interval": None}
    found = share(sum(votes), len(votes), confidence)
    return {"decided": found.pairs, "accuracy": found.estimate, "interval": [found.low, found.high]}
