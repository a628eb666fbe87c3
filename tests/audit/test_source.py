"""What is found of one source and between two, on pairs whose figures can be counted by hand."""

import math

import pytest
from small_sources import answer, by_prompt, identifier, pair

from dpo_stages.audit.advice import OTHER_LABELS, OTHER_THAN_OWN, advice
from dpo_stages.audit.contrast import contrast
from dpo_stages.audit.source import CANNOT_TELL, NOT_TRUSTWORTHY, TRUSTWORTHY, found_of_labels, panel
from dpo_stages.audit.statistics import share


def found(votes, margins=None, flips=0, logit="of the vote"):
    """Of pairs with these votes and margins, of which the first `flips` hang on the order."""
    margins = margins or [1.0] * len(votes)
    rows = [pair(number, (-1) ** number * margin) for number, margin in enumerate(margins)]
    answers = [answer(number, vote, logit, number < flips) for number, vote in enumerate(votes)]
    return found_of_labels(rows, by_prompt(answers), 0.95)


def test_ties_are_left_out_and_counted():
    labels = found([1] * 30 + [0] * 10 + [0.5] * 5)
    assert labels["agreement"] == vars(share(30, 40, 0.95))
    assert (labels["answered"], labels["ties"], labels["verdict"]) == (45, 5, TRUSTWORTHY)
    sigmoid = 1 / (1 + math.exp(1))
    assert labels["rejected_better"] == pytest.approx((30 * sigmoid + 10 * (1 - sigmoid) + 5 * 0.5) / 45)


@pytest.mark.parametrize(("right", "verdict"), [(114, TRUSTWORTHY), (113, NOT_TRUSTWORTHY), (20, NOT_TRUSTWORTHY)])
def test_the_whole_interval_has_to_lie_above_one_half(right, verdict):
    assert found([1] * right + [0] * (200 - right))["verdict"] == verdict


def test_a_yardstick_that_goes_by_the_order_or_knows_nothing_cannot_tell():
    flipping = found([1] * 10, flips=6)
    assert flipping["verdict"] == CANNOT_TELL and advice(flipping)[0].startswith("60 % of its preferences hang on")
    assert found([1] * 10, flips=5)["verdict"] == TRUSTWORTHY
    blind = found([0.5] * 10)
    assert blind["verdict"] == CANNOT_TELL and blind["agreement"] is None and blind["gain_of_clearer"] is None
    assert "prefers neither response of any pair" in advice(blind)[0]


def test_the_halves_are_parted_by_the_size_of_the_margin_and_close_pairs_are_dropped_only_where_that_helps():
    margins = [*range(1, 41), *range(41, 81)]
    clearer_right = found([1, 0] * 20 + [1] * 36 + [0] * 4, margins)
    assert clearer_right["closer"] == vars(share(20, 40, 0.95)) and clearer_right["clearer"]["estimate"] == 0.9
    assert clearer_right["median_margin"] == 41 and clearer_right["gain_of_clearer"]["estimate"] == pytest.approx(0.4)
    assert (
        clearer_right["verdict"] == TRUSTWORTHY
        and "Dropping close pairs would leave better" in advice(clearer_right)[0]
    )
    some = found([0] * 30 + [1] * 10 + [1] * 36 + [0] * 4, margins)
    assert some["verdict"] == NOT_TRUSTWORTHY
    assert advice(some) == [
        OTHER_LABELS,
        "Dropping close pairs helps: 90 % are right in the half with a margin of 41.00 or more, 25 % in the closer half.",
    ]
    none = found([1, 0] * 40, margins)
    assert "does not help enough" in advice(none)[1] and none["verdict"] == NOT_TRUSTWORTHY
    assert advice(found([1] * 80, margins)) == []


def test_one_decided_pair_has_no_halves():
    assert found([1])["gain_of_clearer"] is None
    assert advice(found([1])) == [OTHER_LABELS]


def test_votes_have_no_logit_and_no_order():
    rows = [pair(number) for number in range(3)]
    votes = [{**answer(number, vote, logit=None), "order_flip": None} for number, vote in ((0, 1), (2, 0.5))]
    labels = found_of_labels(rows, by_prompt(votes), 0.95)
    assert (labels["answered"], labels["ties"], labels["order_flips"]) == (2, 1, None)
    assert labels["rejected_better"] == 0.25


def test_a_data_sets_own_labels_have_no_margin_and_no_halves():
    rows = [pair(number, logit=None, order_flip=None) for number in range(40)]
    right = found_of_labels(rows, by_prompt([answer(number, 1) for number in range(40)]), 0.95)
    assert right["verdict"] == TRUSTWORTHY and right["agreement"]["estimate"] == 1 and advice(right, own=True) == []
    assert [right[name] for name in ("closer", "clearer", "median_margin", "gain_of_clearer")] == [None] * 4
    half = found_of_labels(rows, by_prompt([answer(number, number % 2) for number in range(40)]), 0.95)
    assert half["verdict"] == NOT_TRUSTWORTHY and advice(half, own=True) == [OTHER_THAN_OWN]
    of = panel(
        rows,
        {identifier(0): {"chosen_logp": -4.0, "chosen_tokens": 4, "rejected_logp": -6.0, "rejected_tokens": 2}},
        LEDGER,
    )
    assert [of[name] for name in ("margin", "order_flips", "margin_over_distance")] == [None] * 3 and of[
        "chosen_logp"
    ] == -1


LEDGER = {"rows_in": 10, "ties": 3, "dropped": {"ties": 2, "identical responses": 1, "cut responses": 2}}


def test_the_panel_by_hand():
    rows = [
        pair(0, 2.0, "a b c", "a x c 0", chosen_truncated=True, rejected_truncated=False),  # chosen is "a b c 0"
        pair(1, -1.0, "a", "b", order_flip=True, chosen_truncated=False, rejected_truncated=False),  # chosen is "a 1"
    ]
    likelihood = {"chosen_logp": -4.0, "chosen_tokens": 4, "rejected_logp": -6.0, "rejected_tokens": 2}
    of = panel(rows, {identifier(0): likelihood}, LEDGER)
    assert (of["margin"], of["order_flips"], of["label_ties"], of["dropped"]) == (1.5, 0.5, 0.3, 0.5)
    assert (of["chosen_logp"], of["rejected_logp"]) == (-1, -3)
    assert of["likeness"] == pytest.approx((3 / 4 + 0) / 2)  # one word of four replaced; both of two
    assert of["margin_over_distance"] == pytest.approx((1 / (1 + math.exp(-2)) - 0.5) / (1 + 1 + 2))
    assert (of["chosen_length"], of["rejected_length"], of["longer_chosen"]) == (5, 4, 1)
    assert (of["chosen_cut"], of["rejected_cut"]) == (0.5, 0)


def test_what_nobody_knows_is_none():
    of = panel([pair(0, 1.0, "", "same")], {}, LEDGER)
    assert [of[name] for name in ("chosen_logp", "margin_over_distance", "chosen_cut")] == [None] * 3


def test_sources_are_compared_on_the_prompts_that_both_decide():
    first = by_prompt([answer(n, vote) for n, vote in enumerate([1, 1, 1, 0, 0.5])])
    second = by_prompt([answer(n, vote) for n, vote in enumerate([0, 1, 0, 0, 1, 1])])
    between = contrast(first, second, None, 0.95)
    assert between["agreement"]["estimate"] == 0.5 and between["agreement"]["pairs"] == 4
    assert between["chosen"] is between["rejected"] is between["chosen_ties"] is None


def test_rejected_responses_are_compared_by_adding_up_logits():
    first, second = {}, {}
    chosen = {}
    for number, (between, of_first, of_second) in enumerate([(1, 3, 1), (1, 1, 1), (-1, 1, 3), (0, 2, 2), (2, 0, -3)]):
        key = identifier(number)
        first[key], second[key] = answer(number, 1, of_first), answer(number, 1, of_second)
        chosen[key] = answer(number, 1 if between > 0 else 0 if between < 0 else 0.5, between)
    # rejected of the first less that of the second: -1, 1, 1, 0, -1
    found = contrast(first, second, chosen, 0.95)
    assert (found["rejected"]["estimate"], found["rejected"]["pairs"]) == (0.5, 4)
    assert (found["chosen"]["estimate"], found["chosen"]["pairs"], found["chosen_ties"]) == (0.75, 4, 1)
