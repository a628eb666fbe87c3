"""Preference consistency proper, equations 9 to 11: the log-probabilities decide instead of Algorithm 1's assumption."""

import json

import numpy as np
import pytest

from dpo_boundary.consistency import logps_of_comparisons, preference_consistency
from dpo_boundary.errors import BadInput
from dpo_boundary.intervals import clustered_interval
from dpo_boundary.measurement import measure_boundary
from dpo_stages.core.parquet import write_table
from dpo_stages.data.schemas import COMPARISONS, LIKELIHOODS

PROMPTS = 120


def make_table(score=0.6):
    draw = np.random.default_rng(0)
    return {
        "prompt_id": np.repeat([f"p{number}" for number in range(PROMPTS)], 4),
        "on_policy_preferred": (draw.random(4 * PROMPTS) < score).astype(float),
    }


def loop(preferred, on_logps, off_logps):
    """Equation 10 word for word: the mean of XNORs of indicators."""
    total = 0.0
    for p_star, on, off in zip(preferred, on_logps, off_logps, strict=True):
        p_theta = 1 / (1 + np.exp(off - on))
        total += (p_star > 0.5) == (p_theta > 0.5)
    return total / len(preferred)


def test_equation_10_against_a_loop():
    table, draw = make_table(), np.random.default_rng(1)
    on, off = draw.normal(-50, 5, (2, 4 * PROMPTS))
    found = preference_consistency(table, on, off)
    assert found.consistency == pytest.approx(loop(table["on_policy_preferred"], on, off))
    assert found.on_policy_likelier == pytest.approx((on > off).mean())
    assert found.interval[0] < found.consistency < found.interval[1]
    theirs = draw.normal(-50, 5, (2, 4 * PROMPTS))
    assert preference_consistency(table, on, off, off_policy_logps=theirs).off_policy_consistency == pytest.approx(
        loop(table["on_policy_preferred"], *theirs)
    )


def test_where_the_policy_always_prefers_its_own_the_consistency_is_the_boundary_score():
    table = make_table()
    table["on_policy_preferred"][::7] = 0.5
    measured = measure_boundary(table)
    found = preference_consistency(table, np.zeros(4 * PROMPTS), np.full(4 * PROMPTS, -3.0))
    assert found.consistency == found.boundary_score == measured.boundary_score
    assert found.interval == pytest.approx(measured.interval)
    assert found.off_policy_consistency == pytest.approx(1 - measured.boundary_score)
    assert found.on_policy_likelier == 1.0 and found.shortcut_is_safe
    assert found.recommended_source == measured.recommended_source


def test_an_unsafe_shortcut_is_seen():
    """The policy's responses win, but it finds the others likelier: it is not consistent with the preference model."""
    table = make_table(score=0.7)
    found = preference_consistency(table, np.full(4 * PROMPTS, -3.0), np.zeros(4 * PROMPTS))
    assert found.on_policy_likelier == 0.0 and found.consistency == pytest.approx(1 - found.boundary_score)
    assert (found.shortcut_source, found.shortcut_is_safe) == ("on", True)  # both are inconsistent to the same degree
    theirs = (np.where(table["on_policy_preferred"] > 0, 1.0, -1.0), np.zeros(4 * PROMPTS))
    found = preference_consistency(table, np.full(4 * PROMPTS, -3.0), np.zeros(4 * PROMPTS), off_policy_logps=theirs)
    assert found.off_policy_consistency == 1.0 and found.recommended_source == "off" and not found.shortcut_is_safe
    assert json.loads(json.dumps(found.as_json()))["shortcut_is_safe"] is False


def test_the_share_of_table_8_is_the_mean_over_prompts():
    table = {"prompt_id": ["a", "b", "b", "b"], "on_policy_preferred": [1, 1, 0, 1]}
    assert preference_consistency(table, [1, 0, 0, 0], [0, 1, 1, 1]).on_policy_likelier == 0.5


def test_log_probabilities_are_needed_for_every_comparison():
    table = {"prompt_id": ["a", "b"], "on_policy_preferred": [1, 0]}
    for on, off in (([1.0], [0.0]), ([1.0, float("nan")], [0.0, 0.0]), ([1.0, 2.0], [0.0, float("-inf")])):
        with pytest.raises(BadInput, match="2 comparisons need"):
            preference_consistency(table, on, off)


def test_the_interval_of_table_8_is_that_of_votes_clustered_by_prompt():
    table, draw = make_table(), np.random.default_rng(3)
    on, off = draw.normal(-50, 5, (2, 4 * PROMPTS))
    found = preference_consistency(table, on + 3, off, confidence=0.9)
    votes = (on + 3 > off).reshape(PROMPTS, 4).sum(axis=1)
    # prompts are sorted by name in the table, which does not matter to an interval
    assert found.on_policy_likelier_interval == pytest.approx(clustered_interval(votes, [4] * PROMPTS, 0.9))
    assert (found.confidence, found.prompts, found.comparisons) == (0.9, PROMPTS, 4 * PROMPTS)


def rows_of_files(prompts=6):
    """Comparisons and likelihoods of prompts p0, p1, …: the on-policy response is preferred, and likelier for even ones."""
    comparisons = [
        {"prompt_id": f"p{prompt}", "on_index": on, "off_index": off, "logit": 1.0, "on_policy_preferred": 1.0,
         "order_flip": False, "on_length": 10, "off_length": 10}
        for prompt in range(prompts) for on in (1, 2) for off in (1, 2)
    ]  # fmt: skip
    likelihoods = [
        {"prompt_id": f"p{prompt}", "on_policy": mine, "index": index, "tokens": 5,
         "logp": -10.0 - index / 10 - (0 if mine == (prompt % 2 == 0) else 5)}
        for prompt in reversed(range(prompts)) for mine in (False, True) for index in (1, 2)
    ]  # fmt: skip
    return comparisons, likelihoods


@pytest.mark.parametrize(("wins", "verdict"), [((1, 1, 1, 0), "decided"), ((1, 0, 1, 0), "undecided")])
def test_both_recommendations_say_whether_they_are_decided(wins, verdict):
    table = make_table() | {"on_policy_preferred": np.tile(wins, PROMPTS)}
    always = preference_consistency(table, np.ones(4 * PROMPTS), np.zeros(4 * PROMPTS))
    measured = measure_boundary(table)
    assert always.shortcut_verdict == measured.verdict == verdict
    assert always.verdict == verdict  # own samples always likelier: what the shortcut takes for granted
    assert (
        preference_consistency(table, np.zeros(4 * PROMPTS), np.ones(4 * PROMPTS)).verdict == "undecided"
    )  # one is the other


def test_log_probabilities_are_found_by_prompt_origin_and_index():
    comparisons, likelihoods = rows_of_files()
    kept, on, off = logps_of_comparisons(comparisons, likelihoods[:-4])
    assert [row["prompt_id"] for row in kept] == [row["prompt_id"] for row in comparisons[4:]]
    assert on[:4] == pytest.approx([-15.1, -15.1, -15.2, -15.2]) and off[:4] == pytest.approx([-10.1, -10.2] * 2)
    assert on[4:8] == pytest.approx([-10.1, -10.1, -10.2, -10.2]) and off[4:8] == pytest.approx([-15.1, -15.2] * 2)


def write(folder, comparisons, likelihoods):
    write_table(folder / "comparisons.parquet", comparisons, COMPARISONS)
    write_table(folder / "likelihoods.parquet", likelihoods, LIKELIHOODS)
    return [
        "--comparisons", folder / "comparisons.parquet", "--likelihoods", folder / "likelihoods.parquet",
        "--policy", "tiny/sft", "--preference-model", "judge", "--preference-data", "pairs",
        "--output", folder / "consistency" / "sft.json",
    ]  # fmt: skip


def test_program(tmp_path, run_script):
    comparisons, likelihoods = rows_of_files()
    arguments = write(tmp_path, comparisons, likelihoods[:-4])
    done = run_script("measure_consistency", *arguments, "--confidence", "0.95")
    assert done.returncode == 0, done.stderr
    assert "24 rows in, 20 rows out, dropped: 4 without log-probabilities" in done.stderr
    found = json.loads((tmp_path / "consistency" / "sft.json").read_text())
    assert found["policy"] == "tiny/sft" and found["preference_model"] == "judge"
    # p1 to p5 are left, two of them with the on-policy response likelier; it is always preferred
    assert (found["on_policy_likelier"], found["consistency"], found["boundary_score"]) == (0.4, 0.4, 1.0)
    assert (found["off_policy_consistency"], found["prompts"]) == (0.0, 5)
    assert found["interval"][0] < 0.4 < found["interval"][1]


def test_program_refuses_what_does_not_belong_together(tmp_path, run_script):
    comparisons, likelihoods = rows_of_files()
    others = [{**row, "prompt_id": "q"} for row in likelihoods]
    done = run_script("measure_consistency", *write(tmp_path, comparisons, others), "--confidence", "0.95")
    assert done.returncode == 2 and "share no prompt" in done.stderr
    done = run_script("measure_consistency", *write(tmp_path, comparisons, likelihoods), "--confidence", "1")
    assert done.returncode == 2 and "between 0 and 1" in done.stderr
    assert not (tmp_path / "consistency").exists()
