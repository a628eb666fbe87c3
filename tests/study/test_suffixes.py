"""Preference models and preference data with a suffix: results of several side by side, each made once."""

import re

import pytest
from clones import copy_workflow
from dry_runs import Study, stand_in_for_a_finished_run
from studies import Wildcards, make_study

from dpo_stages.core.errors import BadInput
from dpo_stages.study import contents
from dpo_stages.study.flags import Flags
from dpo_stages.study.policies import Policy
from dpo_stages.study.resources import Needs

OTHERS = """
preference_models:
  other: {path: hub/other, suffix: other}
  judged: {judge: gpt-4-turbo, suffix: my-judge}
  opinion: {path: hub/opinion}
datasets: {mine: {kind: preferences, adapter: local, splits: {train: train.jsonl, test: test.jsonl}, suffix: mine}}
"""
BOTH = "{preference_data: mine, preference_model: other}"


@pytest.fixture(scope="module")
def both():
    return make_study(OTHERS, BOTH, "seeds: [0, 1]")


# Names


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("zephyr-7b/sft", {"policy"}),
        ("zephyr-7b@1/sft", {"policy"}),
        ("zephyr-7b+mine/sft", {"sampled", "origin"}),
        ("zephyr-7b+mine@1/sft", {"sampled", "origin"}),
        ("zephyr-7b+mine+other/sft", {"initial", "measured", "labelled"}),
        ("zephyr-7b+mine+other@1/dpo/off-on", {"policy", "sampled", "origin", "initial", "measured", "labelled"}),
        ("zephyr-7b+mine+other@1", {"model"}),
        ("zephyr-7b", set()),
        ("zephyr-7b+other/sft", set()),
        ("zephyr-7b+other+mine/sft", set()),
        ("zephyr-7b@1+mine+other/sft", set()),
        ("zephyr-7b+mine/dpo/off", set()),
        ("zephyr-7b/dpo/off", set()),
        ("mine", {"origin"}),
        ("mine+other", {"labelled"}),
        ("ultrafeedback+other", {"labelled"}),
        ("ultrafeedback+mine", set()),
    ],
)
def test_patterns_match_the_names_of_what_was_chosen_and_no_others(both, name, kinds):
    assert {kind for kind, pattern in vars(both.patterns).items() if re.fullmatch(pattern, name)} == kinds


@pytest.mark.parametrize(
    ("chosen", "sampled", "labelled", "data"),
    [
        ("{}", "zephyr-7b/sft", "zephyr-7b/sft", "ultrafeedback"),
        ("{preference_model: judged}", "zephyr-7b/sft", "zephyr-7b+my-judge/sft", "ultrafeedback+my-judge"),
        ("{preference_data: mine}", "zephyr-7b+mine/sft", "zephyr-7b+mine/sft", "mine"),
        (BOTH, "zephyr-7b+mine/sft", "zephyr-7b+mine+other/sft", "mine+other"),
    ],
)
def test_samples_hang_on_the_data_and_labels_on_the_preference_model_too(chosen, sampled, labelled, data):
    study = make_study(OTHERS, chosen)
    names = study.names
    assert names.labelled("zephyr-7b/sft") == labelled and names.sampled(labelled) == names.origin(labelled) == sampled
    assert names.labelled(study.config["preference_data"]) == study.sampled_from(labelled, "off") == data
    assert names.origin(data) == study.config["preference_data"]
    assert study.candidates(data, "test") == study.off_policy("test")
    assert study.candidates(labelled, "test") == f"results/candidates/{sampled}/test.parquet"
    trained = names.labelled("zephyr-7b/dpo/on")
    assert names.origin(trained) == names.sampled(trained) == trained  # hangs on both anyway


def test_a_trained_policy_begins_with_the_sft_policy_that_all_share(both):
    policy = Policy.parse("zephyr-7b+mine+other@1/dpo/on")
    assert (policy.suffixes, policy.model, policy.seed) == (("mine", "other"), "zephyr-7b", 1)
    assert (str(policy.initial), str(policy.initial.itself)) == ("zephyr-7b+mine+other@1/sft", "zephyr-7b@1/sft")
    assert policy.itself == policy and policy.plain == "zephyr-7b/dpo/on"
    wildcards = Wildcards(model="zephyr-7b+mine+other@1", method="dpo", history="on")
    assert str(both.named_by(wildcards)) == str(policy)
    assert (both.seed_of(wildcards), both.base_model(wildcards)) == (1, "results/models/zephyr-7b/manifest.json")


def test_samples_of_all_data_and_preference_models_have_common_random_numbers(both):
    assert both.plain_name(Wildcards(sampled="zephyr-7b+mine@1/sft")) == "zephyr-7b/sft"
    assert both.plain_name(Wildcards(initial="zephyr-7b+mine+other/dpo/off")) == "zephyr-7b/dpo/off"


def test_names_of_the_configuration_have_no_suffixes():
    study = make_study(
        OTHERS, BOTH,
        "{boundary: {decisions: {zephyr-7b/sft: 'on'}}, sources: {off2: zephyr-7b/dpo/off}, "
        "quality: {pairs: [{candidates: mine, against: mine}, {candidates: zephyr-7b/sft, against: zephyr-7b/dpo/off}]}}",
    )  # fmt: skip
    assert Flags(study).by_hand(Wildcards(initial="zephyr-7b+mine+other/sft")) == "--by-hand on"
    assert Flags(study).by_hand(Wildcards(initial="zephyr-7b+mine+other/dpo/off")) == ""
    assert study.sampled_from("phi-2+mine+other/sft", "off2") == "zephyr-7b+mine+other/dpo/off"
    assert study.sampled_from("phi-2+mine+other/sft", "llama") == "llama-3-8b-instruct+mine+other/sft"
    assert contents.quality_pairs(study) == [
        "quality/mine/against/mine+other", "quality/zephyr-7b+mine/sft/against/zephyr-7b+mine+other/dpo/off",
    ]  # fmt: skip
    assert contents.responding_policies(study)[:2] == ["zephyr-7b/sft", "zephyr-7b+mine+other/dpo/off"]
    assert Flags(study).models(["phi-2"]) == ["phi-2=Phi-2-2.7B (mine, other)"]


def test_pairs_of_a_data_set_are_counted_whatever_rides_on_its_name():
    needs = Needs(make_study(OTHERS, "{preference_model: other, datasets: {mine: {rows: {train: 10}}}}"))
    count = {labelled: needs.labelled_pairs(Wildcards(labelled=labelled, split="train")) for labelled in
             ("mine+other", "ultrafeedback+other", "zephyr-7b+other/sft")}  # fmt: skip
    assert count == {"mine+other": 5, "ultrafeedback+other": 61135 / 2, "zephyr-7b+other/sft": 61135 / 2}


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        (
            "preference_models: {other: {suffix: mine}}",
            "datasets.mine.suffix and preference_models.other.suffix are both mine",
        ),
        ("preference_models: {pairrm: {suffix: other}}", "preference_models.pairrm.suffix and "),
        ("datasets: {ultrachat: {suffix: x}}", "datasets.ultrachat.suffix is x, but the data set is of kind chat"),
        ("datasets: {mine: {suffix: a+b}}", "datasets.mine.suffix: 'a+b' is not allowed"),
        ("datasets: {mine: {suffix: a@1}}", "datasets.mine.suffix: 'a@1' is not allowed"),
        ("datasets: {mine: {suffix: ''}}", "datasets.mine.suffix: '' is not allowed"),
        ("sources: {x: zephyr-7b+other/sft}", "sources.x names 'zephyr-7b+other/sft' with a suffix"),
        ("boundary: {decisions: {phi-2+mine/sft: 'on'}}", "boundary.decisions.phi-2+mine/sft names 'phi-2+mine/sft'"),
    ],
)
def test_suffixes_that_could_not_be_told_apart_are_refused(overlay, said):
    with pytest.raises(BadInput, match=r"^configuration: .*" + re.escape(said)):
        make_study(OTHERS, overlay)


# What is made when another preference model or data set is chosen, and when the first is chosen again

STUDY = f"""{OTHERS}
iterations: 1
resources: {{shards: {{sampling: 2, labelling: 1, reference: 1}}}}
boundary: {{second_opinions: [opinion]}}
tables:
  table1: {{models: [zephyr-7b]}}
  table2: {{models: [zephyr-7b], histories: ["off", llama, auto, mix50, blend], columns: [labels]}}
  table3: {{models: [zephyr-7b], sources: [], histories: ["off", "on", off-on]}}
  table4: {{models: [zephyr-7b]}}
  table5: {{models: [phi-2], sources: ["off"]}}
analyses: {{table8: {{models: [zephyr-7b]}}, figure3: {{models: [phi-2], sources: ["off"]}}, boundary_cost: {{models: [zephyr-7b]}}}}
"""
SEQUENTIAL = f"""{OTHERS}
boundary: {{sequential: true}}
resources: {{shards: {{sampling: 1, labelling: 1, reference: 1}}}}
tables:
  table3: {{models: [zephyr-7b], sources: [], histories: ["off", auto, blend]}}
"""
REMADE = {
    "list_policies", "make_table", "make_table8", "make_table10", "make_intra_diversity", "make_boundary_cost",
    "make_labels_table", "make_pairs_table", "make_quality_table", "make_rq1", "make_comparison", "plot_boundary", "draw_rule_graph",
    "plan_study", "make_report",
}  # fmt: skip


def finished(folder, configuration, targets):
    copy_workflow(folder)
    for name, text in (("study.yaml", configuration), ("edit.yaml", "{}"), ("train.jsonl", "1"), ("test.jsonl", "2")):
        (folder / name).write_text(text)
    study = Study(folder, ["--cores", "1", "--configfile", "study.yaml", "edit.yaml"], targets)
    stand_in_for_a_finished_run(study)
    assert study.plan() == []
    return study


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("whole"), STUDY, ["all", "results/robustness/zephyr-7b/sft.json"])


@pytest.fixture(scope="module")
def sequential(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("sequential"), SEQUENTIAL, ["results/tables/table3.csv"])


def switched(study, chosen, targets):
    """What is planned after a switch. What was there stays, and is up to date when the first configuration is back."""
    other = Study(study.folder, study.options, targets)
    there = {path.relative_to(study.folder).as_posix() for path in (study.folder / "results").rglob("*")}
    with study.edited("edit.yaml", chosen):
        plan = other.plan()
        stand_in_for_a_finished_run(other)
    assert {job.rule for job in plan if there & set(job.outputs)} <= REMADE
    assert {"make_table"} <= {job.rule for job in study.plan()} <= REMADE
    return plan


@pytest.mark.parametrize(
    ("chosen", "named", "suffix", "not_made"),
    [
        # Its own second opinion hangs on the data alone
        ("preference_model: other", "+other", r"\+other", "prepare_dataset make_second_opinion"),
        ("preference_data: mine", "+mine", r"\+mine|/mine", ""),
        ("{preference_data: mine, preference_model: other}", "+mine+other", r"\+mine|/mine", "prepare_dataset"),
    ],
    ids=["preference model", "data", "both"],
)
def test_another_preference_model_or_data_set_overwrites_nothing(whole, chosen, named, suffix, not_made):
    plan = switched(whole, chosen, ["all", f"results/robustness/zephyr-7b{named}/sft.json"])
    outputs = [path for job in plan if job.rule not in REMADE for path in job.outputs]
    assert outputs and [path for path in outputs if not re.search(rf"{suffix}|preference_models/", path)] == []
    rules = {job.rule for job in plan}
    assert {"train_policy", "measure_boundary", "mix_preferences", "make_decision", "trace_policy"} < rules
    assert not rules & {"train_sft", "adopt_policy", "fetch_model", *not_made.split()}
    sampled = [path for job in plan if job.rule == "sample_candidates" for path in job.outputs if "/sft/" in path]
    assert bool(sampled) == ("make_second_opinion" not in not_made and "prepare_dataset" not in not_made)


def test_a_measurement_in_blocks_has_its_own_of_each_preference_model_and_data_set(sequential):
    for chosen, named in (("preference_model: judged", "+my-judge"), (BOTH, "+mine+other")):
        plan = switched(sequential, chosen, ["results/tables/table3.csv"])
        measured = [path for job in plan if job.rule == "measure_boundary" for path in job.outputs]
        assert f"results/boundary/zephyr-7b{named}/sft.json" in measured
        assert all(path.startswith(f"results/boundary/zephyr-7b{named}/") for path in measured)


@pytest.mark.parametrize("chosen", ["{}", "preference_model: other"])
@pytest.mark.parametrize("file", ["boundary/zephyr-7b{}/sft.json", "policies/zephyr-7b{}/dpo/on-on/manifest.json"])
def test_nothing_is_made_under_the_name_of_another_preference_model(tmp_path, file, chosen):
    (copy_workflow(tmp_path) / "study.yaml").write_text(OTHERS)
    (tmp_path / "edit.yaml").write_text(chosen)
    options = ["--cores", "1", "--configfile", "study.yaml", "edit.yaml"]
    own, others = ("", "+other") if chosen == "{}" else ("+other", "")
    assert Study(tmp_path, options, [f"results/{file.format(own)}"]).plan()
    with pytest.raises(AssertionError, match="nothing makes .*suffix of preference"):
        Study(tmp_path, options, [f"results/{file.format(others)}"]).plan()
