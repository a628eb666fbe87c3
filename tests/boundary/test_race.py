"""Races: who is out, when and by whom; what a result says; and the error that is promised."""

import doctest
import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpo_boundary import race as race_module
from dpo_boundary.blocks import nested_blocks
from dpo_boundary.errors import BadInput
from dpo_boundary.race import decide_look, decide_race
from dpo_boundary.race_look import Rules, _outcome
from dpo_boundary.race_result import ArmPair

SHARES = [0.05, 0.1, 0.2]


def make_look(chances, *, share=0.05, runs=2, prompts=200, seed=0):
    """Rows of one look; `chances` has the chance of the first arm of each pair to be preferred."""
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        [
            {
                "prompt_id": f"p{prompt}",
                "arm_1": one,
                "arm_2": other,
                "arm_1_preferred": float(draw.random() < chance),
                "run": run,
                "share": share,
            }
            for (one, other), chance in chances.items()
            for run in range(1, runs + 1)
            for prompt in range(prompts)
        ]
    )


def make_race(*looks):
    return pd.concat(looks, ignore_index=True)


THREE = {("a", "b"): 0.9, ("a", "c"): 0.9, ("b", "c"): 0.5}


def test_example_of_the_docstring():
    tested = doctest.testmod(race_module)
    assert (tested.attempted, tested.failed) == (4, 0)


def test_an_arm_that_is_beaten_is_out_and_the_last_one_wins():
    race = decide_race(make_look(THREE), shares=SHARES)
    assert (race.winner, race.leader, race.verdict) == ("a", "a", "decided")
    assert {arm: (out.share, out.by) for arm, out in race.out.items()} == {"b": (0.05, "a"), "c": (0.05, "a")}
    (look,) = race.looks
    assert look.arms == ("a", "b", "c") and look.left == ("a",) and look.open_pairs == ()
    assert [pair.better for pair in look.pairs] == ["a", "a", None]  # b and c are out, so it does not matter


def test_arms_that_are_equal_stay_and_the_better_one_leads_without_certainty():
    race = decide_race(make_look({("a", "b"): 0.47}), shares=SHARES)
    assert (race.winner, race.leader, race.verdict, race.out) == (None, "b", "undecided", {})
    assert race.looks[0].prompts == race.looks[0].budget == 200
    assert race.reason == "after 5 % of an epoch a and b are still in, and the next look is announced for 10 %"
    assert decide_race(make_look({("a", "b"): 0.47}, share=0.2), shares=SHARES).reason.startswith(
        "after 20 % of an epoch a and b are still in, which was the last look: these prompts"
    )


def test_an_arm_that_is_out_needs_no_comparison_later_and_what_it_has_is_counted():
    first = make_look({("a", "b"): 0.9, ("a", "c"): 0.5, ("b", "c"): 0.1})
    only = make_look({("a", "c"): 0.9}, share=0.1)
    race = decide_race(make_race(first, only), shares=SHARES)
    assert (race.winner, race.out["b"].share, race.out["c"].share, race.ignored) == ("a", 0.05, 0.1, 0)
    every = make_look({("a", "c"): 0.9, ("a", "b"): 0.5, ("b", "c"): 0.5}, share=0.1)
    assert decide_race(make_race(first, every), shares=SHARES).ignored == 2 * 2 * 200
    late = decide_race(make_race(first, only, make_look({("a", "c"): 0.5}, share=0.2)), shares=SHARES)
    assert (late.winner, late.ignored, len(late.looks)) == ("a", 400, 2)
    assert "400 comparisons of arms that were out" in late.paragraph()


def test_a_look_does_not_depend_on_whether_a_later_one_comes():
    first, second = make_look({("a", "b"): 0.6}), make_look({("a", "b"): 0.6}, share=0.1, seed=1)
    alone, both = decide_race(first, shares=SHARES), decide_race(make_race(first, second), shares=SHARES)
    assert alone.looks[0] == both.looks[0] and len(both.looks) == 2


def test_the_error_is_spent_by_shares_and_pairs():
    rules = Rules(SHARES, 3, 0.9, 3.0, 4.0, False)
    errors = [1 - rules.confidence_at(share) for share in SHARES]
    assert np.sum(errors) * 3 == pytest.approx(0.1)
    assert errors[1] / errors[0] == pytest.approx(2)


def test_a_look_in_blocks_says_what_the_whole_race_does():
    table = make_look({("a", "b"): 0.7, ("a", "c"): 0.72, ("b", "c"): 0.5}, prompts=400)
    blocks, asked = nested_blocks(table.prompt_id.unique(), 7), []
    for block in blocks:
        asked += block
        look = decide_look(table[table.prompt_id.isin(asked)], shares=SHARES, starting_arms=3, seed=7)
        if not look.open_pairs:
            break
    assert 32 < len(asked) < 400 and look.prompts == len(asked)
    race = decide_race(table, shares=SHARES, seed=7)
    assert (race.looks[0].pairs, race.looks[0].out, race.looks[0].prompts) == (look.pairs, look.out, len(asked))
    assert race.looks[0].budget == 400


def test_more_prompts_never_make_an_interval_wider():
    table = make_look({("a", "b"): 0.55}, prompts=400)
    order = [prompt for block in nested_blocks(table.prompt_id.unique(), 0) for prompt in block]
    widths = []
    for end in (32, 63, 158, 400):
        look = decide_look(table[table.prompt_id.isin(order[:end])], shares=SHARES, starting_arms=2)
        low, high = look.pairs[0].interval
        assert low <= look.pairs[0].score <= high
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


def make_pairs(*beats, arms="abcd"):
    """Pairs of which the given ones are decided, such as "ab" for a beats b."""
    return [
        ArmPair(one, other, 0.5 + 0.1 * ((one + other in beats) - (other + one in beats)), (0, 1),
                one if one + other in beats else other if other + one in beats else None)
        for one, other in combinations(arms, 2)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("beats", "out", "circle"),
    [
        ([], {}, ""),
        (["ab"], {"b": "a"}, ""),
        (["ab", "bc", "cd"], {"b": "a", "c": "b", "d": "c"}, ""),
        (["ab", "bc", "ca"], {}, "abc"),
        (["ab", "bc", "ca", "ad"], {"d": "a"}, "abc"),
        (["ab", "bc", "ca", "da"], {"a": "d"}, "bc"),
        (["ab", "bc", "ca", "da", "db"], {"a": "d", "b": "d"}, ""),
    ],
)
def test_who_is_out_and_who_goes_round_in_a_circle(beats, out, circle):
    found, stay = _outcome(tuple("abcd"), make_pairs(*beats), False)
    assert (found, "".join(stay)) == (out, circle)


@given(st.lists(st.sampled_from(["ab", "ba", "ac", "ca", "ad", "da", "bc", "cb", "bd", "db", "cd", "dc"]), unique=True))
@settings(max_examples=200)
def test_somebody_always_stays(beats):
    beats = [pair for pair in beats if pair[::-1] not in beats]
    found, stay = _outcome(tuple("abcd"), make_pairs(*beats), False)
    assert len(found) < 4 and not set(stay) & set(found)
    assert all(f"{by}{arm}" in beats for arm, by in found.items())


def test_a_circle_is_said():
    race = decide_race(make_look({("a", "b"): 0.9, ("b", "c"): 0.9, ("a", "c"): 0.1}, share=0.2), shares=SHARES)
    assert (race.winner, race.out, race.looks[0].circle) == (None, {}, ("a", "b", "c"))
    assert race.looks[0].prompts < 200  # more prompts would decide nothing
    assert race.reason.endswith("which was the last look: they are in a circle of arms that beat each other")
    assert "a, b and c are in a circle of arms that beat each other, and stay in." in race.paragraph()


def test_one_arm_left_of_a_circle_is_none_and_of_equal_arms_the_one_leads_that_beat_more():
    beats = {("a", "b"): 0.9, ("b", "c"): 0.9, ("a", "c"): 0.1, ("a", "d"): 0.1, ("b", "d"): 0.1, ("c", "d"): 0.5}
    race = decide_race(make_look(beats, share=0.2), shares=SHARES)
    look = race.looks[0]
    assert (sorted(race.out), look.circle, "circle" in race.paragraph()) == (["a", "b"], (), False)
    even = [replace(pair, score=0.5) if pair.arm_2 == "d" and pair.arm_1 == "c" else pair for pair in look.pairs]
    assert replace(look, pairs=tuple(even)).leader(False) == "d"


def test_with_one_run_what_was_expected_stands_alone_and_the_result_says_so():
    table = make_look({("a", "b"): 0.7}, runs=1)
    race = decide_race(table.drop(columns="run"), shares=SHARES)
    assert race == decide_race(table, shares=SHARES)
    assert race.looks[0].run_sd is None
    assert "the 3 points that were expected beforehand stand for it" in race.paragraph()
    widths = [decide_race(table, shares=SHARES, run_sd=sd).looks[0].run_half_width for sd in (0, 3, 6)]
    assert widths[0] == 0 and widths[2] == pytest.approx(2 * widths[1])


def test_runs_that_differ_make_the_interval_wider():
    table = make_look({("a", "b"): 0.5}, prompts=400)
    ids = table.prompt_id.str[1:].astype(int)
    alike = table.assign(arm_1_preferred=(ids % 10 < 6).astype(float))
    differ = table.assign(arm_1_preferred=((ids % 10 < 6) ^ ((ids % 5 == 0) & (table.run == 2))).astype(float))
    races = [decide_race(rows, shares=SHARES) for rows in (alike, differ)]
    assert [any("points were measured between runs" in note for note in race.notes) for race in races] == [False, True]
    one, other = (race.looks[0] for race in races)
    assert one.run_sd == 0 and other.run_sd > 5
    assert other.run_half_width > one.run_half_width > 0


def lengthy(effect, seed=0, prompts=300):
    """Two equal arms, a the longer one mostly, and a judge that prefers the longer response by `effect` at most."""
    draw = np.random.default_rng(seed)
    table = make_look({("a", "b"): 0.5}, prompts=prompts)
    longer = draw.normal(60, 60, len(table)).round()
    chance = 0.5 + effect * np.tanh(longer / 85)
    return table.assign(
        length_1=200 + longer, length_2=200, arm_1_preferred=(draw.random(len(table)) < chance).astype(float)
    )


def test_pairs_and_rows_may_stand_either_way_round_and_in_any_order():
    table = lengthy(0.3)
    turned = table.rename(columns={"arm_1": "arm_2", "arm_2": "arm_1", "length_1": "length_2", "length_2": "length_1"})
    turned = turned.assign(arm_1_preferred=1 - table.arm_1_preferred)
    mixed = pd.concat([table[::2], turned[1::2]]).sample(frac=1, random_state=0)
    assert decide_race(mixed, shares=SHARES) == decide_race(table, shares=SHARES)
    assert decide_race(table.to_dict("records"), shares=SHARES) == decide_race(table, shares=SHARES)


def test_length_alone_decides_only_where_it_is_not_controlled():
    table = lengthy(0.45)
    raw, controlled = (decide_race(table, shares=[0.05], length_controlled=on) for on in (False, True))
    assert raw.winner == "a" and controlled.winner is None
    (pair,) = controlled.looks[0].pairs
    assert pair.score > 0.6 and abs(pair.adjusted_score - 0.5) < 0.08
    assert pair.adjusted_interval[0] < 0.5 < pair.adjusted_interval[1]
    assert (pair.better, raw.looks[0].pairs[0].better) == (None, "a")


def test_where_length_turns_the_sides_the_result_says_so():
    table = lengthy(0.45)
    ids = table.prompt_id.str[1:].astype(int)
    worse = table.assign(arm_1_preferred=np.where(ids % 4 == 0, 0.0, table.arm_1_preferred))
    race = decide_race(worse, shares=[0.05])
    (pair,) = race.looks[0].pairs
    assert pair.score > 0.5 > pair.adjusted_score and pair.sides_differ
    assert "After 5 % of an epoch length decides between a and b: the score is" in race.paragraph()
    assert decide_race(worse, shares=[0.05], length_controlled=True).leader == "b"


def test_lengths_that_say_nothing_leave_the_scores_and_lengths_that_are_always_the_same_leave_no_certainty():
    table = make_look({("a", "b"): 0.9})
    (pair,) = decide_race(table.assign(length_1=5, length_2=5), shares=SHARES).looks[0].pairs
    assert (pair.adjusted_score, pair.adjusted_interval) == (pair.score, pair.interval)
    (pair,) = decide_race(table.assign(length_1=9, length_2=5), shares=SHARES).looks[0].pairs
    assert pair.adjusted_interval == (0, 1)


def test_json_and_words_say_the_same():
    race = decide_race(make_look(THREE), shares=SHARES, confidence=0.9)
    found = json.loads(json.dumps(race.as_json()))
    assert found["winner"] == "a" and found["out"]["b"] == {"share": 0.05, "by": "a"}
    assert found["looks"][0]["pairs"][0]["score"] == round(race.looks[0].pairs[0].score, 6)
    assert race.paragraph().startswith(
        "**a wins the race of a, b and c (decided, 90 %).** After 5 % of an epoch a alone is left."
    )
    assert "b is out, by a. c is out, by a." in race.paragraph()
    undecided = decide_race(make_look({("a", "b"): 0.5}, prompts=40))
    assert undecided.paragraph().startswith("**The race of a and b is undecided (95 %); ")
    assert "No looks were announced" in undecided.paragraph() and "No looks were announced" not in race.paragraph()


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"confidence": 1}, "the confidence is 1; it must lie between 0 and 1"),
        ({"confidence": float("nan")}, "the confidence is nan"),
        ({"run_sd": -1}, "run_sd is -1"),
        ({"run_df": 0}, "run_df is 0"),
        ({"shares": [0.1, 0.2]}, "comparisons after 0.05 of an epoch, but announced were 0.1, 0.2"),
        ({"shares": [0.05, 0.05]}, "give the share of an epoch of each look once"),
        ({"shares": [0, 0.05]}, "give the share of an epoch of each look once"),
        ({"length_controlled": True}, "needs the columns length_1 and length_2"),
    ],
)
def test_settings_out_of_range_are_refused(settings_, message):
    with pytest.raises(BadInput, match=message):
        decide_race(make_look({("a", "b"): 0.5}, prompts=10), **settings_)


def test_an_arm_that_comes_late_and_more_than_a_look_are_refused():
    both = make_race(make_look({("a", "b"): 0.5}, prompts=40), make_look({("a", "c"): 0.5}, share=0.1, prompts=40))
    with pytest.raises(BadInput, match="arm c appears after 0.1 of an epoch, but not after 0.05"):
        decide_race(both, shares=SHARES)
    with pytest.raises(
        BadInput, match="of 2 shares of an epoch and 3 arms; a look has one share, and no more arms than the 3"
    ):
        decide_look(both, shares=SHARES, starting_arms=3)
    with pytest.raises(BadInput, match="no more arms than the 2 that started"):
        decide_look(make_look(THREE), shares=SHARES, starting_arms=2)
