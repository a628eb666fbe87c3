"""What an audit of preference sources is about, who is asked, and the jobs and the price of that."""

import re

import pytest
from clones import link_workflow
from dry_runs import snakemake
from studies import make_study

from dpo_stages.study import audits, contents

OFF = "results/audits/pairs/gpt-4-turbo/ultrafeedback.parquet"
OWN = "results/audits/pairs/gpt-4-turbo/zephyr-7b/sft.parquet"
SFT = "results/audits/zephyr-7b/sft.json"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return link_workflow(tmp_path_factory.mktemp("clone"))


def plan(clone, *options):
    done = snakemake("-n", "-p", "--cores", "1", *options, folder=clone)
    assert done.returncode == 0, done.stderr
    return done.stdout


def jobs(text, rule):
    """Rule's jobs of a plan, each as it is shown."""
    return [job for job in re.split(r"\n(?=\[)", text) if re.search(rf"rule {rule}:", job)]


def test_the_yardstick_is_asked_about_each_source_and_chosen_against_chosen():
    study = make_study()
    assert audits.sources(study, "zephyr-7b/sft") == {"off": "ultrafeedback", "on": "zephyr-7b/sft"}
    assert audits.answers(study, "zephyr-7b/sft") == {"off": OFF, "on": OWN}
    assert audits.chosen(study, "zephyr-7b/sft") == {
        "on": "results/audits/chosen/gpt-4-turbo/zephyr-7b/sft/against/ultrafeedback.parquet"
    }
    assert audits.for_report(study) == []
    shown = make_study("audit: {tables: [table1, table3]}\ntables: {table3: {models: [zephyr-7b]}}")
    assert len(audits.for_report(shown)) == 9 and SFT in audits.for_report(shown)


def test_a_source_that_is_the_own_policy_by_another_name_stands_once():
    study = make_study('audit: {sources: ["off", "on", llama]}')
    assert [*audits.sources(study, "zephyr-7b/sft")] == ["off", "on", "llama"]
    assert [*audits.sources(study, "llama-3-8b-instruct/sft")] == ["off", "on"]
    assert [*audits.chosen(study, "zephyr-7b/sft")] == ["on", "llama"]


def test_names_have_the_suffixes_of_data_and_preference_model():
    study = make_study(
        "{preference_models: {pairrm: {suffix: pr}}, datasets: {ultrafeedback: {suffix: uf}}, audit: {votes: {zephyr-7b/sft: v}}}"
    )
    assert audits.sources(study, "zephyr-7b+uf+pr/sft") == {"off": "ultrafeedback+pr", "on": "zephyr-7b+uf+pr/sft"}
    assert audits.votes(study) == {"zephyr-7b+uf+pr/sft": "v"}


@pytest.mark.parametrize(
    "overlay",
    [
        "{preference_model: judge, preference_models: {judge: {judge: gpt-4-turbo}}}",
        "{evaluation: {judge: pairrm}}",
        "{yardstick: twin, preference_models: {twin: {path: llm-blender/PairRM}}}",
        "{preference_model: a, preference_models: {a: {judge: gpt-4-turbo}, b: {judge: same}}, yardstick: b, judges: {same: {kind: "
        "endpoint, model: gpt-4-1106-preview, base_url: 'https://host'}}}",
    ],
)
def test_a_yardstick_that_labels_itself_is_not_asked(overlay):
    study = make_study(overlay)
    assert not audits.is_asked(study)
    assert audits.answers(study, "zephyr-7b/sft") == audits.chosen(study, "zephyr-7b/sft") == {}


def test_a_data_sets_own_labels_anybody_can_be_asked_about():
    study = make_study("{evaluation: {judge: pairrm}, labels: dataset}")
    assert audits.answers(study, "zephyr-7b/sft") == {"off": "results/audits/pairs/pairrm/ultrafeedback.parquet"}
    assert audits.chosen(study, "zephyr-7b/sft") == {}


def test_votes_take_the_yardsticks_place():
    some = make_study("audit: {votes: {'off': voted.csv}}")
    assert audits.answers(some, "zephyr-7b/sft") == {"off": "results/audits/votes/ultrafeedback.parquet", "on": OWN}
    assert audits.chosen(some, "zephyr-7b/sft") == {}
    every = make_study(
        "{evaluation: {judge: pairrm}, audit: {votes: {'off': a.csv, zephyr-7b/sft: b.csv, llama: c.csv}}}"
    )
    assert audits.votes(every) == {
        "ultrafeedback": "a.csv",
        "zephyr-7b/sft": "b.csv",
        "llama-3-8b-instruct/sft": "c.csv",
    }
    assert all("votes" in file for file in audits.answers(every, "zephyr-7b/sft").values())
    assert "configuration: audit.votes.off names voted.csv, which is no file here" in contents.missing_files(some)[0]


def test_a_report_with_audits_needs_the_yardstick():
    overlay = "{yardstick: other, preference_models: {other: {path: org/ranker}}, audit: {tables: TABLES}}"
    manifest = "results/preference_models/other/manifest.json"
    assert manifest in contents.from_the_hub(make_study(overlay.replace("TABLES", "[table3]")))
    assert manifest not in contents.from_the_hub(make_study(overlay.replace("TABLES", "[]")))


def test_the_jobs_of_an_audit_their_price_and_their_answers_caches(clone):
    text = plan(clone, "results/audits/zephyr-7b/sft.json", "results/audits/phi-2/sft.json")
    counted = dict(re.findall(r"^(\w+) +(\d+)$", text.partition("Job stats")[2], re.MULTILINE))
    assert [counted[rule] for rule in ("ask_yardstick", "compare_chosen", "audit_sources")] == ["3", "2", "2"]
    assert "train_policy" not in counted and "compute_reference_logps" not in counted and "judge_outputs" not in counted
    asking = jobs(text, "ask_yardstick") + jobs(text, "compare_chosen")
    assert len(asking) == 5 and all("cents=480" in job for job in asking)  # 200 pairs, twice 1,200 tokens at 10 dollars
    assert all("envs/run alpaca-eval" in job for job in asking)
    caches = re.findall(r"--cache (\S+)", "".join(asking))
    assert len({*caches}) == 5 and "results/judge_cache/audits/pairs/gpt-4-turbo/ultrafeedback" in caches
    assert all("--pairs 200 --seed 0" in job for job in (*asking, *jobs(text, "audit_sources")))
    (likelihoods, _) = jobs(text, "compute_pair_likelihoods")
    assert "seconds=1" in likelihoods  # minutes


def test_a_network_as_yardstick_is_asked_where_networks_are(clone):
    overlay = ["--config", "yardstick=other", "preference_models={other: {path: org/ranker, parameters: 2.0e+9}}", "--"]
    asking = jobs(plan(clone, *overlay, SFT), "ask_yardstick")
    assert len(asking) == 2
    assert all("envs/run pairrm" in job and "--cache" not in job and "cents=0" in job for job in asking)
    assert all("dpo_stages/preferences/judge.py" not in job for job in asking)


def test_where_nobody_can_be_asked_there_is_no_audit_but_a_sheet(clone):
    served = ["--cores", "1", "-n", "--config", "evaluation={judge: qwen2.5-14b}", "--"]
    assert "name one of preference_models as yardstick" in snakemake(*served, SFT, folder=clone).stderr
    sheet = snakemake(*served, "results/audits/sheets/ultrafeedback.csv", folder=clone)
    assert sheet.returncode == 0 and "write_vote_sheet" in sheet.stdout


def test_with_votes_the_sheet_is_read_and_the_yardstick_spared(clone):
    (clone / "voted.csv").write_text("filled")
    votes = "audit={votes: {'off': voted.csv, zephyr-7b/sft: voted.csv}}"
    text = plan(clone, "--config", votes, "--", SFT)
    assert len(jobs(text, "read_votes")) == 2 and not jobs(text, "ask_yardstick") and not jobs(text, "compare_chosen")
    assert "--answers off=results/audits/votes/ultrafeedback.parquet" in text


def test_more_pairs_make_the_same_files_anew(clone):
    text = plan(clone, "--config", "audit={pairs: 400}", "--", SFT)
    assert all("--pairs 400" in job and "cents=960" in job for job in jobs(text, "ask_yardstick"))
