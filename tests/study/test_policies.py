"""The path grammar: names round-trip, the recursion ends at the SFT policy, anything else is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpo_stages.core.errors import BadInput
from dpo_stages.study.policies import Policy, data_of, is_mixed, is_pooled, of_data, parts

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,12}", fullmatch=True).filter(lambda name: name != "sft")
sources = st.from_regex(r"[a-z0-9][a-z0-9._]{0,6}", fullmatch=True)
policies = st.builds(
    lambda model, seed, method, history, suffixes, replicate, asked: Policy(
        model, seed, method if history else None, tuple(history), tuple(suffixes), replicate if history else None, asked
    ),
    names, st.none() | st.integers(0, 99), names, st.lists(sources, max_size=4), st.lists(names, max_size=2),
    st.none() | st.integers(2, 99), st.none() | sources,
)  # fmt: skip


@given(policies)
def test_every_policy_round_trips_through_its_name(policy):
    assert Policy.parse(str(policy)) == policy


@given(policies)
def test_the_recursion_reaches_the_sft_policy_in_as_many_steps_as_there_were_iterations(policy):
    steps, walker = 0, policy
    while walker.history:
        again = walker.initial.then(walker.method, walker.source)
        assert again == (walker if walker != policy else replace(policy, replicate=None, asked=None))
        assert walker.arm(walker.source) == replace(walker, asked=None)
        walker, steps = walker.initial, steps + 1
    assert steps == policy.iteration
    model = "+".join([policy.model, *policy.suffixes])
    assert str(replace(walker, asked=None)) == (model if policy.seed is None else f"{model}@{policy.seed}") + "/sft"


@given(policies)
def test_an_sft_policy_itself_hangs_on_no_preferences_and_a_trained_one_does(policy):
    assert policy.itself.suffixes == (policy.suffixes if policy.history else ())
    plain = Policy.parse(policy.plain)
    assert (plain.model, plain.method, plain.history) == (policy.model, policy.method, policy.history)
    assert (plain.seed, plain.suffixes, plain.replicate, plain.asked) == (None, (), None, None)
    assert policy.itself.asked is None


def test_the_example_of_the_documentation():
    policy = Policy.parse("zephyr-7b@1/dpo/off-on")
    assert policy == Policy("zephyr-7b", 1, "dpo", ("off", "on"))
    assert str(policy.initial) == "zephyr-7b@1/dpo/off"
    assert str(policy.initial.initial) == "zephyr-7b@1/sft"


@given(st.text(max_size=30))
def test_any_other_text_is_refused_with_one_sentence(text):
    try:
        policy = Policy.parse(text)
    except BadInput as error:
        assert "\n" not in str(error).replace(text, "")
    else:
        assert str(policy) == text or policy.seed is not None  # a seed may be written with leading zeros


@pytest.mark.parametrize(
    "name",
    ["", "zephyr", "zephyr/", "zephyr/dpo", "zephyr/dpo/", "zephyr/dpo/-on", "zephyr/dpo/off-", "zephyr/dpo/off--on",
     "Zephyr/sft", "zephyr@/sft", "zephyr@x/sft", "../zephyr/sft", "zephyr/sft/", "zephyr/dpo/off/on", "zephyr/sft\n",
     "/sft", "zephyr/../sft", "zephyr/dpo/..", "zephyr+/sft", "+judge/sft", "zephyr@1+judge/sft", "zephyr++judge/sft",
     "zephyr/sft+", "zephyr/sft+old+new", "zephyr/sft+old~2", "zephyr/dpo/off+old-on", "zephyr+Judge/sft", "zephyr/sft~2", "zephyr~2/dpo/off", "zephyr/dpo/off~", "zephyr/dpo/off~0",
     "zephyr/dpo/off~1", "zephyr/dpo/off~02", "zephyr/dpo/off~x", "zephyr/dpo/off~2-on", "zephyr/dpo/off~2~3"],
)  # fmt: skip
def test_malformed_names_are_refused(name):
    with pytest.raises(BadInput, match="is not the name of a policy"):
        Policy.parse(name)


def test_iteration_zero_has_no_initial_policy_and_no_source():
    policy = Policy.parse("zephyr/sft")
    with pytest.raises(ValueError, match="iteration 0"):
        _ = policy.initial
    with pytest.raises(ValueError, match="iteration 0"):
        _ = policy.source


def test_auto_stands_for_the_sources_that_were_chosen_each_for_the_policy_that_came_before():
    asked = []

    def decide(initial):
        asked.append(str(initial))
        return {"zephyr@1/sft": "off", "zephyr@1/dpo/off": "on"}[str(initial)]

    assert str(Policy.parse("zephyr@1/dpo/auto-auto").resolved(decide)) == "zephyr@1/dpo/off-on"
    assert asked == ["zephyr@1/sft", "zephyr@1/dpo/off"]
    assert str(Policy.parse("zephyr@1/dpo/off-auto-mix50").resolved(decide)) == "zephyr@1/dpo/off-on-mix50"


def test_a_replicate_is_a_leaf_that_shares_all_that_was_before_its_last_training():
    policy = Policy.parse("zephyr+judge@1/dpo/off-on~12")
    assert policy == Policy("zephyr", 1, "dpo", ("off", "on"), ("judge",), 12)
    assert policy.initial == Policy.parse("zephyr+judge@1/dpo/off")
    assert [str(one) for one in policy.lineage] == ["zephyr+judge@1/dpo/off", "zephyr+judge@1/dpo/off-on~12"]
    assert str(policy.then("dpo", "off")) == "zephyr+judge@1/dpo/off-on-off"
    assert str(policy.arm("off")) == "zephyr+judge@1/dpo/off-off~12"
    assert (policy.itself, policy.plain, policy.source) == (policy, "zephyr/dpo/off-on", "on")


def test_a_replicate_of_what_auto_chose_is_that_replicate_of_the_fixed_policy():
    asked = []

    def decide(initial):
        asked.append(str(initial))
        return "on"

    assert str(Policy.parse("zephyr/dpo/auto-auto~2").resolved(decide)) == "zephyr/dpo/on-on~2"
    assert asked == ["zephyr/sft", "zephyr/dpo/on"]


@given(policies)
def test_nothing_is_decided_for_a_fixed_history(policy):
    if not policy.chooses:
        assert policy.resolved(None) is policy
    assert [one.iteration for one in policy.lineage] == list(range(1, policy.iteration + 1))


@pytest.mark.parametrize(
    ("source", "base", "data", "taken"),
    [
        ("off", "off", None, ["off"]),
        ("off.old", "off", "old", ["off.old"]),
        ("on.v1.2", "on", "v1.2", ["on.v1.2"]),
        ("mix50.old", "mix50", "old", ["off.old", "on.old"]),
        ("pick.old", "pick", "old", ["off.old", "on.old"]),
        ("blend", "blend", None, ["off", "on"]),
        ("llama.3", "llama.3", None, ["llama.3"]),
        ("auto.old", "auto.old", None, ["auto.old"]),
        ("mix500.old", "mix500.old", None, ["mix500.old"]),
    ],
)
def test_a_built_in_source_may_be_of_another_data_set(source, base, data, taken):
    assert data_of(source) == (base, data) and of_data(base, data) == source
    assert parts(source) == taken and is_mixed(source) == (len(taken) == 2) and is_pooled(source) == (base == "pick")


def test_a_policy_is_asked_the_prompts_of_another_data_set_behind_its_name():
    policy = Policy.parse("zephyr+judge@1/dpo/off.old-on+new")
    assert (policy.history, policy.asked, policy.plain) == (("off.old", "on"), "new", "zephyr/dpo/off.old-on")
    assert str(policy.itself) == "zephyr+judge@1/dpo/off.old-on"
    assert (
        str(policy.initial) == "zephyr+judge@1/dpo/off.old" and str(policy.initial.taught) == "zephyr+judge@1/sft+old"
    )
    assert str(policy.then("dpo", "on.old")) == "zephyr+judge@1/dpo/off.old-on-on.old"
    assert policy.asking(None) == policy and policy.itself.asking("new") == policy
