"""Δ, the better arm on each yardstick, how often the boundary score picked it, and where the yardsticks part."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpo_stages.report import gainless, partings, tallies
from dpo_stages.report.arms import delta, format_delta, gain
from dpo_stages.report.decisions import NEITHER, NO_GAIN, Decision, decisions, decisions_table, pooled
from dpo_stages.report.policy_rows import Row
from dpo_stages.report.tallies import tally
from dpo_stages.report.yardsticks import LC_WIN_RATE, PREFERENCE_MODEL, WIN_RATE, leading, yardsticks

points = st.floats(-50, 50, allow_nan=False).map(lambda value: round(value, 2))


def decision(score, off_gain, on_gain, **known):
    """One initial policy; `known` are other columns of its rows."""
    known = {"model": "m", "model_label": "M", "method": "dpo", "method_label": "DPO", "seed": 0, **known}
    known |= {"policy": "p", "resolved_policy": "p", "lc_win_rate": 50.0, "win_rate": 50.0, "boundary_score": score}
    known = {"initial_policy": f"{known['model']}/sft", **known}
    off, on = (
        Row(**{"history": (source,), **known}, gain=gain) for source, gain in (("off", off_gain), ("on", on_gain))
    )
    return Decision((off,), (on,))


def held(score, runs=2, **arms):
    """One initial policy whose off-policy arm is held against the on-policy arm: 1, -1, or "off" and "on" told apart by runs.

    Yardsticks that are not named were not measured.
    """
    one = decision(score, None, None)
    columns = {}
    for name, arm in arms.items():
        of = {"preference_model": PREFERENCE_MODEL, "win_rate": WIN_RATE, "lc": LC_WIN_RATE}[name]
        sign = {"off": 1, "on": -1}.get(arm, arm)
        near, far = (0.5, 9.0) if arm in ("off", "on") else (-9.0, 9.0)
        columns[of.compared] = of.even + 4 * sign
        if runs > 1:
            ends = sorted(of.even + sign * end for end in (near, far))
            columns |= {f"runs_{of.compared}_low": ends[0], f"runs_{of.compared}_high": ends[1]}
        if of.gain:
            columns[of.gain] = 4.0 * sign
    (off,), (on,) = one.off_rows, one.on_rows
    nothing = {of.gain: 0.0 for of in (WIN_RATE, LC_WIN_RATE) if of.gain in columns}
    return Decision((replace(off, runs=runs, **columns),), (replace(on, runs=runs, **columns | nothing),))


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
    better = decision(0.4, off_gain, on_gain).better(LC_WIN_RATE)
    if value is None:
        assert off_gain <= 0 and on_gain <= 0
    elif value != pytest.approx(1):
        assert better == ("off" if value > 1 else "on")


def test_a_decision_is_right_when_the_recommended_arm_gained_more():
    assert decision(0.4, 3.0, 1.0).right(LC_WIN_RATE) is True
    assert decision(0.6, 3.0, 1.0).right(LC_WIN_RATE) is False
    assert decision(0.6, -3.0, -1.0).right(LC_WIN_RATE) is True
    assert decision(0.6, 1.0, 1.0).right(LC_WIN_RATE) is None


@pytest.mark.parametrize(("right", "wrong", "equal"), [(7, 2, 0), (9, 0, 1), (0, 4, 2), (1, 1, 0)])
def test_a_tally_counts_what_was_judged(right, wrong, equal):
    made = [decision(0.4, 2, 1)] * right + [decision(0.4, 1, 2)] * wrong + [decision(0.4, 1, 1)] * equal
    counted = tally(made, LC_WIN_RATE)
    assert (counted.right, counted.judged) == (right, right + wrong)


def test_nothing_within_noise_is_counted_in_words():
    assert tallies.sentence([]).startswith("No initial policy")
    for found in ([held(0.4, runs=1, win_rate="off")], [decision(0.4, 2, 1)]):
        assert tallies.sentence(found) == tallies.ONE_RUN
        assert tally(found, LC_WIN_RATE).words() == "for none, as one run tells no arm apart"
    open_ = [held(0.4, preference_model=1, win_rate=-1, lc=-1)]
    assert tallies.sentence(open_) == tallies.NONE_APART
    assert tally(open_, WIN_RATE).words() == "for none, as runs tell no arm apart"
    assert not re.search("[0-9]", tallies.ONE_RUN + tallies.NONE_APART)


def test_each_yardstick_has_its_own_better_arm_and_tally():
    found = [
        held(0.4, preference_model="off", win_rate="on", lc=-1),
        held(0.6, preference_model="off", win_rate=1, lc=1),
    ]
    first = found[0]
    assert [first.better(of) for of in yardsticks(None)] == ["off", "on", "on"]
    assert [first.compared(of) for of in (PREFERENCE_MODEL, WIN_RATE, LC_WIN_RATE)] == [54.0, -4.0, -4.0]
    assert [first.separated(of) for of in yardsticks(None)] == [True, False, True]  # LC before the win rate
    counted = {of: tally([first], of) for of in yardsticks(None)}
    assert [(one.right, one.separated, one.separated_right) for one in counted.values()] == [
        (1, 1, 1),
        (0, 0, 0),
        (0, 1, 0),
    ]
    assert tallies.sentence([first]) == (
        "Of the initial policies whose arms runs tell apart, the boundary score picked the better arm for 1 of 1 by the "
        "preference model, 0 of 1 by win rate; always off-policy data would have picked it for 1, 0, always on-policy samples for "
        "0, 1. Runs tell no arms apart by length-controlled win rate."
    )


def test_one_run_tells_nothing_apart():
    one = held(0.4, runs=1, preference_model="off", win_rate="on")
    assert one.separated(WIN_RATE) is None and tally([one], WIN_RATE).cell() == "0 of 1"
    assert "*" not in tallies.compared_grid([one]).markdown()


def test_replicates_are_runs_of_one_decision_and_seeds_are_pooled_where_runs_are_counted():
    columns = {"verdict": 60.0, "win_rate_gain": 1.0}
    rows = [
        Row(
            **vars(decision(0.4 + 0.3 * seed, gain, 0.0, seed=seed, model="m").off)
            | {"history": (source,), "initial_policy": f"m@{seed}/sft", "replicate": replicate, "gain": gain, **columns}
        )
        for seed in (0, 1)
        for source in ("off", "on")
        for replicate, gain in ((1, 2.0), (2, 4.0 if source == "off" else 1.0))
    ]
    first, second = decisions(rows)
    assert len(first.off_rows) == len(first.on_rows) == 2 and not first.whole
    assert first.gain("off", LC_WIN_RATE) == 3.0 and first.compared(LC_WIN_RATE) == 1.5
    assert first.compared(WIN_RATE) == 0.0 and first.better(WIN_RATE) is None
    (both,) = pooled([first, second])
    assert len(both.off_rows) == 4 and both.boundary_score == pytest.approx(0.55) and both.recommended == "on"
    assert decisions([row for row in rows if row.seed == 0])[0].whole


def test_an_interval_of_all_runs_is_not_shown_for_one_of_several_seeds():
    one = held(0.4, win_rate="off")
    ends = {"win_rate_difference_low": 3.0, "win_rate_difference_high": 5.0}
    one = Decision((replace(one.off, **ends),), one.on_rows)
    assert one.interval(WIN_RATE) == (0.5, 9.0)
    assert replace(one, whole=False).interval(WIN_RATE) == (3.0, 5.0)


@pytest.mark.parametrize(
    ("arms", "reasons"),
    [
        ({"preference_model": "on", "win_rate": "off", "lc": "off"}, [partings.OVER_OPTIMISED]),
        ({"preference_model": "on", "win_rate": 1, "lc": 1}, [partings.NOISE]),
        ({"preference_model": -1, "win_rate": "off", "lc": "off"}, [partings.NOISE]),
        ({"preference_model": "off", "win_rate": "off", "lc": "on"}, [partings.OVER_OPTIMISED, partings.LENGTH]),
        ({"preference_model": "off", "win_rate": "off", "lc": -1}, [partings.LENGTH]),
        ({"preference_model": "off", "win_rate": 1, "lc": -1}, [partings.NOISE]),
        ({"preference_model": "on", "win_rate": "off", "lc": "on"}, [partings.LENGTH]),
        ({"preference_model": "on", "win_rate": "on", "lc": -1}, []),
        ({"win_rate": "on", "lc": "on"}, []),
    ],
)
def test_where_yardsticks_part_and_what_that_may_mean(arms, reasons):
    one = held(0.4, **arms)
    assert partings.parting(one) == reasons
    said = partings.sentence([one])
    assert all(f"for 1 {reason}" in said for reason in reasons)
    assert reasons or said == "The yardsticks nowhere name different arms."


def test_one_run_leaves_every_parting_to_noise():
    found = [held(0.4, runs=1, preference_model="on", win_rate="off", lc="off")]
    assert partings.parting(found[0]) == [partings.NOISE]


def test_one_yardstick_alone_cannot_part():
    assert partings.sentence([held(0.4, lc="on")]) == "" == partings.sentence([])


def test_an_invalid_length_control_leaves_the_lead_to_the_plain_win_rate():
    assert leading(None) is leading(True) is LC_WIN_RATE and leading(False) is WIN_RATE
    one = held(0.4, preference_model="off", win_rate="off", lc="on")
    invalid = Decision(*(tuple(replace(row, lc_valid=False) for row in rows) for rows in (one.off_rows, one.on_rows)))
    assert one.leading is LC_WIN_RATE and invalid.leading is WIN_RATE
    assert "0 of 1 by length-controlled win rate (not valid here)" in tallies.sentence([invalid])
    assert "LC Win Rate (not valid), points" in tallies.compared_grid([invalid]).columns
    assert tallies.lc_valid([one, invalid]) is False and tallies.lc_valid([one]) is None
    (line,) = decisions_table([invalid], "j").rows
    assert (line["leading"], line["lc_valid"], line["win_rate_better"], line["lc_right"]) == (
        "win_rate",
        False,
        "off",
        False,
    )


def test_descendants_are_no_independent_cases_and_models_are_counted_apart():
    found = [
        decision(0.4, 2, 1, model=model, model_label=model.upper(), initial_policy=f"{model}/{name}")
        for model in ("a", "b")
        for name in ("sft", "dpo/on")
    ]
    said = tallies.sentence(found)
    assert "4 policies of 2 models, which descend from each other: they are no independent cases." in said
    assert "interval" not in said
    cells = {line[0]: line[1] for line in tallies.grid(found).rows}
    assert (cells["all"], cells["A"], cells["B"]) == ("4 of 4", "2 of 2", "2 of 2")
    assert tallies.grid(found[:1]) is None


def test_an_undecided_recommendation_says_so():
    shown = {
        verdict: tallies.compared_grid([decision(0.4, 2, 1, boundary_verdict=verdict)]).rows[0][3]
        for verdict in ("decided", "undecided", None)
    }
    assert shown == {"decided": "off", "undecided": "off (undecided)", None: "off"}
    some = [decision(0.4, 2, 1, boundary_verdict=verdict) for verdict in ("decided", "undecided", None)]
    assert "The score itself is undecided for 1 of 3." in tallies.sentence(some)
    assert "undecided" not in tallies.sentence(some[:1])


GAINS = {  # gains with their intervals of the off-policy and the on-policy arm, and what to make of them
    "both lose": ((-3.0, -5.0, -1.0), (-2.0, -3.0, -0.5), NEITHER),
    "both lose, one within noise": ((-3.0, -5.0, -1.0), (-0.5, -2.0, 1.0), NO_GAIN),
    "both within noise": ((0.5, -1.0, 2.0), (-0.5, -2.0, 1.0), NO_GAIN),
    "one gains": ((-3.0, -5.0, -1.0), (2.0, 0.5, 3.5), None),
    "nobody knows how surely, and one is ahead": ((-3.0, None, None), (2.0, None, None), None),
    "nobody knows how surely, and both are behind": ((-3.0, None, None), (-2.0, None, None), NO_GAIN),
}


def gained(off, on, runs=1, **columns):
    """One initial policy whose arms gained so much."""
    one, prefix = decision(0.4, off[0], on[0], **columns), "runs_gain" if runs > 1 else "gain"
    arms = (
        tuple(replace(rows[0], runs=runs, **{f"{prefix}_low": low, f"{prefix}_high": high}) for _ in range(runs))
        for rows, (_, low, high) in ((one.off_rows, off), (one.on_rows, on))
    )
    return Decision(*arms)


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize(("off", "on", "expected"), GAINS.values(), ids=GAINS)
def test_where_neither_arm_gains_it_is_said(off, on, expected, runs):
    one = gained(off, on, runs)
    assert one.gainless == expected
    assert (expected or "") in gainless.words(one) and bool(gainless.words(one)) == bool(expected)
    assert ("in one run an arm" in gainless.words(one)) == (expected == NEITHER and runs == 1)
    assert (": M." in gainless.sentence([one])) == bool(expected)
    assert ("For 1 of 1" in gainless.count([one])) == bool(expected)
    (line,) = decisions_table([one], "j").rows
    assert line["gainless"] == expected


def test_gains_are_those_of_the_yardstick_that_leads_and_policies_are_named_by_what_they_were_trained_on():
    lost, open_ = GAINS["both lose"][:2], GAINS["both within noise"][:2]
    invalid = gained(*lost, lc_valid=False)  # the win rate leads, and nobody measured it
    assert invalid.gainless is None
    found = [gained(*lost, model="a", model_label="A"), gained(*open_, model="b", model_label="B")]
    later = replace(found[1].off, history=("on", "off"), initial_policy="b/dpo/on")
    found.append(Decision((later,), (replace(later, history=("on", "on")),)))
    assert gainless.sentence(found) == (
        "Train on neither (both arms are worse than no training): A. Neither arm shows a gain (no interval of a gain lies above "
        "zero): B, B after PC_on."
    )
    assert gainless.count(found) == (
        "For 1 of 3 initial policies both arms are worse than no training: train on neither. For 2 of 3 initial policies neither arm "
        "shows a gain over no training."
    )


def test_a_table_without_decisions_keeps_its_columns():
    assert (
        decisions_table([], "j")
        .csv()
        .startswith("initial_policy,method,off_source,on_source,boundary_score,decided,recommended,gainless,off_gain")
    )
