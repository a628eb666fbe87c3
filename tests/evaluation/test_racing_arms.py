"""The arms of a race before a judge: who meets whom, what a score is, when asking ends, and what a failure costs."""

import json
import math

import pytest
from fake_judge import quality

from dpo_boundary.race import decide_race
from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import RACE_LOOK, SAMPLED_CANDIDATES

ARMS = ("off", "off~2", "on", "on~2")


def prompt(number):
    return [{"role": "user", "content": f"Question {number}?"}]


def sampled(number, first, second):
    return {
        "prompt_id": prompt_id(prompt(number)), "prompt": prompt(number), "response_1": first, "response_2": second,
        "tokens_1": 3, "tokens_2": 3, "truncated_1": number == 0, "truncated_2": False, "ids_1": [1], "ids_2": [1],
        "vocabulary": "v", "opens_thought": False,
    }  # fmt: skip


@pytest.fixture
def look(run_here, fake_judge, tmp_path):
    """Run the program on arms whose responses are these words and a number; the rows, the ledger."""
    run_here(
        "describe_judge", "--model", "fake", "--base-url", fake_judge.url, "--output", tmp_path / "fake/manifest.json"
    )

    def run(*flags, prompts=6, arms=ARMS, worse=""):
        for arm in arms:
            word = "" if arm.startswith("on") else worse
            rows = [
                sampled(number, f"{arm} one {number}{word}", f"{arm} two {number}{word}") for number in range(prompts)
            ]
            write_table(tmp_path / f"{arm}.parquet", rows[::-1], SAMPLED_CANDIDATES)
        run_here(
            "compare_racing_arms", "--samples", *(f"{arm}={tmp_path / arm}.parquet" for arm in arms), "--share", 0.1,
            "--preference-model", tmp_path / "fake/manifest.json", "--cache", tmp_path / "cache", *flags,
            "--output", tmp_path / "look.parquet",
        )  # fmt: skip
        return read_table(tmp_path / "look.parquet", RACE_LOOK).to_pylist(), read_json(tmp_path / "look.ledger.json")

    return run


def test_arms_of_one_order_meet_and_a_score_is_the_mean_of_four_probabilities(look, fake_judge):
    rows, ledger = look()
    assert {(row["run"], row["arm_1"], row["arm_2"]) for row in rows} == {(1, "off", "on"), (2, "off", "on")}
    assert len(rows) == 12 and ledger["requests"] == fake_judge.asked == 12 * 2 * 2 and ledger["pairs"] == 24
    [row] = [row for row in rows if row["run"] == 2 and row["prompt_id"] == prompt_id(prompt(3))]
    better = [1 / (1 + math.exp(quality(f"on~2 {word} 3") - quality(f"off~2 {word} 3"))) for word in ("one", "two")]
    assert row["arm_1_preferred"] == pytest.approx(sum(better) / 2, abs=1e-4)
    assert (row["length_1"], row["length_2"]) == (len("off~2 one 3"), len("on~2 one 3"))
    assert (row["share"], row["order_flips"], row["truncated_1"]) == (0.1, 0, 0)
    assert sum(row["truncated_1"] + row["truncated_2"] for row in rows) == 2 * 2


def test_three_arms_make_three_pairs(look):
    rows, _ = look(arms=("off", "on", "mix50"))
    assert {(row["arm_1"], row["arm_2"]) for row in rows} == {("off", "on"), ("off", "mix50"), ("on", "mix50")}


UNTIL = ["--shares", 0.1, 0.2, "--starting-arms", 2, "--confidence", 0.9, "--seed", 3]


def test_asking_ends_when_the_look_is_decided_and_the_race_says_the_same(look, fake_judge):
    long = " and so on, for a while" * 40  # the fake judge likes length
    rows, ledger = look(*UNTIL, prompts=48, worse=long)
    asked = ledger["rows_out"]
    assert 32 <= asked < 48 and len(rows) == 2 * asked and fake_judge.asked == 8 * asked
    assert ledger["dropped"] == {"not asked, as all is decided": 48 - asked}
    race = decide_race(rows, shares=[0.1, 0.2], confidence=0.9, seed=3)
    assert race.winner == "off" and race.looks[0].prompts == asked
    whole, _ = look(prompts=48, worse=long)
    of_all = decide_race(whole, shares=[0.1, 0.2], confidence=0.9, seed=3)
    assert of_all.looks[0].prompts == asked and of_all.looks[0].pairs == race.looks[0].pairs


def test_a_judge_that_fails_loses_no_answer(look, fake_judge):
    fake_judge.behave = lambda attempt, asked: "ok" if fake_judge.asked <= 20 else "no quota"
    with pytest.raises(SystemExit, match="what was answered is kept in"):
        look()
    paid = fake_judge.asked
    fake_judge.behave = lambda attempt, asked: "ok"
    _, ledger = look()
    assert ledger["from_cache"] >= 20 and ledger["requests"] + ledger["from_cache"] == 48 and paid >= 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arms": ("off", "off~2", "on")}, "order 2 has the arms off; each needs the same, and two at least"),
        ({"arms": ("off",)}, "order 1 has the arms off"),
        ({"arms": ("off~x", "on")}, "is not of the form ARM=FILE or ARM~ORDER=FILE"),
    ],
)
def test_arms_that_do_not_fit_together_are_one_sentence(look, tmp_path, change, message):
    with pytest.raises(BadInput, match=message):
        look(**change)
    assert not (tmp_path / "look.parquet").exists()


def test_arms_with_other_prompts_are_refused(look, run_here, tmp_path):
    look()
    write_table(tmp_path / "on.parquet", [sampled(7, "a", "b")], SAMPLED_CANDIDATES)
    with pytest.raises(BadInput, match="the arm on of order 1 was asked other prompts"):
        run_here(
            "compare_racing_arms", "--samples", f"off={tmp_path / 'off.parquet'}", f"on={tmp_path / 'on.parquet'}",
            "--share", 0.1, "--preference-model", tmp_path / "fake/manifest.json", "--cache", tmp_path / "cache",
            "--output", tmp_path / "other.parquet",
        )  # fmt: skip


def test_the_flags_of_stopping_belong_together(look, capsys):
    with pytest.raises(SystemExit) as stopped:
        look("--shares", 0.1)
    assert stopped.value.code == 2 and "--shares needs --starting-arms" in capsys.readouterr().err


def test_a_race_is_decided_from_its_looks_and_the_page_says_what_it_took(look, run_here, tmp_path):
    look(*UNTIL, prompts=120, worse=" and so on, for a while" * 40)
    decided = tmp_path / "decided.json"
    shares = ["--shares", 0.1, 0.2, "--confidence", 0.9, "--seed", 3, "--policy", "m/sft"]
    run_here("decide_race", "--looks", tmp_path / "look.parquet", *shares, "--output", decided)
    race = read_json(decided)
    assert (race["verdict"], race["winner"], race["standing"]) == ("decided", "off", ["off"])
    write_json(tmp_path / "length_control.json", {"valid": True, "sentence": "It is."})
    run_here(
        "decide_race", "--looks", tmp_path / "look.parquet", *shares, "--length-control", tmp_path / "length_control.json",
        "--output", tmp_path / "controlled.json",
    )  # fmt: skip
    controlled = read_json(tmp_path / "controlled.json")
    assert controlled["length_controlled"] and controlled["looks"][0]["pairs"][0]["adjusted_score"] is not None
    with pytest.raises(BadInput, match="announced were 0.05"):
        run_here(
            "decide_race", "--looks", tmp_path / "look.parquet", "--shares", 0.05, "--confidence", 0.9, "--seed", 3,
            "--policy", "m/sft", "--output", tmp_path / "other.json",
        )  # fmt: skip
    assert json.loads((tmp_path / "decided.ledger.json").read_text())["leader"] == "off"
