"""Batches of like lengths: longest first, within a budget of tokens and a number of items."""

import pytest

from dpo_stages.core.batches import batches


@pytest.mark.parametrize(
    ("budget", "limit", "expected"),
    [
        (100, None, [[1, 3, 0, 2]]),
        (12, None, [[1], [3, 0], [2]]),
        (1, None, [[1], [3], [0], [2]]),
        (100, 3, [[1, 3, 0], [2]]),
        (12, 1, [[1], [3], [0], [2]]),
    ],
)
def test_batches(budget, limit, expected):
    assert list(batches([4, 7, 4, 5], budget, limit)) == expected


def test_nothing_makes_no_batch():
    assert not list(batches([], 10))
