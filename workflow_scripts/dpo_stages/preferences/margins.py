"""By how much each candidate of a prompt is better than each other; which two of them become a pair is `pairing`'s business."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Margins:
    """By how much each candidate is better than each other.

    Attributes:
        logits: float [n, n], antisymmetric: positive where the row's candidate is the better one.
        order_flips: bool [n, n]: the two orders of presentation disagree; None where nobody was asked.
    """

    logits: np.ndarray
    order_flips: np.ndarray | None = None

    @classmethod
    def of_pairs(cls, candidates: int, logits: Sequence[float], order_flips: Sequence[bool]) -> "Margins":
        """Those of `schemas.SCORES`: one number for every two candidates, those of the first one first."""
        square, flips = np.zeros((candidates, candidates)), np.zeros((candidates, candidates), dtype=bool)
        above = np.triu_indices(candidates, 1)
        square[above], flips[above] = logits, order_flips
        return cls(square - square.T, flips | flips.T)

    @classmethod
    def of_scores(cls, scores: Sequence[float | None]) -> "Margins":
        """Differences of the data set's own scores; nan where a candidate has none."""
        known = np.array(scores, dtype=float)
        return cls(known[:, None] - known[None, :])

    def scores(self, among: Sequence[int]) -> np.ndarray:
        """float [len(among)]: mean margin of these candidates against the others of them."""
        return self.logits[np.ix_(among, among)].sum(axis=1) / max(1, len(among) - 1)
