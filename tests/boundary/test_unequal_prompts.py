"""Prompts with very unequal numbers of comparisons: few of them carry the score."""

import pytest

from dpo_boundary import BoundaryMeasurement, measure_boundary


def measured(*comparisons: int) -> BoundaryMeasurement:
    """Prompts of which the policy wins every comparison."""
    prompts = [prompt for prompt, number in enumerate(comparisons) for _ in range(number)]
    return measure_boundary({"prompt_id": prompts, "on_policy_preferred": [1] * len(prompts)})


def test_one_prompt_with_most_comparisons_decides_nothing_and_a_warning_says_so():
    found = measured(200, *[1] * 10)
    assert (found.interval, found.verdict) == ((0.0, 1.0), "undecided")
    (warning,) = found.warnings
    assert warning.startswith("prompts have 1 to 200 comparisons") and "as one of 1.1 prompts" in warning
    assert f"Warning: {warning}." in found.paragraph()


@pytest.mark.parametrize("comparisons", [[4] * 10, [3, 4, 5] * 4, [1]])
def test_nothing_is_said_where_they_are_nearly_equal(comparisons):
    assert measured(*comparisons).warnings == ()
