"""The page of a race: what to train on next, what it took, and a figure of the arms."""

import xml.etree.ElementTree as ElementTree
from dataclasses import asdict

import pytest

from dpo_boundary.race import decide_race
from dpo_stages.core.files import read_json, write_json
from dpo_stages.report.race import as_markdown, card, cost
from dpo_stages.study.choices import BY_RACE, choose

AGREEMENT = {"estimate": 0.7, "low": 0.6, "high": 0.8, "pairs": 100}
TRIVIAL = {"longer": AGREEMENT, "first": AGREEMENT, "ahead": 9, "behind": 9, "below_longer": None}
AUDIT = {
    "initial_policy": "m/sft",
    "sources": {
        name: {
            "candidates": candidates, "verdict": "trustworthy", "asked": "gpt", "advice": [],
            "labels": {"agreement": AGREEMENT, "ties": 0, "baselines": TRIVIAL},
        }
        for name, candidates in (("off", "data"), ("on", "m/sft"))
    }
}  # fmt: skip


def race(*better, arms=("off", "on", "mix50"), prompts=64):
    """A race of two orders whose first arm is preferred to each other one by so much, look after look."""
    rows = [
        {
            "prompt_id": f"p{prompt}", "run": run, "share": share, "arm_1": one, "arm_2": other, "length_1": 9.0 + prompt % 3,
            "length_2": 10.0, "arm_1_preferred": 0.5 + (size if one == arms[0] else 0) + 0.05 * (-1) ** (prompt + run),
        }
        for share, size in zip((0.05, 0.1, 0.2), better, strict=False)
        for number, one in enumerate(arms)
        for other in arms[number + 1 :]
        for run in (1, 2)
        for prompt in range(prompts)
    ]  # fmt: skip
    found = decide_race(rows, shares=[0.05, 0.1, 0.2])
    standing = [arm for arm in found.arms if arm not in found.out]
    return {"policy": "m/sft", **found.as_json(), "standing": standing, "paragraph": found.paragraph()}


def made(found, undecided="mix50", by_hand=None, prompts=64):
    """The same as make_race.py leaves it."""
    source, by = choose(found["leader"], found["verdict"] == "decided", BY_RACE, undecided, by_hand)
    took = asdict(cost(found, prompts, source))
    return {**found, "source": source, "decided_by": by, "yardstick": "gpt", "cost": took}


def test_the_cost_is_that_of_the_arms_that_were_still_in():
    undecided = cost(race(0.0, 0.0, 0.0), 64, "blend")
    assert undecided.epochs == pytest.approx(3 * 2 * 0.2) and undecided.kept == 0
    assert (undecided.responses, undecided.comparisons) == (3 * 3 * 2 * 2 * 64, 3 * 3 * 2 * 2 * 64)
    won = cost(race(0.0, 0.4), 64, "off")
    assert won.epochs == pytest.approx(3 * 2 * 0.1) and won.kept == 0.1
    asked = cost(race(0.0, 0.4), 250, "off")  # of which the judge was asked about 64
    assert asked.responses == 2 * 3 * 2 * 2 * 250 and asked.comparisons == won.comparisons


def test_what_is_kept_is_what_the_source_that_is_taken_has_trained_for():
    found = race(0.4, arms=("off", "on"))
    assert cost(found, 64, "on").kept == 0.05  # lost, and taken by hand
    assert cost(race(0.0, 0.0, 0.0), 64, "mix50").kept == 0.2  # the rule for undecided races names one of the arms


@pytest.mark.parametrize(
    ("sizes", "undecided", "by_hand", "next_", "why"),
    [
        ((0.4,), "mix50", None, "Train next on `off`.", "off wins the race"),
        (
            (0.0, 0.0, 0.0),
            "mix50",
            None,
            "Train next on `mix50` (undecided).",
            "The race is undecided, and `mix50` is the rule.",
        ),
        (
            (0.0, 0.0, 0.0),
            "recommended",
            None,
            "Train next on `off` (undecided).",
            "The race is undecided, and `off` leads, with no certainty.",
        ),
        (
            (0.4,),
            "mix50",
            "on",
            "Train next on `on` (decided by hand).",
            "The study's `boundary.decisions` names it; the race was won by `off`.",
        ),
        (
            (0.0, 0.0, 0.0),
            "mix50",
            "on",
            "Train next on `on` (decided by hand).",
            "names it; the race is undecided, and `off` leads.",
        ),
    ],
)
def test_page_and_card_say_first_what_to_train_on_and_who_decided(sizes, undecided, by_hand, next_, why):
    found = made(race(*sizes, arms=("off", "on")), undecided, by_hand)
    page = as_markdown(found, [AUDIT], "sft.svg", ["A caution."])
    assert page.splitlines()[2].startswith(f"**{next_}**")
    assert why in page and "by the judgement of gpt" in page and page.rstrip().endswith("A caution.")
    assert page.count("| off over on |") == len(found["looks"]) and "](sft.svg)" in page
    assert "- **on (m/sft): trustworthy.** By gpt the chosen response is the better one in 70 % (60 to 80)" in page
    of_old = as_markdown(found, [AUDIT, AUDIT | {"initial_policy": "m/sft+old"}], "sft.svg")
    assert "- **on (m/sft): trustworthy.**" in of_old and "- **on.old (m/sft): trustworthy.**" in of_old
    shown = card(found, "data:x")
    assert shown["next"] == next_ and why in shown["said"] and shown["page"] == "results/races/m/sft.md"
    assert ("is undecided (95 %); off leads, with no certainty." in shown["said"]) == (found["verdict"] == "undecided")


def test_the_program_writes_page_and_figure_and_clears_the_losers_away(tmp_path, run_here):
    write_json(tmp_path / "race.json", race(0.4, arms=("off", "on")))
    write_json(tmp_path / "audit.json", AUDIT)
    write_json(tmp_path / "prompts.ledger.json", {"rows_out": 64})
    given = [
        "--race",
        tmp_path / "race.json",
        "--prompts",
        tmp_path / "prompts.parquet",
        "--audits",
        tmp_path / "audit.json",
        "--undecided",
        "mix50",
        "--yardstick",
        "gpt",
    ]
    for arm in ("off", "on", "on~2"):
        (tmp_path / arm).mkdir()
    files = {kind: tmp_path / f"made.{kind}" for kind in ("json", "md", "svg")}
    run_here(
        "make_race", *given, "--checkpoints", f"off={tmp_path / 'off'}", f"on={tmp_path / 'on'}", f"on={tmp_path / 'on~2'}",
        "--json", files["json"], "--markdown", files["md"], "--svg", files["svg"],
    )  # fmt: skip
    assert [(tmp_path / arm).exists() for arm in ("off", "on", "on~2")] == [True, False, False]
    left = read_json(files["json"])
    assert (left["source"], left["decided_by"], left["yardstick"], left["cost"]["kept"]) == ("off", "race", "gpt", 0.05)
    assert ElementTree.parse(files["svg"]).getroot().tag.endswith("svg")
    first = files["svg"].read_bytes()
    run_here(
        "make_race", *given, "--json", files["json"], "--markdown", files["md"], "--svg", files["svg"],
    )  # fmt: skip
    assert files["svg"].read_bytes() == first
    for arm in ("off", "on"):
        (tmp_path / arm).mkdir(exist_ok=True)
    run_here(
        "make_race", *given, "--by-hand", "on", "--checkpoints", f"off={tmp_path / 'off'}", f"on={tmp_path / 'on'}",
        "--json", files["json"], "--markdown", files["md"], "--svg", files["svg"],
    )  # fmt: skip
    assert [(tmp_path / arm).exists() for arm in ("off", "on")] == [False, True]
    assert "**Train next on `on` (decided by hand).**" in files["md"].read_text()
    voted = {"preference_model": "gpt", "votes": ["votes.jsonl"], "accuracy": AGREEMENT}
    voted["baselines"] = {**TRIVIAL, "behind": 30, "below_longer": "beyond noise"}
    write_json(tmp_path / "held_out.json", voted)
    outputs = ["--json", files["json"], "--markdown", files["md"], "--svg", files["svg"]]
    run_here("make_race", *given, "--held-out", tmp_path / "held_out.json", *outputs)
    warning = "counting characters would do better than the preference model gpt: on 30 of 100 pairs"
    assert read_json(files["json"])["notes"][-1].startswith(warning)
    page = files["md"].read_text()
    assert "gpt is right on 70 % (60 to 80) of 100 held-out votes (votes.jsonl); whoever takes" in page
    assert f"the first one on 70 % (60 to 80). Warning: {warning}" in page
