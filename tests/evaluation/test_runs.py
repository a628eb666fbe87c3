"""Intervals that hold the run, against known truth and by hand."""

import numpy as np
import pytest
from scipy.stats import t

from dpo_stages.evaluation.runs import intervals_over_runs


def simulate(draw, arms, runs, of_run, of_both=20.0, of_instructions=15.0, instructions=120, resamples=200):
    """Gains whose truth is 0, and their bootstrap over instructions; standard deviations in points."""
    gains = draw.normal(0, of_both, (arms, runs, instructions)) + draw.normal(0, of_run, (arms, runs, 1))
    gains += draw.normal(0, of_instructions, (arms, 1, instructions))
    weights = draw.multinomial(instructions, np.full(instructions, 1 / instructions), resamples) / instructions
    return gains.mean(axis=2), np.einsum("bi,gri->gbr", weights, gains)


@pytest.mark.parametrize("runs", [2, 3])
@pytest.mark.parametrize("of_run", [0.0, 4.0])
def test_they_hold_the_truth_as_often_as_they_say(runs, of_run):
    draw, held = np.random.default_rng(0), []
    for _ in range(80):
        low, high = intervals_over_runs(*simulate(draw, 12, runs, of_run), 0.95)
        held.append((low <= 0) & (high >= 0))
    assert 0.92 < np.mean(held) < 0.98


def test_without_any_noise_of_instructions_it_is_students_t_with_the_variance_pooled():
    points = np.array([[1.0, 2.0, 6.0], [0.0, 1.0, -1.0]])
    low, high = intervals_over_runs(points, np.repeat(points[:, None, :], 5, axis=1), 0.9)
    half = t.ppf(0.95, 4) * np.sqrt((points.var(axis=1, ddof=1).mean()) / 3)
    assert low == pytest.approx(points.mean(axis=1) - half) and high == pytest.approx(points.mean(axis=1) + half)


def test_runs_that_differ_no_more_than_instructions_make_them_add_nothing():
    draw = np.random.default_rng(1)
    _, resamples = simulate(draw, 3, 2, 0.0)
    points = np.zeros((3, 2))
    low, high = intervals_over_runs(points, resamples, 0.95)
    assert (high - low) / 2 == pytest.approx(1.96 * resamples.mean(axis=2).std(axis=1, ddof=1), rel=1e-3)


def test_instructions_that_all_runs_share_do_not_shrink_with_more_runs():
    draw = np.random.default_rng(2)
    widths = []
    for runs in (2, 20):
        low, high = intervals_over_runs(*simulate(draw, 10, runs, 0.0, of_both=1.0), 0.95)
        widths.append(np.mean(high - low))
    assert widths[1] == pytest.approx(widths[0], rel=0.15)


def test_a_contrast_near_its_end_beside_others_has_no_fewer_degrees_of_freedom_than_the_pooled_variance():
    draw, shares = np.random.default_rng(3), np.array([0.02, 0.1, 0.3, 0.5])
    wins = 100.0 * (draw.random((4, 2, 200)) < shares[:, None, None])
    weights = draw.multinomial(200, np.full(200, 1 / 200), 300) / 200
    low, high = intervals_over_runs(wins.mean(axis=2), np.einsum("bi,gri->gbr", weights, wins), 0.95)
    assert ((high - low) / 2 < [3, 8, 10, 10]).all()


def test_what_never_varies_has_an_interval_without_width():
    points = np.array([[100.0, 100.0], [40.0, 50.0]])
    resamples = np.repeat(points[:, None, :], 5, axis=1)
    resamples[1] += np.linspace(-5, 5, 5)[:, None]
    (low, _), (high, _) = intervals_over_runs(points, np.round(resamples), 0.95)
    assert low <= 100 <= high and np.isfinite([low, high]).all()
    low, high = intervals_over_runs(points[:1], resamples[:1], 0.95)
    assert (low, high) == (100, 100)
