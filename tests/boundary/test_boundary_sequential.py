"""Sequential measurement: where it stops, what it reuses, what it says when it cannot decide."""

import json
import math

import numpy as np
import pytest

from dpo_boundary.blocks import block_ends, nested_blocks, seeded_order
from dpo_boundary.errors import BadInput
from dpo_boundary.intervals import _Bettor, betting_sequence
from dpo_boundary.measurement import measure_boundary, measure_in_blocks
from dpo_stages.report.paper import paper_decisions

PROMPTS = 600


def make_table(score, prompts=PROMPTS, seed=0, correlation=0.4):
    """Comparisons of `prompts` prompts as a mapping of columns; four a prompt."""
    draw = np.random.default_rng(seed)
    scale = 1 / correlation - 1
    chances = np.repeat(draw.beta(score * scale, (1 - score) * scale, prompts), 4)
    return {
        "prompt_id": np.repeat([f"p{number}" for number in range(prompts)], 4),
        "on_index": np.tile([1, 1, 2, 2], prompts),
        "off_index": np.tile([1, 2, 1, 2], prompts),
        "on_policy_preferred": (draw.random(4 * prompts) < chances).astype(float),
        "order_flip": draw.random(4 * prompts) < 0.05,
    }


def part(table, prompt_ids):
    chosen = np.isin(table["prompt_id"], list(prompt_ids))
    return {name: column[chosen] for name, column in table.items()}


@pytest.mark.parametrize("budget", [1, 31, 32, 33, 40, 2000])
def test_blocks_grow_and_end_at_the_budget(budget):
    ends = block_ends(budget)
    assert ends[-1] == budget and ends == sorted(set(ends)) and ends[0] == min(32, budget)
    assert all(after <= math.ceil(1.25 * before) for before, after in zip(ends, ends[1:], strict=False))


def test_blocks_of_a_larger_budget_begin_with_those_of_a_smaller_one():
    names = [f"p{number}" for number in range(200)]
    blocks = nested_blocks(names, 3)
    assert [name for block in blocks for name in block] == seeded_order(names, 3)
    used = [name for block in blocks[:3] for name in block]
    assert nested_blocks(used, 3) == blocks[:3]


@pytest.mark.parametrize(("score", "stage"), [(0.3, "preference injection"), (0.7, "preference fine-tuning")])
def test_a_clear_case_stops_early_and_says_why(score, stage):
    measured = measure_boundary(make_table(score), sequential=True)
    assert (measured.stage, measured.verdict, measured.budget) == (stage, "decided", PROMPTS)
    assert measured.prompts <= 100 and measured.prompts in block_ends(PROMPTS)
    assert measured.comparisons == 4 * measured.prompts == measured.votes_on + measured.votes_off
    assert f"stopped after {measured.prompts} of {PROMPTS} prompts" in measured.reason
    assert [block.prompts for block in measured.blocks] == block_ends(PROMPTS)[: len(measured.blocks)]
    assert all(block.interval[0] <= 0.5 <= block.interval[1] for block in measured.blocks[:-1])
    assert measured.interval == measured.blocks[-1].interval
    assert measured.boundary_score == pytest.approx(measured.blocks[-1].boundary_score)


def test_a_close_case_uses_the_budget_and_says_what_that_means():
    measured = measure_boundary(make_table(0.5), sequential=True)
    assert measured.verdict == "undecided" and measured.prompts == measured.budget == PROMPTS
    assert "budget of 600 prompts is used up" in measured.reason
    assert "do not tell the two sources apart" in measured.reason
    assert "undecided" in measured.paragraph()


def test_sampling_in_blocks_gives_the_same_and_compares_no_more_than_it_needs():
    for score in (0.35, 0.6, 0.5):
        table, asked = make_table(score), []

        def compare(block, table=table, asked=asked):
            asked.extend(block)
            return part(table, block)

        measured = measure_in_blocks(dict.fromkeys(table["prompt_id"]), compare, confidence=0.9, policy="m/sft")
        expected = measure_boundary(table, sequential=True, confidence=0.9, policy="m/sft")
        assert measured == expected
        assert len(asked) == len(set(asked)) == measured.prompts


def test_a_measurement_that_goes_on_reuses_what_was_compared():
    """A higher confidence needs more prompts, and those of the lower one are the first of them."""
    table, asked = make_table(0.6), {}
    for confidence in (0.8, 0.99):
        asked[confidence] = []

        def compare(block, asked=asked[confidence]):
            asked.append(block)
            return part(table, block)

        measure_in_blocks(dict.fromkeys(table["prompt_id"]), compare, confidence=confidence)
    assert len(asked[0.8]) < len(asked[0.99])
    assert asked[0.99][: len(asked[0.8])] == asked[0.8]


def test_a_block_with_other_prompts_than_asked_for_is_refused():
    table = make_table(0.6)
    with pytest.raises(BadInput, match="and others were made"):
        measure_in_blocks(dict.fromkeys(table["prompt_id"]), lambda block: table)


def test_prompts_that_cannot_be_compared_are_left_out():
    table = make_table(0.6)
    measured = measure_in_blocks(dict.fromkeys(table["prompt_id"]), lambda block: part(table, block[1:]))
    assert measured.verdict == "decided" and measured.budget == PROMPTS
    assert measured.comparisons == 4 * measured.prompts < 4 * PROMPTS


def test_a_block_without_a_comparable_prompt_loses_nothing_of_the_others():
    table, empty = make_table(0.6), part(make_table(0.6), [])
    blocks = nested_blocks(dict.fromkeys(table["prompt_id"]), 0)
    for lost in (blocks[0], blocks[1]):
        measured = measure_in_blocks(
            dict.fromkeys(table["prompt_id"]), lambda block, lost=lost: empty if block == lost else part(table, block)
        )
        assert measured.verdict == "decided" and measured.budget == PROMPTS
    last = lambda block: [] if block == blocks[-1] else part(make_table(0.5), block)  # noqa: E731 - rows, none of them
    assert measure_in_blocks(dict.fromkeys(table["prompt_id"]), last).prompts == PROMPTS - len(blocks[-1])
    with pytest.raises(BadInput, match="none of 600 prompts could be compared"):
        measure_in_blocks(dict.fromkeys(table["prompt_id"]), lambda block: empty)


def test_order_of_rows_and_seed():
    table = make_table(0.58)
    shuffled = np.random.default_rng(0).permutation(4 * PROMPTS)
    other_order = {name: column[shuffled] for name, column in table.items()}
    assert measure_boundary(table, sequential=True) == measure_boundary(other_order, sequential=True)
    scores = {measure_boundary(table, sequential=True, seed=seed).boundary_score for seed in range(4)}
    assert len(scores) > 1


def test_unequal_numbers_of_comparisons_are_refused():
    table = {name: column[1:] for name, column in make_table(0.6).items()}
    assert measure_boundary(table).prompts == PROMPTS
    with pytest.raises(BadInput, match="prompt p0 has 3 and others up to 4"):
        measure_boundary(table, sequential=True)


def test_the_papers_initial_policies_take_a_tenth_of_its_prompts_and_are_decided_rightly():
    """15 scores of Tables 3 and 4, within-prompt correlation 0.5; benchmarks/boundary.py does it at length."""
    draw, ends, used, wrong = np.random.default_rng(0), np.array(block_ends(2000)), [], 0
    for decision in (decision for number in (3, 4) for decision in paper_decisions(number)):
        score = decision.boundary_score
        for _ in range(12):
            scores = draw.binomial(4, draw.beta(score, 1 - score, 2000)) / 4
            over = [_Bettor(side).log_capital(0.5, 2000) >= math.log(2 / 0.05) for side in (scores, 1 - scores)]
            first = [ends[np.searchsorted(ends, side.argmax() + 1)] if side.any() else 10_000 for side in over]
            used.append(min(*first, 2000))
            wrong += min(first) <= 2000 and (first[0] < first[1]) != (score > 0.5)
    assert len(used) == 15 * 12
    assert np.mean(used) <= 200
    assert wrong / len(used) <= 0.05


def test_the_measurement_stops_where_the_capital_says():
    """What the simulations look at, the capital against 0.5 at block ends, is what the measurement does."""
    for score in (0.35, 0.65):
        table = make_table(score, prompts=300)
        order = seeded_order(dict.fromkeys(table["prompt_id"]), 0)
        means = {name: part(table, [name])["on_policy_preferred"].mean() for name in order}
        scores = np.array([means[name] for name in order])
        over = [_Bettor(side).log_capital(0.5, 300) >= math.log(2 / 0.05) for side in (scores, 1 - scores)]
        crossed = min(side.argmax() + 1 for side in over if side.any())
        measured = measure_boundary(table, sequential=True)
        assert measured.prompts == next(end for end in block_ends(300) if end >= crossed)
        assert measured.interval == betting_sequence(scores, 0.95, [measured.prompts])[0]


def test_program(tmp_path, run_script):
    table = make_table(0.65)
    lines = ["prompt_id,on_index,off_index,on_policy_preferred"]
    columns = (table[name].tolist() for name in lines[0].split(","))
    lines += [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    (tmp_path / "c.csv").write_text("\n".join(lines) + "\n")
    done = run_script(
        "measure_boundary", "--comparisons", tmp_path / "c.csv", "--output", tmp_path / "m.json", "--sequential"
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "m.json").read_text())
    assert measured["prompts"] < measured["budget"] == PROMPTS
    assert f"{4 * (PROMPTS - measured['prompts'])} not needed for the decision" in done.stderr
    assert [block["prompts"] for block in measured["blocks"]][-1] == measured["prompts"]
