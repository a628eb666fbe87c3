"""The path grammar: names round-trip, the recursion ends at the SFT policy, anything else is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpo_stages.core.errors import BadInput
from dpo_stages.study.policies import Policy

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,12}", fullmatch=True).filter(lambda name: name != "sft")
sources = st.from_regex(r"[a-z0-9][a-z0-9._]{0,6}", fullmatch=True)
policies = st.builds(
    lambda model, seed, method, history, suffixes, replicate: Policy(
        model, seed, method if history else None, tuple(history), tuple(suffixes), replicate if history else None
    ),
    names, st.none() | st.integers(0, 99), names, st.lists(sources, max_size=4), st.lists(names, max_size=2),
    st.none() | st.integers(2, 99),
)  # fmt: skip


@given(policies)
def test_every_policy_round_trips_through_its_name(policy):
    assert Policy.parse(str(policy)) == policy


@given(policies)
def test_the_recursion_reaches_the_sft_policy_in_as_many_steps_as_there_were_iterations(policy):
    steps, walker = 0, policy
    while walker.history:
        again = walker.initial.then(walker.method, walker.source)
        assert again == (walker if walker != policy else replace(policy, replicate=None))
        assert walker.arm(walker.source) == walker
        walker, steps = walker.initial, steps + 1
    assert steps == policy.iteration
    model = "+".join([policy.model, *policy.suffixes])
    assert str(walker) == (model if policy.seed is None else f"{model}@{policy.seed}") + "/sft"


@given(policies)
def test_an_sft_policy_itself_hangs_on_no_preferences_and_a_trained_one_does(policy):
    assert policy.itself.suffixes == (policy.suffixes if policy.history else ())
    plain = Policy.parse(policy.plain)
    assert (plain.model, plain.method, plain.history) == (policy.model, policy.method, policy.history)
    assert (plain.seed, plain.suffixes, plain.replicate) == (None, (), None)


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
     "zephyr/sft+judge", "zephyr+Judge/sft", "zephyr/sft~2", "zephyr~2/dpo/off", "zephyr/dpo/off~", "zephyr/dpo/off~0",
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
