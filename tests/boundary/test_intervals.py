"""Intervals: coverage by simulation, and second opinions from definitions and other implementations."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from dpo_boundary.intervals import (
    BETS,
    _Bettor,
    betting_sequence,
    binomial_interval,
    clustered_interval,
    effective_prompts,
)

COMPARISONS = 4
GRID = list(itertools.product((0.2, 0.5, 0.8), (0.0, 0.5, 0.9)))


def simulate(draw, score, correlation, shape):
    """Votes of prompts whose four comparisons have the given correlation (beta-binomial)."""
    if correlation == 0:
        return draw.binomial(COMPARISONS, score, shape)
    scale = 1 / correlation - 1
    return draw.binomial(COMPARISONS, draw.beta(score * scale, (1 - score) * scale, shape))


@pytest.mark.parametrize(("successes", "trials"), [(0, 9), (9, 9), (3, 10), (1, 1), (500, 1000)])
def test_binomial_interval_is_clopper_and_pearsons(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(0.9, method="exact")
    assert binomial_interval(successes, trials, 0.9) == pytest.approx((expected.low, expected.high))


def test_one_comparison_a_prompt_is_the_binomial_interval():
    votes = np.repeat([1, 0], [60, 40])
    low, high = clustered_interval(votes, np.ones(100), 0.95)
    # the variance between prompts has n - 1 where the binomial has n, so 99 of 100 comparisons count
    expected = binomial_interval(0.6 * 99, 99, 0.95)
    assert (low, high) == pytest.approx(expected, abs=1e-6)


def test_equal_votes_in_a_prompt_count_once_and_independent_ones_fully():
    draw = np.random.default_rng(0)
    width = {}
    for correlation in (0.0, 0.999):
        low, high = clustered_interval(simulate(draw, 0.5, correlation, 4000), np.full(4000, COMPARISONS), 0.95)
        width[correlation] = high - low
    assert width[0.999] / width[0.0] == pytest.approx(2, rel=0.05)  # four comparisons of one prompt tell as much as one


@pytest.mark.parametrize("prompts", [16, 100])
@pytest.mark.parametrize(("score", "correlation"), GRID)
def test_the_fixed_interval_covers_at_least_nominally(prompts, score, correlation):
    draw = np.random.default_rng(prompts)
    repetitions, counts = 600, np.full(prompts, COMPARISONS)
    held = 0
    for votes in simulate(draw, score, correlation, (repetitions, prompts)):
        low, high = clustered_interval(votes, counts, 0.9)
        held += low <= score <= high
    assert held / repetitions >= 0.9 - 2 * math.sqrt(0.09 / repetitions)


def test_unequal_numbers_of_comparisons_are_covered_too():
    draw = np.random.default_rng(5)
    held = 0
    for _ in range(600):
        counts = draw.integers(1, 7, 60)
        votes = draw.binomial(counts, draw.beta(2, 3, 60))
        low, high = clustered_interval(votes, counts, 0.9)
        held += low <= 0.4 <= high
    assert held / 600 >= 0.9 - 2 * math.sqrt(0.09 / 600)


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1, 64], [1] * 19 + [200]])
@pytest.mark.parametrize("prompts", [10, 30])
def test_prompts_that_outweigh_the_others_are_covered_too(sizes, prompts):
    draw = np.random.default_rng(6)
    held = 0
    for _ in range(400):
        counts = draw.choice(sizes, prompts)
        votes = draw.binomial(counts, draw.beta(1, 1, prompts))
        low, high = clustered_interval(votes, counts, 0.9)
        held += low <= 0.5 <= high
    assert held / 400 >= 0.9 - 2 * math.sqrt(0.09 / 400)


def test_effective_prompts_are_the_prompts_where_all_have_as_many_comparisons():
    assert [effective_prompts(np.full(prompts, 4.3)) for prompts in (1, 2, 3, 7, 1000)] == [1, 2, 3, 7, 1000]
    assert effective_prompts([1, 1, 1, 1, 64]) == pytest.approx(68**2 / (4 + 64**2))
    assert clustered_interval([20, 0, 1], [200, 1, 1], 0.95) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("votes", "expected"),
    [([4], (0.0, 1.0)), ([0] * 30, (0.0, 0.1157)), ([4] * 30, (0.8843, 1.0)), ([2] * 30, (0.3130, 0.6870))],
)
def test_prompts_without_variance_count_once_each(votes, expected):
    assert clustered_interval(votes, np.full(len(votes), COMPARISONS), 0.95) == pytest.approx(expected, abs=1e-4)


# The confidence sequence


def test_a_bettor_cannot_expect_to_gain_against_the_truth():
    """Exact: the mean capital over all sequences of scores with mean 0.4 is 1 at every time."""
    values, chances = (0.0, 0.5, 1.0), (0.4, 0.4, 0.2)  # mean 0.4
    expected = np.zeros(4)
    for scores in itertools.product(range(3), repeat=4):
        chance = math.prod(chances[score] for score in scores)
        expected += chance * np.exp(_Bettor(np.array([values[score] for score in scores])).log_capital(0.4, 4))
    assert expected == pytest.approx(1.0)


@given(st.lists(st.sampled_from([Fraction(k, 4) for k in range(5)]), min_size=1, max_size=12), st.integers(1, 99))
@settings(max_examples=60)
def test_capital_is_the_products_of_the_definition(scores, percent):
    candidate = Fraction(percent, 100)
    bets = [Fraction(str(round(float(bet), 12))) for bet in BETS]
    capitals = [math.prod(1 + bet / candidate * (score - candidate) for score in scores) for bet in bets]
    computed = _Bettor(np.array([float(score) for score in scores])).log_capital(float(candidate), len(scores))[-1]
    assert computed == pytest.approx(math.log(sum(capitals) / len(capitals)), abs=1e-6)


def test_the_interval_holds_exactly_the_candidates_that_no_bettor_ruined():
    draw = np.random.default_rng(2)
    scores = simulate(draw, 0.6, 0.4, 80) / COMPARISONS
    ((low, high),) = betting_sequence(scores, 0.9, [80])
    for candidate in np.linspace(0.01, 0.99, 197):
        richest = 0.0
        for side, centre in ((scores, candidate), (1 - scores, 1 - candidate)):
            capital = np.mean([np.cumprod(1 + bet * (side / centre - 1)) for bet in BETS], axis=0)
            richest = max(richest, capital.max())
        assert (richest < 2 / 0.1) == (low < candidate < high)


# Bounds that BettingCS(alpha=0.05) of the package ville 0.1.0 gives after 50, 200, 600 and 1,500 scores: the hedged
# capital of Waudby-Smith and Ramdas with predictable plug-in bets, written by others.
VILLE = {50: (0.2840, 0.5475), 200: (0.3395, 0.4997), 600: (0.3705, 0.4753), 1500: (0.3862, 0.4603)}


def test_second_opinion_of_another_library():
    scores = np.array([(3 * i * i + i * (i % 7)) % 11 % 5 / 4 for i in range(1, 1501)])
    ours = betting_sequence(scores, 0.95, list(VILLE))
    for prompts, (low, high), (their_low, their_high) in zip(VILLE, ours, VILLE.values(), strict=True):
        assert max(low, their_low) < scores[:prompts].mean() < min(high, their_high)
        assert abs(low - their_low) < 0.02 and abs(high - their_high) < 0.02
        assert (high - low) / (their_high - their_low) < 1.1


@pytest.mark.parametrize(("score", "correlation"), GRID)
def test_the_sequence_holds_the_truth_at_all_times_at_once(score, correlation):
    draw = np.random.default_rng(7)
    repetitions, threshold, lost = 250, math.log(2 / 0.1), 0
    for votes in simulate(draw, score, correlation, (repetitions, 300)):
        scores = votes / COMPARISONS
        ruined = (
            _Bettor(side).log_capital(centre, 300).max() >= threshold
            for side, centre in ((scores, score), (1 - scores, 1 - score))
        )
        lost += any(ruined)
    assert lost / repetitions <= 0.1 + 2 * math.sqrt(0.09 / repetitions)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(0.5, 0.99))
@settings(max_examples=40)
def test_the_interval_holds_the_observed_mean_and_mirrors(votes, confidence):
    scores = np.array(votes) / COMPARISONS
    at = list(range(1, len(scores) + 1, 7))
    intervals = betting_sequence(scores, confidence, at)
    mirrored = betting_sequence(1 - scores, confidence, at)
    for prompts, (low, high), (other_low, other_high) in zip(at, intervals, mirrored, strict=True):
        assert 0 <= low <= scores[:prompts].mean() <= high <= 1
        assert (other_low, other_high) == pytest.approx((1 - high, 1 - low), abs=1e-6)


def test_more_confidence_is_wider_and_more_prompts_are_not():
    scores = simulate(np.random.default_rng(9), 0.55, 0.3, 400) / COMPARISONS
    at = [1, 10, 50, 200, 400]
    ninety, ninety_nine = betting_sequence(scores, 0.9, at), betting_sequence(scores, 0.99, at)
    for narrow, wide in zip(ninety, ninety_nine, strict=True):
        assert wide[0] <= narrow[0] and narrow[1] <= wide[1]
    widths = [high - low for low, high in ninety]
    assert widths == sorted(widths, reverse=True) and widths[-1] < 0.15
