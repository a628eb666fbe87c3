"""Verdicts of a preference model on two arms: the share, its interval, and that of the mean over runs."""

import numpy as np
import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import write_table
from dpo_stages.evaluation.arms import ARMS_SCHEMA
from dpo_stages.evaluation.gains import level_interval, percentile_interval
from dpo_stages.evaluation.length_control import resample_counts
from dpo_stages.evaluation.verdicts import read_verdict, verdicts_over_runs


def write(path, preferred, first=0, arms=("m/dpo/off", "m/dpo/on")):
    rows = [
        {"index": first + number, "prompt_id": str(number), "off_policy": arms[0], "on_policy": arms[1]}
        | {"logit": value - 0.5, "off_policy_preferred": value, "order_flip": False}
        for number, value in enumerate(preferred)
    ]
    write_table(path, rows[::-1], ARMS_SCHEMA)  # in whatever order
    return path


def test_a_verdict_is_a_share_with_the_interval_of_a_binomial(tmp_path):
    found = read_verdict(write(tmp_path / "a.parquet", [1.0] * 119 + [0.5] * 2 + [0.0] * 199))
    assert found.percent == pytest.approx(37.5) and found.arms == ("m/dpo/off", "m/dpo/on")
    half = 196 * np.sqrt(0.375 * 0.625 / 320)
    assert found.interval == pytest.approx((37.5 - half, 37.5 + half), abs=0.6)
    again = read_verdict(tmp_path / "a.parquet")
    assert (again.resamples == found.resamples).all() and found.instructions == tuple(range(320))


def test_all_arms_are_resampled_alike(tmp_path):
    draw = np.random.default_rng(0)
    votes = draw.integers(0, 2, 200).astype(float)
    one = read_verdict(write(tmp_path / "a.parquet", votes))
    other = read_verdict(write(tmp_path / "b.parquet", 1 - votes))
    assert one.resamples + other.resamples == pytest.approx(100)


def test_over_runs_it_is_the_mean_and_runs_that_differ_widen_it(tmp_path):
    draw = np.random.default_rng(1)

    def runs(*shares):
        return [
            [read_verdict(write(tmp_path / "x.parquet", (draw.random(300) < share).astype(float)))] for share in shares
        ]

    alike, apart = runs(0.4, 0.4, 0.4), runs(0.2, 0.4, 0.6)
    ((low, high),) = verdicts_over_runs([alike])
    assert (low + high) / 2 == pytest.approx(np.mean([run[0].percent for run in alike]))
    ((wide_low, wide_high),) = verdicts_over_runs([apart])
    assert wide_high - wide_low > 3 * (high - low)
    averaged = [[one for run in runs_ for one in run] for runs_ in (alike, apart)]
    ((low, high),) = verdicts_over_runs([averaged])
    assert (low + high) / 2 == pytest.approx(np.mean([np.mean([one.percent for one in run]) for run in averaged]))


def test_what_does_not_fit_together_is_refused(tmp_path):
    one = read_verdict(write(tmp_path / "a.parquet", [1.0, 0.0]))
    other = read_verdict(write(tmp_path / "b.parquet", [1.0, 0.0], first=1, arms=("n/dpo/off", "n/dpo/on")))
    with pytest.raises(BadInput, match="m/dpo/off and m/dpo/on were compared on other instructions than n/dpo/off"):
        verdicts_over_runs([[[one], [other]]])
    write(tmp_path / "c.parquet", [])
    with pytest.raises(BadInput, match=r"c\.parquet compares 0 pairs of arms"):
        read_verdict(tmp_path / "c.parquet")


def test_their_intervals_are_plain_numbers(tmp_path):
    runs = [[read_verdict(write(tmp_path / "a.parquet", votes))] for votes in ([1.0, 0.0, 1.0], [1.0, 1.0, 0.0])]
    assert {type(end) for ends in verdicts_over_runs([runs]) for end in ends} == {float}


@pytest.mark.parametrize(("wins", "of", "low", "high"), [(20, 20, 82, 100), (0, 20, 0, 18), (39, 40, 86, 100)])
def test_near_0_and_100_percent_the_interval_is_that_of_a_share(tmp_path, wins, of, low, high):
    found = read_verdict(write(tmp_path / "a.parquet", [1.0] * wins + [0.0] * (of - wins)))
    assert found.interval == pytest.approx((low, high), abs=2)


def test_a_level_near_100_percent_is_covered_and_one_away_from_it_is_the_bootstraps():
    draw, held = np.random.default_rng(4), []
    for _ in range(200):
        values = (draw.random(40) < 0.97).astype(float)
        low, high = level_interval(100 * resample_counts(40, 200, 0) @ values / 40, values, 0.95)
        held.append(low <= 97 <= high)
    assert np.mean(held) >= 0.95
    values = np.repeat([1.0, 0.0], [35, 5])
    resamples = 100 * resample_counts(40, 200, 0) @ values / 40
    assert level_interval(resamples, values, 0.95) == percentile_interval(resamples, 0.95)
