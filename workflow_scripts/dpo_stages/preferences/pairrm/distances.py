"""Distances between tokens as DeBERTa sees them: which of its embeddings of distances a pair of positions has."""

import torch


def distance_buckets(length: int, buckets: int, max_position: int) -> torch.Tensor:
    """Bucket of the distance i - j for all positions i, j, [length, length].

    Distances up to half of `buckets` have buckets of their own; beyond, buckets widen logarithmically until
    `max_position`. Without buckets (0 or less) every distance is its own.
    """
    places = torch.arange(length)
    distances = places[:, None] - places[None, :]
    if buckets <= 0 or max_position <= 0:
        return distances
    middle = buckets // 2
    # In the order of operations of the published implementation: next to a bucket's border, rounding decides.
    size = torch.where(distances.abs() < middle, torch.tensor(middle - 1), distances.abs())
    logs = torch.log(size / middle) / torch.log(torch.tensor((max_position - 1) / middle)) * (middle - 1)
    wide = (torch.ceil(logs) + middle) * distances.sign()
    return torch.where(size <= middle, distances.to(wide.dtype), wide).long()


class Distances:
    """Rows of K_r and Q_r, the projected embeddings of distances, that pairs of positions have; the last are kept.

    Args:
        buckets: see `distance_buckets`.
        max_position: see `distance_buckets`.
    """

    def __init__(self, buckets: int, max_position: int) -> None:
        self.buckets, self.max_position = buckets, max_position
        self.span = buckets if buckets > 0 else max_position
        self._rows = torch.zeros(0, 0, dtype=torch.long)
        self._tables: dict[int, tuple[int, int, torch.Tensor, torch.Tensor]] = {}

    def rows(self, length: int) -> torch.Tensor:
        """Row of K_r and Q_r, 2 span each, for every pair of positions, [length, length]."""
        if len(self._rows) < length:
            longest = max(length, 2 * len(self._rows))
            buckets = distance_buckets(longest, self.buckets, self.max_position)
            self._rows = (buckets + self.span).clamp(0, 2 * self.span - 1)
        return self._rows[:length, :length]

    def table(self, length: int) -> tuple[int, int, torch.Tensor, torch.Tensor]:
        """First and last row that occur among `length` positions, and the rows, [query, key] and [key, query], counted
        from the first."""
        if length not in self._tables:
            rows = self.rows(length)
            first, last = int(rows.min()), int(rows.max()) + 1
            rows = rows - first
            self._tables = {length: (first, last, rows, rows.T.contiguous())}
        return self._tables[length]
