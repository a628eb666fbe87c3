"""What the paper's own rows can tell: the boundary score beside rules that know less."""

from dataclasses import replace

import pytest

from dpo_stages.report.paper import paper_decisions
from dpo_stages.report.paper_evidence import best_threshold, compare_rules, paper_evidence, right_by_strength, strength
from dpo_stages.study.policies import OFF, ON


def decision(model, initial, off, on, score=0.6):
    """A decision of the paper's form whose initial policy and arms have these LC win rates."""
    sample = paper_decisions(3)[0]
    name = f"{model}/sft"
    arms = {
        f"{source}_rows": (replace(
            row, model=model, initial_policy=name, lc_win_rate=value, gain=value - initial,
            boundary_score=score, recommended_source=OFF if score < 0.5 else ON,
        ),)
        for source, row, value in ((OFF, sample.off, off), (ON, sample.on_rows[0], on))
    }  # fmt: skip
    return replace(sample, **arms)


def test_the_papers_rows_cannot_tell_the_score_from_strength():
    found = paper_evidence()
    assert (found.rows, found.score, found.always_off, found.strength) == (24, 22, 16, 23)
    assert found.threshold == pytest.approx((13.70 + 15.26) / 2)  # between two rows of Zephyr
    assert found.strength_elsewhere == 22
    text = found.sentence()
    assert "24 initial policies" in text and "of 22, always off-policy that of 16" in text and "of 23." in text
    assert "below an LC win rate of 14.5 %" in text and "found on these rows, afterwards" in text


def test_strength_is_the_initial_policys_win_rate():
    assert [strength(one) for one in paper_decisions(3)[:2]] == [24.59, 27.73]


def test_the_threshold_parts_the_better_arms_best():
    rows = [decision("a", 5, 9, 7), decision("b", 10, 15, 11), decision("c", 20, 21, 25), decision("d", 30, 31, 35)]
    assert best_threshold(rows) == 15 and right_by_strength(rows, 15) == 4 and right_by_strength(rows, 25) == 3
    assert best_threshold(rows[:2]) == 100 and best_threshold(rows[2:]) == 0
    found = compare_rules([*rows, decision("e", 12, 13, 13)])  # equal arms tell nothing
    assert (found.rows, found.score, found.always_off, found.strength) == (4, 2, 2, 4)


def test_a_rule_found_elsewhere_may_be_wrong():
    rows = [decision("a", 5, 9, 7), decision("b", 10, 11, 15), decision("c", 20, 25, 21)]
    assert compare_rules(rows).strength_elsewhere < compare_rules(rows).strength
