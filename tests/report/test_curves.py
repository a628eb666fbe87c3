"""Training curves: what they are made of, when chosen responses count as displaced, and how lines are drawn."""

import json

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.report.curves import MOST_POINTS, displacement, groups, read_training, thinned

BETAS = {"dpo": 0.1, "weak": 0.01}


def step(chosen, rejected, loss=0.6, accuracy=0.7, beta=0.1):
    """A row of a training log, from changes of log-probabilities in nats."""
    rewards = {"chosen": chosen, "rejected": rejected, "margin": chosen - rejected}
    return {"loss": loss, "accuracy": accuracy, **{f"rewards_{name}": beta * value for name, value in rewards.items()}}


def read(folder, name, rows):
    log = folder / f"{name.replace('/', '-')}.jsonl"
    log.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return read_training(name, log, BETAS)


def test_log_probabilities_are_changes_in_nats_whatever_beta(tmp_path):
    strong = read(tmp_path, "tiny/dpo/off", [step(0, 0), step(-2.0, -3.0)])
    weak = read(tmp_path, "tiny/weak/off", [step(0, 0, beta=0.01), step(-2.0, -3.0, beta=0.01)])
    for line in ("chosen", "rejected", "margin"):
        assert weak.lines[line] == pytest.approx(strong.lines[line])
    assert strong.change("chosen") == pytest.approx(-2.0) and strong.change("margin") == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("chosen", "rejected", "displaced"), [(-1, -2, True), (1, -2, False), (-2, -1, False), (-1, -1, False)]
)
def test_displaced_is_a_fall_of_the_chosen_while_the_margin_grows(tmp_path, chosen, rejected, displaced):
    assert read(tmp_path, "tiny/dpo/on", [step(0, 0), step(chosen, rejected)]).displaced is displaced


def test_ends_are_tenths_of_the_steps(tmp_path):
    rows = [step(number, 0) for number in range(40)]
    training = read(tmp_path, "tiny/dpo/on", rows)
    assert training.ends("chosen") == pytest.approx((1.5, 37.5))
    assert read(tmp_path, "tiny/dpo/off", rows[:3]).ends("chosen") == pytest.approx((0, 2))


def test_the_sentence_names_the_training_that_fell_most(tmp_path):
    fell, more = (
        read(tmp_path, f"tiny/dpo/{name}", [step(0, 0), step(by, 2 * by)]) for name, by in (("off", -1), ("on", -3))
    )
    rose, tuned = read(tmp_path, "tiny/dpo/mix50", [step(0, 0), step(1, 0)]), read(tmp_path, "tiny/sft", [{"loss": 1}])
    assert displacement([rose, tuned]) == ""
    assert displacement([fell]) == (
        "Here the chosen responses became less likely while the margin grew (likelihood displacement): by 1 nats over 2 steps, "
        "the rejected ones by 2."
    )
    assert displacement([fell, rose, more, tuned]).startswith("In 2 of 3 trainings the chosen")
    assert "the most in tiny/dpo/on: by 3 nats" in displacement([fell, rose, more, tuned])


def test_groups_are_sft_and_then_each_model_and_method_on_one_scale(tmp_path):
    names = ("a/dpo/off", "b/weak/off", "b/sft", "a/dpo/on")
    rows = {name: [{"loss": 1}] if name.endswith("sft") else [step(0, 0), step(-len(name), 1)] for name in names}
    found = groups([read(tmp_path, name, rows[name]) for name in names])
    assert [group["title"] for group in found] == ["SFT", "a, dpo", "b, weak"]
    assert [len(group["panels"]) for group in found] == [1, 4, 4]
    off, on = (training["panels"][1] for training in found[1]["trainings"])
    assert found[1]["panels"][1] == {"title": "Log-probability, nats", "scale": "-9 to 1"}
    assert off["level"] == on["level"] == 10.0  # percent from above: where both began
    assert off["lines"]["chosen"] == "0,10 100,100" and on["lines"]["chosen"] == "0,10 100,90"
    assert found[0]["trainings"][0]["panels"] == [
        {"lines": {"loss": "0,100"}, "ends": {"loss": "1 → 1"}, "level": None}
    ]


@pytest.mark.parametrize("steps", [1, 79, 80, 81, 478, 10_000])
def test_a_long_line_is_means_over_equal_parts(steps):
    drawn = thinned([float(number) for number in range(steps)])
    assert len(drawn) <= MOST_POINTS and (len(drawn) == steps or steps > MOST_POINTS)
    part = -(-steps // MOST_POINTS)
    assert drawn[0] == (part - 1) / 2 and drawn == sorted(drawn)


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("tiny/dpo/off", [], "is empty"),
        ("tiny/dpo/off", [{"loss": 1.0}], "line 1: rewards_chosen is None"),
        ("tiny/sft", [{"loss": 1.0}, {"loss": "x"}], "line 2: loss is 'x' where a number is needed"),
        ("tiny/slic/off", [step(0, 0)], "--betas lacks slic"),
    ],
)
def test_what_is_no_training_log_is_refused(tmp_path, name, rows, message):
    with pytest.raises(BadInput, match=message):
        read(tmp_path, name, rows)
