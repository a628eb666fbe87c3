"""Races: which files an arm, a look and a whole race are made of, and what Snakemake makes of that."""

import json
import re

import pytest
import yaml
from clones import link_workflow
from dry_runs import snakemake
from studies import Wildcards, make_study

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json
from dpo_stages.study import contents, race_costs
from dpo_stages.study.races import Races, races_for_report
from dpo_stages.study.resources import Needs

THREE = {"race": {"sources": ["off", "on", "mix50"], "orders": 2, "shares": [0.05, 0.1, 0.2]}}
SFT = "zephyr-7b/sft"
OTHER = {"preference_models": {"other": {"path": "a/b"}}}


def races(tmp_path, overlay=THREE, **looks):
    """The races of a study of which these looks are decided, by share: who is still standing, and whether it is over."""
    for share, standing in looks.items():
        verdict = "decided" if len(standing) == 1 else "undecided"
        write_json(tmp_path / f"{share}.json", {"standing": standing, "verdict": verdict})
    return Races(make_study(overlay), lambda initial, share: str(tmp_path / f"look_{share.replace('.', '_')}.json"))


def test_an_arm_is_the_policy_itself_and_its_other_orders_are_replicates(tmp_path):
    found = races(tmp_path)
    assert [str(arm) for arm in found.arms(SFT, "mix50")] == ["zephyr-7b/dpo/mix50", "zephyr-7b/dpo/mix50~2"]
    assert [str(arm) for arm in found.arms("zephyr-7b/dpo/off", "on")][0] == "zephyr-7b/dpo/off-on"
    assert [found.before(share) for share in found.shares] == [0, 0.05, 0.1]


def test_the_first_look_has_all_arms_and_the_next_those_that_stand(tmp_path):
    found = races(tmp_path, look_0_05=["off", "mix50"], look_0_1=["mix50"])
    assert len(found.samples(SFT, "0.05")) == 3 * 2
    assert found.samples(SFT, "0.1") == {
        "off": "results/races/samples/zephyr-7b/dpo/off/0.1.parquet",
        "off~2": "results/races/samples/zephyr-7b/dpo/off~2/0.1.parquet",
        "mix50": "results/races/samples/zephyr-7b/dpo/mix50/0.1.parquet",
        "mix50~2": "results/races/samples/zephyr-7b/dpo/mix50~2/0.1.parquet",
    }


def test_a_race_ends_with_the_look_that_decides_it_or_with_the_last(tmp_path):
    of = "results/races/looks/zephyr-7b/sft"
    decided = races(tmp_path, look_0_05=["off", "mix50"], look_0_1=["mix50"])
    assert decided.looks(SFT) == [f"{of}/0.05.parquet", f"{of}/0.1.parquet"]
    assert decided.looks(SFT, "0.05") == [f"{of}/0.05.parquet"]
    assert decided.last(SFT) == f"{of}/0.1.json"
    both = ["off", "on"]
    undecided = races(tmp_path, look_0_05=both, look_0_1=both, look_0_2=both)
    assert undecided.last(SFT) == f"{of}/0.2.json"


AUTO = "tables: {table3: {models: [zephyr-7b], sources: [], histories: [auto, off-auto, auto-auto]}}"


@pytest.mark.parametrize(
    ("overlay", "shown"),
    [
        ("{}", []),
        ("{decide_by: race}", []),  # no table of the paper has `auto`
        (f"{{{AUTO}}}", []),  # which follows the score
        (
            f"{{decide_by: race, {AUTO}}}",
            ["zephyr-7b/dpo/off", "zephyr-7b/sft"],
        ),  # the second of auto-auto is not known
        ("{race: {tables: [table4]}, iterations: 1}", ["pythia-6.9b/sft", "qwen2.5-1.5b/sft"]),
        (
            "{decide_by: race, race: {tables: [table4]}, iterations: 1, preference_model: two, preference_models: "
            f"{{two: {{path: a/b, suffix: two}}}}, {AUTO}}}".replace(", off-auto, auto-auto", ""),
            ["pythia-6.9b+two/sft", "qwen2.5-1.5b+two/sft", "zephyr-7b+two/sft"],
        ),
    ],
)
def test_the_report_shows_the_races_that_auto_goes_by_and_those_of_named_tables(overlay, shown):
    study = make_study(overlay)
    assert races_for_report(study) == shown
    yardstick = (
        make_study(yaml.safe_load(overlay) | {"yardstick": "other"} | OTHER) if shown and "two" not in overlay else None
    )
    if yardstick:
        assert "results/preference_models/other/manifest.json" in contents.from_the_hub(yardstick)


def test_what_a_race_takes_is_what_its_arms_take_more_at_each_look(tmp_path):
    study = make_study(THREE)
    needs, found = Needs(study), Races(study, lambda *_: "")
    seconds = needs.arm_seconds(found)
    at = {
        share: seconds(Wildcards(model="zephyr-7b", method="dpo", history="on", share=share)) for share in found.shares
    }
    loading = needs.speeds.ready(7.24e9)
    assert at["0.1"] == at["0.05"]  # 5 % of an epoch more each
    assert at["0.2"] - loading == pytest.approx(2 * (at["0.1"] - loading))
    assert needs.race_pairs(Wildcards()) == 3 * 2 * 2 * 250  # pairs of arms, orders, responses, prompts
    assert needs.preference_cents(needs.race_pairs, "gpt-4-turbo")(Wildcards()) == 2 * 3000 * 1200 * 10 * 100 // 10**6


def test_the_plan_says_what_a_race_takes_beside_a_wrong_choice(tmp_path):
    study = make_study(THREE)
    needs, found = Needs(study), Races(study, lambda *_: "")
    [sentence] = race_costs.words(study, needs, found)
    shares = [Wildcards(model="phi-2", method="dpo", history="off", share=share) for share in found.shares]
    training, sampling = (sum(map(of, shares)) for of in (needs.arm_seconds(found), needs.race_sampling_seconds))
    arms, gpus = 3 * 2, 4  # sources, orders; a training's
    expected = [arms * (gpus * training + sampling), gpus * training, gpus * needs.training_seconds(shares[0])]
    assert "phi-2 {:.1f} ({:.1f}, {:.1f})".format(*(seconds / 3600 for seconds in expected)) in sentence
    assert (
        "and 216 dollars of judgements" in sentence
    )  # three looks at three pairs of arms, 250 prompts, 2 orders, 2 responses
    assert race_costs.words(make_study("{accelerator: cpu}"), needs, found) == []


# The workflow


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return link_workflow(tmp_path_factory.mktemp("clone"))


def planned(folder, *arguments):
    """Jobs by rule of a dry run, with their outputs."""
    done = snakemake("-n", "--cores", "1", *arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    found = {}
    for rule, output in re.findall(
        r"^(?:local)?(?:rule|checkpoint) (\w+):\n(?:    .*\n)*?    output: (.*)$", done.stdout, re.M
    ):
        found.setdefault(rule, []).append(output)
    return found


RACE = "results/races/zephyr-7b/sft.json"
ARMS = [f"results/races/arms/zephyr-7b/dpo/{arm}/0.025" for arm in ("off", "off~2", "on", "on~2")]


def test_at_first_the_plan_has_the_first_look_of_all_arms(clone):
    found = planned(clone, "--", RACE)
    assert sorted(found["train_arm"]) == ARMS
    assert len(found["sample_arm"]) == 4 and len(found["compare_racing_arms"]) == len(found["decide_look"]) == 1
    assert found["describe_judge"] == ["results/preference_models/gpt-4-turbo/manifest.json"]
    assert "train_policy" not in found


def test_auto_follows_the_race_where_it_decides_and_no_boundary_is_measured(clone):
    target = "results/policies/zephyr-7b/dpo/auto/manifest.json"
    by_race = planned(clone, "--config", "decide_by=race", "--", target)
    assert by_race["make_decision"] and by_race["make_race"] and "measure_boundary" not in by_race
    by_score = planned(clone, "--", target)
    assert by_score["measure_boundary"] and "make_race" not in by_score


def test_a_preference_model_may_be_the_yardstick_and_a_judge_that_cannot_be_asked_races_nothing(clone):
    found = planned(clone, "--config", "yardstick=pairrm", "--", RACE)
    assert "describe_judge" not in found and found["compare_racing_arms"]
    without = snakemake("-n", "--cores", "1", "--config", "evaluation={judge: qwen2.5-14b}", "--", RACE, folder=clone)
    assert without.returncode != 0


def test_the_orders_of_a_race_need_no_replicates_in_the_study(clone):
    found = planned(clone, "--config", "race={orders: 3}", "--", RACE)
    assert len(found["train_arm"]) == 6
    refused = snakemake("-n", "--cores", "1", "--", f"{ARMS[0].replace('/off/', '/off~3/')}", folder=clone)
    assert refused.returncode != 0


# Decisions


def decision(tmp_path, run_here, *flags, **race):
    measured = {
        "policy": SFT,
        "leader": "on",
        "out": {},
        "standing": ["off", "on"],
        "verdict": "undecided",
        "reason": "r",
        **race,
    }
    write_json(tmp_path / "race.json", measured)
    run_here("make_decision", "--race", tmp_path / "race.json", *flags, "--output", tmp_path / "decision.json")
    return read_json(tmp_path / "decision.json")


def test_a_decision_by_a_race_follows_the_winner_or_the_rule(tmp_path, run_here):
    won = decision(tmp_path, run_here, "--undecided", "mix50", verdict="decided")
    assert (won["source"], won["decided_by"], won["leader"]) == ("on", "race", "on")
    open_ = decision(tmp_path, run_here, "--undecided", "mix50")
    assert (open_["source"], open_["decided_by"]) == ("mix50", "the rule for undecided races")
    assert decision(tmp_path, run_here, "--undecided", "recommended")["source"] == "on"
    by_hand = decision(tmp_path, run_here, "--undecided", "mix50", "--by-hand", "off", verdict="decided")
    assert (by_hand["source"], by_hand["decided_by"]) == ("off", "hand")
    write_json(tmp_path / "race.json", {"boundary_score": 0.4})
    with pytest.raises(BadInput, match="is no race; it needs policy, leader"):
        run_here(
            "make_decision", "--race", tmp_path / "race.json", "--undecided", "on", "--output", tmp_path / "other.json"
        )


def test_the_trace_of_a_raced_policy_names_the_race_and_counts_its_samples(tmp_path, run_here):
    decision(tmp_path, run_here, "--undecided", "mix50", verdict="decided")
    race = {"policy": SFT, "leader": "on", "verdict": "decided", "cost": {"epochs": 0.4, "responses": 800}}
    write_json(tmp_path / "race.json", race)
    write_json(tmp_path / "on.ledger.json", {"rows_in": 80, "rows_out": 80})
    pairs = {"origin": SFT, "file": str(tmp_path / "on.parquet"), "sampled": True, "own": True}
    step = {
        "policy": "zephyr-7b/dpo/on", "initial_policy": SFT, "named_source": "auto", "source": "on", "candidates": 2,
        "boundary": None, "other_boundaries": [], "mixture": None, "decision": str(tmp_path / "decision.json"), "race": str(tmp_path / "race.json"), "preferences": [pairs],
    }  # fmt: skip
    run_here(
        "trace_policy", "--policy", "zephyr-7b/dpo/auto", "--steps", json.dumps([step]), "--split", "test",
        "--output", tmp_path / "trace.json",
    )  # fmt: skip
    traced = read_json(tmp_path / "trace.json")
    assert traced["samples_drawn"] == 2 * 80 + 800
    assert traced["steps"][0]["decided_by"] == "race" and traced["steps"][0]["race_leader"] == "on"
