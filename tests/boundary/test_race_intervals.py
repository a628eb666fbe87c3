"""Intervals of a race: variances from the definition, what the prior does, and how often the truth is held."""

import numpy as np
import pytest
from scipy.stats import norm, t

from dpo_boundary.intervals import betting_sequence
from dpo_boundary.race import RUN_DF, RUN_SD
from dpo_boundary.race_intervals import (
    anytime_quantile,
    over_prompts_and_runs,
    run_half_width,
    run_variance,
    without_lengths,
)


def test_the_variance_of_runs_is_that_of_the_two_way_table():
    """Against mean squares of the analysis of variance, written as in a textbook."""
    draw = np.random.default_rng(0)
    scores = draw.random((2, 3, 40)) + 0.2 * draw.random((2, 3, 1))
    expected = []
    for table in scores:
        runs, prompts = table.shape
        rows, columns, all_ = table.mean(axis=1), table.mean(axis=0), table.mean()
        of_runs = prompts * sum((row - all_) ** 2 for row in rows) / (runs - 1)
        rest = sum((table[r, p] - rows[r] - columns[p] + all_) ** 2 for r in range(runs) for p in range(prompts)) / (
            (runs - 1) * (prompts - 1)
        )
        expected.append((of_runs - rest) / prompts)
    assert run_variance(scores) == pytest.approx(np.mean(expected))


def test_it_is_the_variance_that_was_put_in():
    draw = np.random.default_rng(1)
    scores = draw.normal(0, 0.3, (400, 1, 60)) + draw.normal(0, 0.4, (400, 3, 60)) + draw.normal(0, 0.05, (400, 3, 1))
    assert run_variance(scores) == pytest.approx(0.05**2, rel=0.2)


def test_few_runs_are_moderated_towards_the_prior_and_many_are_not():
    given = {"arms": 2, "confidence": 0.95, "run_sd": 0.03, "run_df": 4.0}
    alone = run_half_width(None, runs=1, **given)
    assert alone == pytest.approx(t(4).ppf(0.975) * 0.03)
    two = run_half_width(0.06**2, runs=2, **given)
    assert two == pytest.approx(t(5).ppf(0.975) * np.sqrt((4 * 0.03**2 + 0.06**2) / 5 / 2))
    many = run_half_width(0.06**2, runs=400, **given)
    assert many == pytest.approx(norm.ppf(0.975) * 0.06 / 20, rel=0.02)
    assert run_half_width(-0.1, runs=2, **given) == run_half_width(0.0, runs=2, **given) > 0


def test_prompts_and_runs_are_combined_in_quadrature_each_side_by_itself():
    scores = np.random.default_rng(2).random(100) < 0.8
    ((low, high),) = betting_sequence(scores, 0.95, [100])
    score, (lower, upper) = over_prompts_and_runs(scores.astype(float), 0.95, 0.1)
    assert score == scores.mean() and score - low != pytest.approx(high - score)
    assert (score - lower) ** 2 == pytest.approx((score - low) ** 2 + 0.01)
    assert upper == pytest.approx(min(1, score + np.hypot(high - score, 0.1)))
    assert over_prompts_and_runs(scores.astype(float), 0.95, np.inf)[1] == (0, 1)


def test_a_wider_scale_holds_the_same_scores():
    scores = (np.random.default_rng(3).random(300) < 0.6).astype(float)
    narrow, wide = (over_prompts_and_runs(scores, 0.95, 0.0, scale)[1] for scale in ((0, 1), (-0.3, 1.3)))
    assert wide == pytest.approx(narrow, abs=0.01) and wide != narrow  # other bets are the best ones


def lengths(draw, effect, mean=0.7, prompts=400):
    longer = draw.normal(mean, 1, (1, 2, prompts)) * 80
    size = np.sqrt(np.square(longer).mean())
    scores = (draw.random(longer.shape) < 0.5 + effect * np.tanh(longer / size)).astype(float)
    return scores, longer


def test_what_length_does_is_taken_out_wholly():
    draw = np.random.default_rng(4)
    found = [without_lengths(*lengths(draw, 0.4)) for _ in range(60)]
    means = np.array([adjusted.mean() for adjusted, _, _ in found])
    assert abs(means.mean() - 0.5) < 3 * means.std() / np.sqrt(60) < 0.015
    for adjusted, (lowest, highest), _ in found:
        assert lowest <= adjusted.min() and adjusted.max() <= highest and lowest + highest == pytest.approx(1)


def test_the_error_of_the_slope_is_what_the_means_have_beyond_their_prompts():
    draw = np.random.default_rng(5)
    means, own, beyond = [], [], []
    for _ in range(300):
        adjusted, _, errors = without_lengths(*lengths(draw, 0.3, mean=2.0))
        prompts = adjusted.mean(axis=(0, 1))
        means.append(prompts.mean())
        own.append(prompts.var(ddof=1) / len(prompts))
        beyond.append(errors[0] ** 2)
    assert np.var(means) == pytest.approx(np.mean(own) + np.mean(beyond), rel=0.25)
    assert np.mean(beyond) > np.mean(own)


def test_what_the_slope_adds_is_held_at_all_numbers_of_prompts_at_once():
    sums = np.cumsum(np.random.default_rng(7).normal(size=(2000, 600)), axis=1)[:, 31:]
    prompts = np.arange(32, 601)
    quantiles = np.array([anytime_quantile(int(number), 0.9) for number in prompts])
    left = (np.abs(sums) > quantiles * np.sqrt(prompts)).any(axis=1).mean()
    assert left <= 0.1 < (np.abs(sums) > norm.ppf(0.95) * np.sqrt(prompts)).any(axis=1).mean()


def test_naming_a_pair_the_other_way_round_mirrors_it():
    scores, longer = lengths(np.random.default_rng(6), 0.4)
    scores, longer = np.concatenate([scores] * 2), np.concatenate([longer, 0.5 * longer])
    turned = [np.stack([1 - scores[0], scores[1]]), np.stack([-longer[0], longer[1]])]
    one, other = without_lengths(scores, longer), without_lengths(*turned)
    assert other[0][0] == pytest.approx(1 - one[0][0]) and other[0][1] == pytest.approx(one[0][1])
    assert other[2] == pytest.approx(one[2])


@pytest.mark.parametrize("runs", [2, 3])
def test_the_interval_holds_the_truth_over_prompts_and_runs_as_often_as_it_states(runs):
    """Runs that differ by 4 points, more than is expected of them. `benchmarks/race.py` has all the other cells."""
    draw = np.random.default_rng(runs)
    held, repetitions = 0, 300
    for _ in range(repetitions):
        chances = 0.6 + 0.04 * draw.normal(size=(1, runs, 1)) + draw.normal(0, 0.15, (1, 1, 400))
        scores = (draw.random((1, runs, 400)) < chances).astype(float)
        half = run_half_width(
            run_variance(scores), arms=2, runs=runs, confidence=0.9, run_sd=RUN_SD / 100, run_df=RUN_DF
        )
        _, (low, high) = over_prompts_and_runs(scores[0].mean(axis=0), 0.9, half)
        held += low <= 0.6 <= high
    assert held / repetitions >= 0.9
