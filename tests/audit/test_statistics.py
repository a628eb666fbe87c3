"""Statistics of an audit, against published figures, scipy and the plain textbook recursion."""

import random

import numpy as np
import pytest

from dpo_stages.audit.statistics import Estimate, difference, edit_distance, mean, share


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # Newcombe (Statistics in Medicine, 1998), Table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_has_the_published_ends(successes, trials, low, high):
    found = share(successes, trials, 0.95)
    assert (found.estimate, found.pairs) == (successes / trials, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_wilsons_interval_is_scipys_and_nothing_has_none():
    from scipy.stats import binomtest

    for successes, trials in ((0, 1), (5, 5), (57, 200), (114, 200)):
        expected = binomtest(successes, trials).proportion_ci(0.9, method="wilson")
        found = share(successes, trials, 0.9)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert share(0, 0, 0.95) is None


def test_newcombes_interval_has_the_published_ends():
    """Newcombe (1998), Table II: 56/70 and 48/80, method 10."""
    found = difference(share(56, 70, 0.95), share(48, 80, 0.95))
    assert (found.estimate, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert found.pairs == 150


def test_a_mean_has_students_interval():
    from scipy.stats import t

    values = [1.0, 0.0, -1.0, 1.0, 1.0, 0.0]
    expected = t.interval(0.95, 5, np.mean(values), np.std(values, ddof=1) / np.sqrt(6))
    assert mean(values, 0.95) == Estimate(pytest.approx(1 / 3), *map(pytest.approx, expected), 6)
    assert mean([1.0], 0.95) is None


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("", "", 0), ("flaw", "lawn", 2), ("ab", "ab", 0)],
)
def test_the_edit_distance_of_well_known_words(first, second, distance):
    assert edit_distance(first, second) == distance


def test_the_edit_distance_is_that_of_the_plain_recursion():
    draw = random.Random(0)
    for _ in range(50):
        one, two = (draw.choices("abcd", k=draw.randint(0, 12)) for _ in range(2))
        table = {(row, 0): row for row in range(len(one) + 1)} | {(0, column): column for column in range(len(two) + 1)}
        for row, left in enumerate(one, start=1):
            for column, right in enumerate(two, start=1):
                table[row, column] = min(
                    table[row - 1, column] + 1,
                    table[row, column - 1] + 1,
                    table[row - 1, column - 1] + (left != right),
                )
        assert edit_distance(one, two) == table[len(one), len(two)]
