"""Several data sets of off-policy candidates in one study: names, files, jobs, and which of them comes first."""

import json
import re
from collections import Counter

import pytest
import yaml
from clones import link_workflow
from conftest import ROOT
from dry_runs import Study as DryRun
from dry_runs import snakemake
from studies import Wildcards, make_study

from dpo_stages.core.errors import BadInput
from dpo_stages.study import audits, contents, data_sets
from dpo_stages.study.choices import BY_SCORE, Standing, choose
from dpo_stages.study.presets import study_of_ones_own
from dpo_stages.study.races import Races
from dpo_stages.study.resources import Needs
from dpo_stages.study.settings import check_settings

LOCAL = "{{kind: preferences, adapter: local, splits: {{train: {0}.jsonl, test: {0}-test.jsonl}}, rows: {{train: {1}, test: {1}}}}}"
THREE = f"""
datasets: {{old: {LOCAL.format("old", 100)}, new.1: {LOCAL.format("new", 300)}}}
other_data: [old, new.1]
"""
SFT = "zephyr-7b/sft"


@pytest.fixture(scope="module")
def study():
    return make_study(THREE, "preference_models: {pairrm: {suffix: judge}}")


# Names


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("zephyr-7b/sft+old", {"sampled", "origin"}),
        ("zephyr-7b+judge/sft+old", {"measured", "labelled"}),
        ("zephyr-7b+judge@1/dpo/off.new.1-on+old", {"sampled", "origin", "measured", "labelled"}),
        ("zephyr-7b+judge/dpo/off.old-pick.new.1", {"policy", "sampled", "origin", "initial", "measured", "labelled"}),
        ("zephyr-7b/sft+ultrafeedback", set()),
        ("zephyr-7b+judge/dpo/off.other", set()),
        ("zephyr-7b+judge/dpo/off+other", set()),
        ("off.old", {"source", "history", "racing"}),
        ("mix50.new.1", {"source", "history", "racing"}),
        ("llama.old", set()),
        ("auto.old", set()),
        (".old", {"data"}),
    ],
)
def test_patterns_match_each_data_set_and_no_other(study, name, kinds):
    assert {kind for kind, pattern in vars(study.patterns).items() if re.fullmatch(pattern, name)} == kinds


def test_every_source_means_the_candidates_of_its_data_set(study):
    initial, own = "zephyr-7b+judge/sft", "results/preferences/zephyr-7b+judge/sft"
    found = {
        source: study.preferences(initial, source)
        for source in ("off", "off.old", "on", "on.old", "llama", "mix50.old")
    }
    assert found == {
        "off": "results/preferences/ultrafeedback+judge/train.parquet",
        "off.old": "results/preferences/old+judge/train.parquet",
        "on": f"{own}/train.parquet",
        "on.old": f"{own}+old/train.parquet",
        "llama": "results/preferences/llama-3-8b-instruct+judge/sft/train.parquet",
        "mix50.old": f"results/mixtures/{initial}/mix50.old.parquet",
    }
    assert study.origins(initial, "blend.old") == ["old+judge", f"{initial}+old"]
    assert study.sampled_from(f"{initial}+old", "off") == "old+judge"
    assert study.sampled_from(f"{initial}+old", "on") == f"{initial}+old"
    assert study.candidates(f"{initial}+old", "test") == f"results/candidates/{SFT}+old/test.parquet"
    assert study.off_policy("test", f"{initial}+old") == "results/datasets/old/test.parquet"
    assert study.off_policy("test", initial) == "results/datasets/ultrafeedback/test.parquet"


def test_the_same_prompt_of_two_data_sets_has_the_same_samples(study):
    assert study.plain_name(Wildcards(sampled=f"{SFT}+old")) == study.plain_name(Wildcards(sampled=SFT)) == SFT


def test_one_data_set_is_as_ever():
    one = make_study()
    assert data_sets.names(one) == ["ultrafeedback"] and data_sets.confidence(one) == 0.95
    assert data_sets.boundaries(one, SFT) == [f"results/boundary/{SFT}.json"] and data_sets.in_words(one) == []
    assert one.config["race"]["sources"] == ["off", "on"] and "data_sets" not in contents.tables_of_report(one)


def test_each_data_set_is_measured_audited_and_raced(study):
    initial = "zephyr-7b+judge/sft"
    assert data_sets.boundaries(study, initial) == [
        f"results/boundary/{initial}{one}.json" for one in ("", "+old", "+new.1")
    ]
    assert data_sets.confidence(study) == 0.983333  # three of them share the 5 %
    assert audits.sources(study, f"{initial}+old") == {"off": "old+judge", "on": f"{initial}+old"}
    races = Races(study, None)
    assert races.sources == ["off", "on", "off.old", "off.new.1"]
    assert str(races.arms(initial, "off.old")[1]) == "zephyr-7b+judge/dpo/off.old~2"
    votes = make_study(THREE, "audit: {votes: {off.old: sheet.csv, zephyr-7b/sft+old: own.csv}}")
    assert audits.votes(votes) == {"old": "sheet.csv", f"{SFT}+old": "own.csv"}


def test_jobs_are_sized_by_the_data_set_that_they_are_about(study):
    needs = Needs(study)
    assert needs.pairs(Wildcards(sampled=f"{SFT}+old"), "test") == 100
    assert needs.pairs(Wildcards(initial="zephyr-7b+judge/sft", source="off.new.1"), "train") == 300
    assert needs.pairs(Wildcards(model="zephyr-7b+judge", method="dpo", history="off-mix50.old"), "train") == 100
    assert needs.pairs(Wildcards(model="zephyr-7b+judge", method="dpo", history="off.old-on"), "train") == 61135
    assert needs.pairs(Wildcards(labelled="old+judge"), "train") == 100
    assert needs.pairs(Wildcards(labelled="zephyr-7b+judge/sft+new.1"), "train") == 300


# Configuration


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ("other_data: [ultrafeedback]", "other_data.0 is ultrafeedback, the preference_data; name it once"),
        ("other_data: [none]", "other_data.0 names 'none', which is not there"),
        ("other_data: [ultrachat]", "other_data.0 names 'ultrachat', a data set of kind chat"),
        ("other_data: [a-b]", "other_data.0: 'a-b' is not allowed (name of a candidate source; no dash"),
        (
            "tables: {table1: {sources: ['on', off.ultrafeedback]}}",
            "the candidate source 'off.ultrafeedback' is unknown",
        ),
        ("boundary: {undecided: mix50.older}", "known are off, on, off.old, on.old, off.new.1, on.new.1, llama"),
        ("sources: {off.old: zephyr-7b/sft}", "sources.off.old is built in"),
        (
            "quality: {pairs: [{candidates: zephyr-7b/sft+old, against: old}]}",
            "says to the prompts of old; leave +old out",
        ),
        (
            "{datasets: {short: {kind: preferences, adapter: local, splits: {train: s.jsonl}}}, other_data: [short]}",
            "other_data.0 names 'short', which has no split test, the prompts that nothing is trained on, as a race needs them "
            "(datasets.short.splits has train); give `{train: s.jsonl, test: FILE}` in other_data",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(overlay, said):
    with pytest.raises(BadInput, match=re.escape(said)):
        make_study(THREE, overlay)


def test_a_list_of_files_is_several_data_sets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"preset": "laptop", "models": {"m": {"path": "m", "parameters": 1e6}}}
    given["preference_data"] = [{"train": "my-pairs.jsonl", "test": "t.jsonl"}, "my-old.jsonl", "last.jsonl"]
    config = study_of_ones_own(given, lambda name: yaml.safe_load((ROOT / name).read_text()))
    assert (config["preference_data"], config["other_data"]) == ("my-pairs", ["my_old", "last"])
    assert config["datasets"]["my_old"]["splits"] == {"train": "my-old.jsonl"}
    assert config["boundary"]["split"] == "train"  # which all have
    assert config["tables"]["gains"]["sources"] == ["off", "on", "off.my_old", "off.last"]


def test_files_of_the_same_name_in_different_folders_are_different_data_sets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = ["a/my-pairs.jsonl", "b/my-pairs.jsonl", "c/my-pairs.jsonl"]
    given = {"preset": "laptop", "models": ["a/m-0.5B", "b/m-0.5B"], "preference_data": files}
    config = study_of_ones_own(given, lambda name: yaml.safe_load((ROOT / name).read_text()))
    check_settings(config, yaml.safe_load((ROOT / "rules/config.schema.yaml").read_text()))
    named = [config["datasets"][name]["splits"]["train"] for name in (config["preference_data"], *config["other_data"])]
    assert named == files
    assert config["other_data"] == ["my_pairs", "my_pairs_2"]
    assert {name: model["path"] for name, model in config["models"].items()} == {
        "m-0.5b": "a/m-0.5B",
        "m-0.5b-2": "b/m-0.5B",
    }


# Which comes first


def measured(data, score, verdict="decided"):
    asked = "" if data == "main" else f"+{data}"
    recommended = "off" if score < 0.5 else "on"
    return {
        "policy": f"m/sft{asked}", "preference_data": data, "boundary_score": score, "verdict": verdict,
        "recommended_source": recommended, "interval": [score - 0.1, score + 0.1], "confidence": 0.98,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "source", "by", "said"),
    [
        ([("main", 0.7), ("a", 0.8)], "on", BY_SCORE, "own samples, then main and a"),
        ([("main", 0.7), ("a", 0.2)], "off.a", BY_SCORE, "a, then own samples, then main."),
        (
            [("main", 0.3), ("a", 0.6, "undecided")],
            "off",
            BY_SCORE,
            "main, then own samples; not told apart from own samples: a.",
        ),
        ([("main", 0.3), ("a", 0.2)], "off.a", BY_SCORE, "the order within a and main is that of the scores alone"),
        # A mixture is of own samples and what may still come before them, not of what is known to come behind
        (
            [("main", 0.8), ("a", 0.48, "undecided")],
            "mix50.a",
            "the rule for undecided scores",
            "own samples, then main; not told",
        ),
        (
            [("main", 0.5, "undecided"), ("a", 0.8)],
            "mix50",
            "the rule for undecided scores",
            "apart from own samples: main.",
        ),
    ],
)
def test_auto_takes_what_the_scores_put_first(scores, source, by, said, tmp_path, run_here):
    found = [measured(*one) for one in scores]
    standing = Standing.of(found)
    assert choose(standing.leads, standing.decided, BY_SCORE, standing.rule("mix50"), None) == (source, by)
    assert said in standing.sentence()
    files = [tmp_path / f"{number}.json" for number in range(len(found))]
    for file, one in zip(files, found, strict=True):
        file.write_text(json.dumps(one))
    run_here("make_decision", "--boundary", *files, "--undecided", "mix50", "--output", tmp_path / "decision.json")
    decision = json.loads((tmp_path / "decision.json").read_text())
    assert (decision["source"], decision["decided_by"], decision["policy"]) == (source, by, "m/sft")
    assert decision["order"] == standing.sentence() and decision["scores"] == [{**one} for one in found]


@pytest.mark.parametrize(
    ("leader", "standing", "rule", "taken"),
    [
        ("on", ["off", "off.old", "on"], "mix50", "mix50"),
        ("on", ["off.old", "on"], "mix50", "mix50.old"),  # the preference data was beaten
        ("off.old", ["off", "off.old", "on"], "blend", "blend.old"),
        ("off.old", ["off", "off.old"], "mix50.new", "mix50.new"),
        ("off.old", ["off", "off.old"], "on", "on"),
        ("on", ["llama", "on"], "mix50", "mix50"),
    ],
)
def test_an_undecided_race_mixes_a_data_set_that_nobody_has_beaten(leader, standing, rule, taken, tmp_path, run_here):
    race = {"policy": "m/sft", "leader": leader, "standing": standing, "out": {}, "verdict": "undecided", "reason": "r"}
    (tmp_path / "race.json").write_text(json.dumps(race))
    run_here(
        "make_decision", "--race", tmp_path / "race.json", "--undecided", rule, "--output", tmp_path / "decision.json"
    )
    decision = json.loads((tmp_path / "decision.json").read_text())
    assert decision["source"] == taken and "standing" not in decision


def test_the_leader_of_undecided_scores_and_rules_that_name_a_source():
    standing = Standing.of([measured("main", 0.8), measured("a", 0.45, "undecided"), measured("b", 0.55, "undecided")])
    assert (standing.leads, standing.decided) == ("off.a", False)
    assert [standing.rule(rule) for rule in ("off", "mix30.b", "blend")] == ["off", "mix30.b", "blend.a"]
    assert Standing.of([measured("main", 0.6, "undecided")]).leads == "on"


# Jobs

SMALL = f"""{THREE}
iterations: 1
resources: {{shards: {{sampling: 1, labelling: 1, reference: 1}}}}
tables:
  table1: {{models: [zephyr-7b]}}
  table2: {{histories: ["off", "on", off.old]}}
  table3: {{models: [zephyr-7b], sources: [], histories: ["on", off.old, on.old, off.new.1]}}
  table4: {{models: [zephyr-7b]}}
  table5: {{models: [zephyr-7b]}}
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    clone = link_workflow(tmp_path_factory.mktemp("clone"))
    (clone / "study.yaml").write_text(SMALL)
    for name in ("old", "old-test", "new", "new-test"):
        (clone / f"{name}.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    return clone


def planned(clone, *targets):
    jobs = DryRun(clone, ["--cores", "1", "--configfile", "study.yaml"], list(targets)).plan("--forceall")
    return jobs, Counter(job.rule for job in jobs)


def made(jobs, rule):
    return {output for job in jobs if job.rule == rule for output in job.outputs}


def test_a_decision_rests_on_the_boundary_of_each_data_set_on_its_own_prompts(clone):
    jobs, count = planned(clone, f"results/decisions/{SFT}.json")
    assert made(jobs, "sample_candidates") == {
        f"results/candidates/{SFT}{one}/test.parquet" for one in ("", "+old", "+new.1")
    }
    assert count["compare_candidates"] == count["measure_boundary"] == 3 and count["train_policy"] == 0
    said = snakemake("-n", "-p", "--forceall", "--cores", "1", "--configfile", "study.yaml", "--",
                     f"results/boundary/{SFT}+old.json", folder=clone).stdout  # fmt: skip
    assert (
        "--off-policy results/datasets/old/test.parquet" in said
        and "--trained-on results/datasets/old/train.parquet" in said
    )
    assert f"--policy {SFT}+old" in said and "--preference-data old --confidence 0.983333" in said
    assert "3 data sets, each compared with own samples" in said


def test_policies_are_trained_on_each_data_set_and_on_its_mixtures(clone):
    policies = [
        f"results/policies/zephyr-7b/dpo/{source}/manifest.json" for source in ("off.old", "mix50.new.1", "pick.old")
    ]
    jobs, count = planned(clone, *policies)
    assert made(jobs, "prepare_dataset") == {f"results/datasets/{name}/train.parquet" for name in ("old", "new.1")}
    assert made(jobs, "sample_candidates") == {
        f"results/candidates/{SFT}+{name}/train.parquet" for name in ("old", "new.1")
    }
    assert made(jobs, "score_pooled_candidates") == {f"results/scores/{SFT}+old/pooled.parquet"}
    assert (count["train_policy"], count["mix_preferences"], count["pair_pooled_candidates"]) == (3, 1, 1)


def test_audits_and_a_race_ask_about_each_data_set(clone):
    jobs, count = planned(clone, f"results/audits/{SFT}+old.json", f"results/audits/{SFT}.json")
    assert made(jobs, "compare_chosen") == {
        f"results/audits/chosen/gpt-4-turbo/{SFT}{one}/against/{data}.parquet"
        for one, data in (("", "ultrafeedback"), ("+old", "old"))
    }
    jobs, count = planned(clone, f"results/races/looks/{SFT}/0.025.json")
    assert count["train_arm"] == count["sample_arm"] == 4 * 2 and count["draw_race_prompts"] == 1
    assert {f"results/datasets/{data}/test.parquet" for data in ("ultrafeedback", "old", "new.1")} <= made(
        jobs, "prepare_dataset"
    )


def test_the_table_says_which_come_first_for_each_policy_of_the_report(clone):
    jobs, count = planned(clone, "results/tables/data_sets.csv")
    assert count["measure_boundary"] == 3 and count["make_data_sets"] == 1 and count["train_policy"] == 0
    jobs, count = planned(clone, "results/tables/table2.csv")
    assert made(jobs, "measure_boundary") >= {f"results/boundary/{SFT}{one}.json" for one in ("", "+old")}
    assert count["measure_boundary"] == 2  # a row has the score against the data set that it was trained on


def test_a_table_asks_for_the_verdict_on_the_arms_of_each_data_set(clone):
    jobs, _ = planned(clone, "results/tables/table2.csv")
    assert made(jobs, "compare_arms") == {
        "results/arms/zephyr-7b/sft/dpo.parquet",
        "results/arms/zephyr-7b/dpo/off.old/against/on.parquet",
    }
    jobs, _ = planned(clone, "results/tables/table3.csv")
    of_zephyr = {
        "results/arms/zephyr-7b/dpo/off.old/against/on.old.parquet",
        "results/arms/zephyr-7b/dpo/off.new.1/against/on.parquet",
    }
    assert {one for one in made(jobs, "compare_arms") if "zephyr" in one} == of_zephyr
    said = snakemake("-n", "-p", "--forceall", "--cores", "1", "--configfile", "study.yaml", "--",
                     "results/arms/zephyr-7b/dpo/off.old/against/on.old.parquet", folder=clone).stdout  # fmt: skip
    assert (
        "--off-policy results/evaluations/zephyr-7b/dpo/off.old/model_outputs.json "
        "--on-policy results/evaluations/zephyr-7b/dpo/on.old/model_outputs.json" in said
    )


def test_table_8_has_each_data_set(clone):
    jobs, count = planned(clone, "results/tables/table8.csv")
    of_zephyr = {f"results/consistency/{SFT}{one}.json" for one in ("", "+old", "+new.1")}
    assert {one for one in made(jobs, "measure_consistency") if "zephyr" in one} == of_zephyr
    assert f"results/likelihoods/{SFT}+old/test.parquet" in made(jobs, "compute_likelihoods")
    said = snakemake("-n", "-p", "--forceall", "--cores", "1", "--configfile", "study.yaml", "--",
                     f"results/consistency/{SFT}+old.json", folder=clone).stdout  # fmt: skip
    assert f"--policy {SFT}+old --preference-model pairrm --preference-data old --confidence 0.983333" in said
