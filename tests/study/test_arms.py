"""Which two arms are held against each other: of the preference data, of other data sets, and of what `auto` took."""

import re

import pytest
from studies import make_study

from dpo_stages.study import arms
from dpo_stages.study.policies import Policy

LOCAL = "{{kind: preferences, adapter: local, splits: {{train: {0}.jsonl, test: {0}-test.jsonl}}}}"
THREE = f"""
datasets: {{old: {LOCAL.format("old")}, new.1: {LOCAL.format("new")}}}
other_data: [old, new.1]
"""


def with_histories(*histories, overlay="{}", **options):
    table = {"tables": {"table3": {"models": ["phi-2"], "sources": [], "histories": list(histories)}}}
    return make_study(THREE, table, "responses: {model: phi-2}", overlay, **options)


def pairs(*histories):
    """The arms of each policy, by the last part of their names."""
    policies = [Policy.parse(f"phi-2/dpo/{history}") for history in histories]
    found = arms.held({policy: policy for policy in policies})
    return {str(policy)[10:]: tuple(str(arm)[10:] for arm in pair) for policy, pair in found.items()}


def test_an_arm_is_held_against_own_samples_for_the_same_prompts_else_for_those_of_the_first_data_set():
    assert pairs("off", "on") == {"off": ("off", "on"), "on": ("off", "on")}
    assert pairs("on", "off.old") == {"off.old": ("off.old", "on")}
    assert pairs("on", "on.old", "off.old", "off") == {
        "on": ("off", "on"), "off": ("off", "on"), "on.old": ("off.old", "on.old"), "off.old": ("off.old", "on.old"),
    }  # fmt: skip
    assert pairs("off", "on.old") == {} == pairs("off.old", "on.new.1") == pairs("off.old", "mix50.old")


def test_every_source_has_the_arms_of_its_data_set():
    found = pairs("off", "on", "off.old", "llama", "mix50", "mix50.old", "pick.new.1")
    assert found["llama"] == found["mix50"] == ("off", "on")
    assert found["mix50.old"] == ("off.old", "on") and "pick.new.1" not in found


def test_arms_start_from_the_same_policy_and_are_runs_of_the_same_number():
    assert pairs("on-off.old", "off-on", "off-on.old", "off.old~2", "on~3") == {}
    found = pairs("on-off.old", "on-on", "off.old~2", "on.old~2", "on~2")
    assert found["on-off.old"] == ("on-off.old", "on-on") and found["off.old~2"] == ("off.old~2", "on.old~2")
    other = Policy.parse("phi-2@1/dpo/on")
    one = Policy.parse("phi-2/dpo/off.old")
    assert arms.held({one: one, other: other}) == {}


@pytest.mark.parametrize("suffix", ["", "+p", "+p@4"])
@pytest.mark.parametrize(
    ("off", "on", "file"),
    [
        ("off", "on", "{}/sft/dpo"),
        ("off~2", "on~2", "{}/sft/dpo~2"),
        ("on.old-off", "on.old-on", "{}/dpo/on.old/dpo"),
        ("off.old", "on", "{}/dpo/off.old/against/on"),
        ("off.new.1~2", "on.new.1~2", "{}/dpo/off.new.1~2/against/on.new.1"),
        ("off-off.old", "off-on.old", "{}/dpo/off-off.old/against/on.old"),
    ],
)
def test_a_comparison_is_named_after_its_arms_and_names_them(off, on, file, suffix):
    pair = tuple(Policy.parse(f"phi-2{suffix}/dpo/{history}") for history in (off, on))
    named = file.format(f"phi-2{suffix}")
    assert arms.compared(pair) == f"results/arms/{named}.parquet"
    assert arms.pair_of(named) == pair
    study = make_study(
        THREE, "replicates: 2", f"preference_models: {{pairrm: {{suffix: {'p' if suffix else 'null'}}}}}"
    )
    assert re.fullmatch(study.patterns.arms, named)


@pytest.mark.parametrize(
    "name",
    [
        "phi-2/dpo/off/against/on",  # which is phi-2/sft/dpo
        "phi-2/dpo/off.old/against/off",
        "phi-2/dpo/off.other/against/on",
        "phi-2/dpo/off.old~3/against/on",
        "phi-2/sft+old/dpo",
    ],
)
def test_nothing_else_is_the_name_of_a_comparison(name):
    assert not re.fullmatch(make_study(THREE, "replicates: 2").patterns.arms, name)


def test_one_data_set_has_no_comparison_of_another():
    assert not re.fullmatch(make_study().patterns.arms, "phi-2/dpo/off.old/against/on")


def test_a_table_compares_the_arms_of_each_data_set():
    study = with_histories("on", "off", "off.old", "on.old", "off.new.1", "mix50.old")
    assert arms.comparisons_of_table(study, "table3") == [
        "results/arms/phi-2/dpo/off.new.1/against/on.parquet",
        "results/arms/phi-2/dpo/off.old/against/on.old.parquet",
        "results/arms/phi-2/sft/dpo.parquet",
    ]
    again = with_histories("on", "off.old", overlay="replicates: 2")
    assert arms.comparisons_of_table(again, "table3") == [
        "results/arms/phi-2/dpo/off.old/against/on.parquet",
        "results/arms/phi-2/dpo/off.old~2/against/on.parquet",
    ]


@pytest.mark.parametrize(
    ("histories", "known", "chosen"),
    [
        # What `auto` came to is an arm where the table names no other, and changes nothing where it does
        (("off.old", "auto"), [], ["phi-2/dpo/off.old/against/on.old"]),
        (("off.old", "on", "auto"), ["phi-2/dpo/off.old/against/on"], []),
    ],
)
def test_an_arm_is_held_against_the_same_one_whatever_auto_took(histories, known, chosen, tmp_path):
    (tmp_path / "d.json").write_text('{"source": "on.old"}')
    study = with_histories(*histories, decision=lambda initial: tmp_path / "d.json")
    assert arms.comparisons_of_table(study, "table3") == [f"results/arms/{one}.parquet" for one in known]
    found = arms.comparisons_of_table(study, "table3", chosen=True)
    assert found == [f"results/arms/{one}.parquet" for one in chosen]
