"""Robustness panel."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dpo_boundary.errors import BadInput
from dpo_boundary.robustness import as_markdown, look_again

PROMPTS = 120


def make_table(seed=0, score=0.6, prompts=PROMPTS):
    draw = np.random.default_rng(seed)
    size = 4 * prompts
    return {
        "prompt_id": np.repeat([f"p{number}" for number in range(prompts)], 4),
        "on_policy_preferred": (draw.random(size) < score).astype(float),
        "order_flip": draw.random(size) < 0.1,
        "on_length": draw.integers(50, 150, size),
        "off_length": draw.integers(50, 150, size),
    }


def by_name(looks):
    return {look.name: look for look in looks}


def test_parts_are_what_their_names_say():
    table = make_table()
    looks = by_name(look_again(table))
    shorter, longer = np.sort([table["on_length"], table["off_length"]], axis=0)
    matched = longer - shorter <= 0.1 * longer
    assert looks["lengths within 10%"].comparisons == matched.sum()
    assert looks["lengths within 10%"].boundary_score == pytest.approx(table["on_policy_preferred"][matched].mean())
    agreeing = [prompt for prompt in range(PROMPTS) if not table["order_flip"][4 * prompt : 4 * prompt + 4].any()]
    assert looks["prompts whose orders all agree"].prompts == len(agreeing)
    assert looks["prompts whose orders all agree"].comparisons == 4 * len(agreeing)
    first, second = looks["first half of the prompts"], looks["second half"]
    assert (first.prompts, second.prompts) == (PROMPTS // 2, PROMPTS // 2)
    together = (first.boundary_score * first.comparisons + second.boundary_score * second.comparisons) / (4 * PROMPTS)
    assert together == pytest.approx(looks["all comparisons"].boundary_score) == table["on_policy_preferred"].mean()


def test_a_decision_that_rests_on_length_is_found():
    table = make_table(score=0.5)
    table["on_length"], table["off_length"] = np.full(4 * PROMPTS, 100), np.full(4 * PROMPTS, 60)
    table["off_length"][::4] = 98  # a quarter is matched in length, and there the policy loses
    table["on_policy_preferred"] = (table["off_length"] < 98).astype(float)
    look = by_name(look_again(table))["lengths within 10%"]
    assert (look.boundary_score, look.recommended_source, look.agrees, look.decided) == (0.0, "off", False, True)
    assert "| off | **no** |" in as_markdown([look])
    assert "| off (undecided) | no, but undecided |" in as_markdown([replace(look, decided=False)])


def test_another_preference_model_and_what_is_missing():
    table = make_table()
    bare = {name: table[name] for name in ("prompt_id", "on_policy_preferred")}
    opposite = bare | {"on_policy_preferred": 1 - bare["on_policy_preferred"]}
    looks = look_again(bare, other_preference_models={"other": opposite})
    names = ["all comparisons", "first half of the prompts", "second half", "preference model other"]
    assert [look.name for look in looks] == names
    assert looks[0].agrees and not looks[-1].agrees
    one = {name: column[:1] for name, column in bare.items()}
    empty = look_again(one)[1]
    assert (empty.prompts, empty.boundary_score, empty.agrees) == (0, None, None)
    assert "| 0 | 0 | – | – | – | – |" in as_markdown([empty])


def test_a_second_opinion_is_about_some_of_the_same_prompts():
    table = make_table()
    some = {name: column[: len(column) // 2] for name, column in table.items()}
    assert look_again(table, other_preference_models={"other": some})[-1].prompts == PROMPTS // 2
    others = table | {"prompt_id": [f"another {prompt}" for prompt in table["prompt_id"]]}
    with pytest.raises(BadInput, match="the comparisons under other share no prompt_id with those they are a second"):
        look_again(table, other_preference_models={"other": others})


def test_program_adds_the_panel_on_request(tmp_path, run_script):
    import pandas as pd

    frame = pd.DataFrame(make_table() | {"on_index": [1, 1, 2, 2] * PROMPTS, "off_index": [1, 2, 1, 2] * PROMPTS})
    frame.to_csv(tmp_path / "c.csv", index=False)
    frame.assign(on_policy_preferred=1 - frame.on_policy_preferred).to_csv(tmp_path / "d.csv", index=False)
    common = ["--comparisons", tmp_path / "c.csv", "--output", tmp_path / "m.json"]
    done = run_script("measure_boundary", *common, "--robustness", "--second-opinion", f"llm={tmp_path / 'd.csv'}")
    assert done.returncode == 0, done.stderr
    looks = json.loads((tmp_path / "m.json").read_text())["robustness"]
    assert len(looks) == 6 and [look["agrees"] for look in looks][0] and not looks[-1]["agrees"]
    assert "| preference model llm | 120 |" in (tmp_path / "m.md").read_text()
    done = run_script("measure_boundary", *common, "--second-opinion", "d.csv")
    assert done.returncode == 2 and "NAME=FILE" in done.stderr
