"""The quick fits behind intervals and difficulties, against scikit-learn, brute force and known truth."""

import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpo_stages.evaluation.length_control import (
    GAMED_WEIGHT,
    GamedBaselines,
    fit_difficulties,
    fit_many,
    logistic,
    resample_counts,
    resampled_lc_win_rates,
    standardised,
)


def study(instructions: int, policies: int, seed: int = 0):
    """Policies of known strength whose judge likes length: returns what a fit is given, and the truth.

    The length-controlled win rate of policy m is 100 mean logistic(theta_m + gamma).
    """
    generator = np.random.default_rng(seed)
    gamma, theta = generator.normal(0, 1.5, instructions), np.linspace(-1.5, 1.0, policies)
    reference = generator.integers(100, 400, instructions)
    ratio = np.linspace(0.6, 1.6, policies)[:, None]
    length = np.maximum(1, reference * ratio + generator.normal(0, 40, (policies, instructions))).astype(int)
    difference = (reference - length).astype(float)

    def judged(difference, theta):
        return logistic(
            theta + gamma - 1.5 * np.tanh(standardised(difference)) + generator.normal(0, 0.7, instructions)
        )

    preference = np.stack([judged(row, strength) for row, strength in zip(difference, theta, strict=True)])
    gamed_difference = [reference - reference * factor + generator.normal(0, 20, instructions) for factor in (1.8, 0.4)]
    gamed_preference = np.stack([judged(row, 0.0) for row in gamed_difference])
    gamed_length = np.stack([standardised(row) for row in gamed_difference])
    truth = 100 * logistic(theta[:, None] + gamma).mean(axis=1)
    return preference, difference, gamed_preference, gamed_length, gamma, truth


def baselines(gamed_preference, gamed_length, difficulty) -> GamedBaselines:
    size = len(difficulty)
    return GamedBaselines(
        np.tile(np.arange(size), 2),
        np.repeat([0, 1], size),
        gamed_preference.ravel(),
        gamed_length.ravel(),
        np.tile(difficulty, 2),
    )


@pytest.mark.parametrize("strength", [0.05, 2.782559402207126, 1e4])
def test_fits_are_those_of_scikit_learn(strength):
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(1)
    rows, resamples = 300, 4
    length = np.tanh(generator.normal(size=(resamples, rows)))
    difficulty, own = generator.normal(size=rows), (np.arange(rows) < 200).astype(float)
    target = logistic(difficulty - length[0] + 0.7 * own)
    weight = generator.integers(0, 4, (resamples, rows)) * np.where(own, 1.0, 0.1)
    found = fit_many(length, difficulty, own, target, weight, strength)
    for resample in range(resamples):
        features = np.column_stack([length[resample], difficulty, own])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(
                penalty="l1", solver="liblinear", C=strength, fit_intercept=False, tol=1e-10, max_iter=10_000
            )
            model.fit(
                np.concatenate([features, features]),
                np.repeat([1, 0], rows),
                sample_weight=np.concatenate([weight[resample] * target, weight[resample] * (1 - target)]),
            )
        assert found[resample] == pytest.approx(model.coef_[0], abs=2e-4)
    if strength == 0.05:
        assert (found == 0).any()  # the penalty reaches zero exactly, as it does there


def test_a_resample_is_a_fit_to_the_rows_drawn():
    """Counts stand for rows written so many times: standard deviation, fit and mean all agree with that."""
    preference, difference, gamed_preference, gamed_length, gamma, _ = study(60, 1)
    index, counts = np.arange(60), resample_counts(60, 3, seed=5)
    gamed = baselines(gamed_preference, gamed_length, gamma)
    found = resampled_lc_win_rates(index, preference[0], difference[0], gamed, 20.0, counts)
    for resample, drawn in enumerate(counts):
        rows = np.repeat(index, drawn)
        length = np.tanh(difference[0][rows] / difference[0][rows].std(ddof=1))
        length = np.concatenate([length, np.tanh(gamed_length[:, rows]).ravel()])[None]
        difficulty = np.concatenate([gamma[rows]] * 3)
        own = np.repeat([1.0, 0.0], [60, 120])
        target = np.concatenate([preference[0][rows], gamed_preference[:, rows].ravel()])
        weight = np.where(own, 1.0, GAMED_WEIGHT)[None]
        coefficients = fit_many(length, difficulty, own, target, weight, 20.0)[0]
        expected = 100 * logistic(coefficients[1] * gamma[rows] + coefficients[2]).mean()
        assert found[resample] == pytest.approx(expected, abs=1e-6)


@settings(max_examples=60)
@given(st.lists(st.integers(-500, 500), min_size=2, max_size=30), st.integers(0, 100))
def test_standardised_differences_have_unit_deviation_or_are_zero(values, seed):
    difference = np.array(values, dtype=float)
    counts = resample_counts(len(values), 4, seed)
    for drawn, row in zip(counts, standardised(difference, counts.astype(float)), strict=True):
        rows = np.repeat(row, drawn)
        if np.ptp(np.repeat(difference, drawn)) == 0:
            assert not row.any()
        else:
            assert rows.std(ddof=1) == pytest.approx(1.0)


def test_resamples_of_two_policies_draw_the_same_instructions():
    assert np.array_equal(resample_counts(805, 50, 0), resample_counts(805, 50, 0))
    assert (resample_counts(805, 50, 0).sum(axis=1) == 805).all()
    assert not np.array_equal(resample_counts(805, 50, 0), resample_counts(805, 50, 1))


def test_difficulties_are_recovered_jointly_and_lengths_controlled_for():
    preference, difference, gamed_preference, gamed_length, gamma, truth = study(160, 7)
    lengths = np.stack([standardised(row) for row in difference])
    found = fit_difficulties(preference, lengths, gamed_preference, gamed_length)
    assert np.corrcoef(found, gamma)[0, 1] > 0.9
    gamed = baselines(gamed_preference, gamed_length, found)
    everything = np.ones((1, 160), dtype=int)
    controlled = [
        resampled_lc_win_rates(np.arange(160), row, lengths_of, gamed, 1e3, everything)[0]
        for row, lengths_of in zip(preference, difference, strict=True)
    ]
    raw = 100 * preference.mean(axis=1)
    assert np.abs(controlled - truth).max() < 4
    assert np.abs(raw - truth).max() > 8


def test_difficulties_do_not_depend_on_the_order_of_policies_or_instructions():
    preference, difference, gamed_preference, gamed_length, _, _ = study(40, 5)
    lengths = np.stack([standardised(row) for row in difference])
    found = fit_difficulties(preference, lengths, gamed_preference, gamed_length)
    order, places = np.random.default_rng(0).permutation(5), np.random.default_rng(1).permutation(40)
    shuffled = fit_difficulties(
        preference[order][:, places], lengths[order][:, places], gamed_preference[:, places], gamed_length[:, places]
    )
    assert shuffled == pytest.approx(found[places], abs=1e-7)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_difficulties_stay_finite_where_every_policy_gets_the_same(value):
    _, difference, gamed_preference, gamed_length, _, _ = study(30, 3)
    lengths = np.stack([standardised(row) for row in difference])
    found = fit_difficulties(np.full((3, 30), value), lengths, gamed_preference, gamed_length)
    assert np.isfinite(found).all() and np.abs(found).max() < 10


def test_a_thousand_refits_take_seconds():
    """21 policies in under two minutes leave 5.7 s for each; this takes about one."""
    preference, difference, gamed_preference, gamed_length, gamma, _ = study(805, 1)
    gamed = baselines(gamed_preference, gamed_length, gamma)
    started = time.monotonic()
    rates = resampled_lc_win_rates(
        np.arange(805), preference[0], difference[0], gamed, 2.78, resample_counts(805, 1000, 0)
    )
    seconds = time.monotonic() - started
    print(f"1,000 refits to 805 instructions: {seconds:.2f} s")
    assert len(rates) == 1000 and np.isfinite(rates).all()
    assert seconds < 5.7
