"""Two trivial judges on the pairs that another was measured on, counted by hand."""

import pytest
from scipy.stats import binomtest

from dpo_stages.audit.baselines import BEYOND, WITHIN, Judged, baselines, found_beside, mcnemar
from dpo_stages.audit.statistics import share
from dpo_stages.report.baselines import below_sentence, beside, with_baselines


def pairs(right, longer, first=True, number=1):
    """Pairs on which the judge is right (1, 0.5, 0), and length alone is."""
    lengths = {1: (9, 2), 0.5: (5, 5), 0: (2, 9)}[longer]
    return [Judged(right, *lengths, better_first=first)] * number


def test_what_length_and_the_first_place_get_is_counted_with_ties_of_length_as_halves():
    judged = [*pairs(1, 1, number=3), *pairs(0, 1, False, 2), *pairs(1, 0), *pairs(0.5, 0.5, False), *pairs(1, 0.5)]
    found = found_beside(judged, 0.95)
    assert found["accuracy"] == vars(share(5.5, 8, 0.95))
    trivial = found["baselines"]
    assert trivial["longer"] == vars(share(6, 8, 0.95)) and trivial["first"] == vars(share(5, 8, 0.95))
    assert (trivial["ahead"], trivial["behind"]) == (2, 2)  # 0.5 and 0.5 is neither


def test_of_nothing_nothing_is_known():
    assert baselines([], 0.95) is None


def test_a_judge_that_is_right_as_often_as_length_is_not_below_it():
    assert baselines([*pairs(1, 0), *pairs(0, 1)], 0.95)["below_longer"] is None
    assert baselines(pairs(1, 0, number=40), 0.95)["below_longer"] is None


@pytest.mark.parametrize("behind", range(1, 16))
def test_below_beyond_noise_is_what_mcnemars_exact_test_says(behind):
    """On the pairs on which both agree nothing hangs."""
    ahead = 2
    judged = [*pairs(1, 0, number=ahead), *pairs(0, 1, number=behind), *pairs(1, 1, number=50)]
    found = baselines(judged, 0.95)["below_longer"]
    significant = binomtest(ahead, ahead + behind).pvalue < 0.05
    assert found == (None if behind <= ahead else BEYOND if significant else WITHIN)


@pytest.mark.parametrize(("ahead", "behind"), [(0, 0), (0, 1), (3, 3), (2, 11), (40, 61), (700, 900)])
def test_mcnemars_exact_test_is_scipys_test_of_a_coin(ahead, behind):
    expected = binomtest(ahead, ahead + behind).pvalue if ahead + behind else 1
    assert mcnemar(ahead, behind) == pytest.approx(expected, rel=1e-9)


def test_the_words_say_which_is_better_and_whether_that_is_noise():
    judged = [*pairs(1, 0, number=2), *pairs(0, 1, number=12), *pairs(1, 1, False, 6)]
    found = found_beside(judged, 0.95)
    trivial = found["baselines"]
    assert beside(trivial) == "the longer one is in 90 % (70 to 97), the first one in 70 % (48 to 85)"
    assert with_baselines("40 %", trivial) == "40 %, longer 90 % (below it, beyond noise), first 70 %"
    assert below_sentence(trivial, "the labels") == [
        "Counting characters would do better than the labels: on 12 of 20 pairs the longer response is the better guess, on 2 the "
        "worse one, which is beyond noise (McNemar's exact test)."
    ]
    above = baselines(pairs(1, 0, number=3), 0.95)
    assert below_sentence(above, "the labels") == []
    assert with_baselines("100 %", above) == "100 %, longer 0 %, first 100 %"
