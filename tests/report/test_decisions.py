"""Δ, the better arm, and how often the boundary score picked it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from dpo_stages.report.arms import delta, format_delta, gain
from dpo_stages.report.decisions import Decision, tally
from dpo_stages.report.policy_rows import Row

points = st.floats(-50, 50, allow_nan=False).map(lambda value: round(value, 2))


def decision(score, off_gain, on_gain):
    known = {"model": "m", "model_label": "M", "method": "dpo", "method_label": "DPO", "seed": 0}
    known |= {"policy": "p", "resolved_policy": "p", "lc_win_rate": 50.0, "win_rate": 50.0, "boundary_score": score}
    known["recommended_source"] = "off" if score < 0.5 else "on"
    return Decision(Row(**known, history=("off",), gain=off_gain), Row(**known, history=("on",), gain=on_gain))


def test_gain_is_a_difference_in_percentage_points():
    assert gain(27.73, 24.59) == pytest.approx(3.14)


@pytest.mark.parametrize(
    ("off_gain", "on_gain", "expected", "shown"),
    [
        (12.65, 5.58, 12.65 / 5.58, "2.27"),
        (0.10, 12.84, 0.10 / 12.84, "<0.01"),
        (0.0, 5.0, 0.0, "0.00"),
        (-2.0, 5.0, -0.4, "-0.40"),  # only the on-policy arm gains
        (-0.001, 5.0, -0.0002, "0.00"),
        (0.16, -1.60, math.inf, "+∞"),  # only the off-policy arm gains
        (0.16, 0.0, math.inf, "+∞"),
        (-0.53, -0.79, None, "–"),  # neither gains
        (0.0, 0.0, None, "–"),
    ],
)
def test_delta_in_every_case(off_gain, on_gain, expected, shown):
    value = delta(off_gain, on_gain)
    assert value == (expected if expected is None else pytest.approx(expected))
    assert format_delta(value) == shown


@given(points, points)
def test_delta_is_above_one_exactly_where_the_off_policy_arm_is_better(off_gain, on_gain):
    value = delta(off_gain, on_gain)
    better = decision(0.4, off_gain, on_gain).better
    if value is None:
        assert off_gain <= 0 and on_gain <= 0
    elif value != pytest.approx(1):
        assert better == ("off" if value > 1 else "on")


def test_a_decision_is_right_when_the_recommended_arm_gained_more():
    assert decision(0.4, 3.0, 1.0).right is True
    assert decision(0.6, 3.0, 1.0).right is False
    assert decision(0.6, -3.0, -1.0).right is True
    assert decision(0.6, 1.0, 1.0).right is None


@pytest.mark.parametrize(("right", "wrong", "equal"), [(7, 2, 0), (9, 0, 1), (0, 4, 2), (1, 1, 0)])
def test_tally_counts_and_its_interval_is_clopper_and_pearsons(right, wrong, equal):
    made = [decision(0.4, 2, 1)] * right + [decision(0.4, 1, 2)] * wrong + [decision(0.4, 1, 1)] * equal
    counted = tally(made, 0.9)
    assert (counted.right, counted.judged, counted.equal) == (right, right + wrong, equal)
    expected = binomtest(right, right + wrong).proportion_ci(0.9, method="exact")
    assert counted.interval == pytest.approx((expected.low, expected.high))
    assert f"{right} of {right + wrong} initial policies" in counted.sentence()


def test_a_tally_of_nothing_says_so():
    assert tally([]).interval == (0.0, 1.0)
    assert tally([decision(0.4, 1, 1)]).sentence().startswith("No initial policy")
