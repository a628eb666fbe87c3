"""Held-out votes of preference models: what is asked for them, what it costs, and what is said where nobody voted."""

import re

import pytest
import yaml
from clones import link_workflow
from conftest import ROOT
from dry_runs import snakemake

from dpo_stages.core.errors import BadInput
from dpo_stages.study.settings import check_settings

BOUNDARY, LABELS = "results/boundary/zephyr-7b/sft.json", "results/tables/labels.md"
VOTED = """
preference_models:
  pairrm: {held_out: VOTES}
  api: {judge: gpt-4-turbo, held_out: [VOTES, VOTES2]}
boundary: {second_opinions: [api]}
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return link_workflow(tmp_path_factory.mktemp("clone"))


@pytest.fixture
def voted(tmp_path):
    """A configuration with two votes for one file and three for the other."""
    for name, votes in (("votes", 2), ("votes2", 3)):
        (tmp_path / f"{name}.jsonl").write_text('{"preferred": 1}\n' * votes)
    text = VOTED.replace("VOTES2", str(tmp_path / "votes2.jsonl")).replace("VOTES", str(tmp_path / "votes.jsonl"))
    (tmp_path / "voted.yaml").write_text(text)
    return ["--cores", "1", "--configfile", tmp_path / "voted.yaml", "--"]


def command(shown, program):
    return " ".join(re.search(rf"{program}\.py .*", shown)[0].split())


def test_votes_are_measured_for_the_verdict_and_those_of_all_preference_models_for_the_table(clone, voted, tmp_path):
    shown = snakemake("-n", "-p", *voted, BOUNDARY, folder=clone).stdout
    assert "measure_judge" not in shown  # the score is relative to pairrm
    measuring = command(shown, "measure_preference_model")
    assert (
        f"--votes {tmp_path}/votes.jsonl --preference-model results/preference_models/pairrm/manifest.json" in measuring
    )
    assert "--name pairrm --confidence 0.95" in measuring and "--cache" not in measuring
    assert "--held-out results/held_out/pairrm.json" in command(shown, "measure_boundary")
    table = snakemake("-n", "-p", *voted, LABELS, folder=clone).stdout
    files = "--held-out results/held_out/pairrm.json results/held_out/api.json"
    assert files in command(table, "make_labels_table") and "--notes" not in command(table, "make_labels_table")
    job = table.partition("rule measure_judge:")[2].partition("[")[0]
    assert "cents=12" in job  # 5 pairs in both orders, 1,200 tokens each, 10 dollars a million
    assert "--cache results/judge_cache/held_out/api --output results/held_out/api.json" in job


@pytest.mark.parametrize(
    ("given", "key", "target"),
    [
        (
            "preference_models: {pairrm: {held_out: nix}}",
            "preference_models.pairrm.held_out",
            "results/held_out/pairrm.json",
        ),
        ("audit: {votes: {'off': nix}}", "audit.votes.off", "results/audits/votes/ultrafeedback.parquet"),
        ("models: {zephyr-7b: {chat_template: nix}}", "models.zephyr-7b.chat_template", BOUNDARY),
    ],
)
def test_a_missing_file_is_named_with_its_key_and_not_by_snakemake(clone, tmp_path, given, key, target):
    (tmp_path / "mine.yaml").write_text(given)
    done = snakemake("-n", "--cores", "1", "--configfile", tmp_path / "mine.yaml", "--", target, folder=clone)
    assert f"configuration: {key} names nix, which is no file here" in done.stderr
    assert done.returncode == 0 and "MissingInput" not in done.stderr


def test_where_nobody_voted_nothing_is_measured_and_the_table_says_what_would_tell(clone):
    shown = snakemake("-n", "-p", "--cores", "1", "--", BOUNDARY, LABELS, folder=clone).stdout
    assert "measure_preference_model" not in shown and "--held-out" not in shown
    said = command(shown, "make_labels_table")
    assert "--notes 'How often pairrm is right, and whether more often than whoever takes the longer response" in said
    assert "`preference_models: {pairrm: {held_out: FILE}}`" in said


def test_a_file_of_votes_that_is_missing_is_named(clone, tmp_path):
    (tmp_path / "lost.yaml").write_text("preference_models: {pairrm: {held_out: lost.jsonl}}\n")
    shown = snakemake("-n", "--cores", "1", "--configfile", tmp_path / "lost.yaml", "--", BOUNDARY, folder=clone)
    assert "preference_models.pairrm.held_out names lost.jsonl, which is no file here" in shown.stderr


def test_the_engine_rank_has_no_votes():
    config, schema = (yaml.safe_load((ROOT / name).read_text()) for name in ("config.yaml", "rules/config.schema.yaml"))
    ranking = {"path": "a/b", "engine": "rank", "batch_size": 8, "held_out": "votes.jsonl"}
    config["preference_models"]["ranking"] = ranking
    config["resources"]["shards"] |= {"labelling": 1, "comparison": 1}
    with pytest.raises(BadInput, match="preference_models.ranking.held_out: the engine rank compares no pair alone"):
        check_settings(config, schema)
