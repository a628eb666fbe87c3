"""Batches of like lengths."""

from collections.abc import Iterator, Sequence


def batches(lengths: Sequence[int], budget: int, limit: int | None = None) -> Iterator[list[int]]:
    """Cut items into batches of like lengths, longest first, so that too long an input fails at once.

    Args:
        lengths: length of each item in tokens.
        budget: items times the longest item of a batch may not exceed this; a longer item is a batch of its own.
        limit: most items of a batch; None: any number.

    Yields:
        Positions of the items of a batch.
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batch and (len(batch) == limit or (len(batch) + 1) * lengths[batch[0]] > budget):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
