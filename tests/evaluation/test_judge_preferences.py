"""A judge's endpoint as preference model: both orders, labels of any company, and what it costs."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fake_judge import quality, responses_of

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import INSTRUCTIONS, PREFERENCES
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.options import Options
from dpo_stages.preferences.pairs import Pair

SERVED = f"{sys.executable} {Path(__file__).with_name('fake_judge.py')} {{port}}"  # and a folder for its notes


@pytest.fixture
def manifest(run_here, fake_judge, tmp_path):
    output = tmp_path / "models/fake/manifest.json"
    run_here("describe_judge", "--model", "fake", "--base-url", fake_judge.url, "--output", output)
    return output


def pairs_of(number):
    return [
        Pair([{"role": "user", "content": f"Question {n}?"}], f"one {n}", f"two {n}, longer") for n in range(number)
    ]


def test_a_judges_logits_are_those_of_its_probabilities_in_both_orders(manifest, fake_judge, tmp_path):
    pairs = [*pairs_of(12), Pair([{"role": "user", "content": "Equal?"}], "same", "same")]
    verdicts = open_preference_model(manifest, Options(cache=tmp_path / "cache")).compare(pairs)
    expected = [quality(pair.response_1) - quality(pair.response_2) for pair in pairs]  # the fake judge's logit
    assert verdicts.logits == pytest.approx(expected, abs=1e-4)
    assert not verdicts.order_flips.any()  # it does not care for the order
    assert verdicts.counts["requests"] == 24 and verdicts.counts["tokens"] == 2400
    asked = {tuple(responses_of(body["messages"][-1]["content"])) for body in fake_judge.bodies}
    assert len(asked) == 24 and {(second, first) for first, second in asked} == asked  # each pair either way round


def test_company_and_the_order_of_responses_change_nothing_and_cost_nothing_again(manifest, fake_judge, tmp_path):
    pairs = pairs_of(6)
    model = open_preference_model(manifest, Options(cache=tmp_path / "cache"))
    first = model.compare(pairs).orders
    mirrored = model.compare([Pair(pair.prompt, pair.response_2, pair.response_1) for pair in reversed(pairs)])
    assert (mirrored.orders[::-1] == -first[:, ::-1]).all()
    assert mirrored.counts["requests"] == 0 and mirrored.counts["from_cache"] == 12
    assert (model.compare([pairs[2], pairs[2]]).orders == first[2]).all()
    assert model.compare([]).orders.shape == (0, 2)


def test_a_judge_that_hangs_on_the_order_flips(manifest, fake_judge, tmp_path):
    fake_judge.behave = lambda attempt, prompt: "m is better"
    model = open_preference_model(manifest, Options(cache=tmp_path / "cache"))
    verdicts = model.compare(pairs_of(5))
    assert verdicts.order_flips.all() and np.abs(verdicts.logits).max() < 1e-6


def test_a_judge_labels_by_the_workflows_program(run_here, fake_judge, tmp_path):
    """As the rule does it, with a judge that the job serves itself."""
    manifest, out = tmp_path / "served/manifest.json", tmp_path / "out.parquet"
    run_here("describe_judge", "--model", "fake", "--serve", f"{SERVED} {tmp_path}", "--output", manifest)
    rows = [
        {"prompt": "Why?", "response_1": "a", "response_2": "b, since"},
        {"prompt": "x", "response_1": None, "response_2": ""},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = ["--pairs", tmp_path / "in.jsonl", "--preference-model", manifest, "--output", out]
    run_here("label_preferences", *files, "--cache", tmp_path / "cache")
    labelled = pq.read_table(out).to_pylist()
    assert labelled[0]["logit"] == pytest.approx(quality("a") - quality("b, since"), abs=1e-4)
    assert labelled[1]["logit"] is None
    with pytest.raises(BadInput, match="needs --cache"):
        run_here("label_preferences", *files)


def test_a_judge_compares_arms_by_the_workflows_program(run_here, manifest, fake_judge, tmp_path):
    prompts = [[{"role": "user", "content": f"Question {number}?"}] for number in range(3)]
    rows = [
        {"prompt_id": prompt_id(prompt), "prompt": prompt, "index": number}
        | {"instruction": prompt[0]["content"], "reference": "r", "subset": "s"}
        for number, prompt in enumerate(prompts)
    ]
    write_table(tmp_path / "instructions.parquet", rows, INSTRUCTIONS)
    outputs = {"off": ["a", "b, since", "same"], "on": ["b, since", "a", "same"]}
    for name, texts in outputs.items():
        answered = [
            {key: row[key] for key in ("index", "prompt_id", "instruction")}
            | {"output": text, "generator": f"m/dpo/{name}"}
            for row, text in zip(rows, texts, strict=True)
        ]
        (tmp_path / f"{name}.json").write_text(json.dumps(answered))
    run_here(
        "compare_arms", "--off-policy", tmp_path / "off.json", "--on-policy", tmp_path / "on.json",
        "--instructions", tmp_path / "instructions.parquet", "--preference-model", manifest,
        "--cache", tmp_path / "cache", "--output", tmp_path / "arms.parquet",
    )  # fmt: skip
    logit = quality("a") - quality("b, since")
    assert pq.read_table(tmp_path / "arms.parquet")["logit"].to_pylist() == pytest.approx([logit, -logit, 0], abs=1e-4)
    assert json.loads((tmp_path / "arms.ledger.json").read_text())["requests"] == 4


def test_a_judge_is_measured_on_held_out_votes_by_the_workflows_program(run_here, manifest, fake_judge, tmp_path):
    pairs = [(pair.response_1, pair.response_2) for pair in pairs_of(8)]  # the second is longer each time
    rows = [
        {"prompt": f"Question {number}?", "response_1": first, "response_2": second, "preferred": 2 if number else 0}
        for number, (first, second) in enumerate(pairs)
    ]
    (tmp_path / "votes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--preference-model", manifest, "--name", "fake", "--confidence", 0.95, "--cache", tmp_path / "cache"]
    run_here("measure_preference_model", "--votes", tmp_path / "votes.jsonl", *flags, "--output", tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    right = sum(quality(second) > quality(first) for first, second in pairs[1:])
    assert found["accuracy"]["estimate"] == pytest.approx(right / 7) and 0 < right < 7
    assert (found["baselines"]["longer"]["estimate"], found["baselines"]["first"]["estimate"]) == (1, 0)
    assert (found["baselines"]["ahead"], found["baselines"]["behind"]) == (0, 7 - right)
    assert json.loads((tmp_path / "out.ledger.json").read_text())["requests"] == 14


def test_a_manifest_says_how_the_key_is_sent(run_here, fake_judge, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_JUDGE_KEY", "sk-secret")
    manifest, where = tmp_path / "models/fake/manifest.json", f"{fake_judge.url}/d?api-version=1"
    key = ("--api-key-variable", "TEST_JUDGE_KEY", "--api-key-header", "api-key")
    run_here("describe_judge", "--model", "fake", "--base-url", where, *key, "--output", manifest)
    open_preference_model(manifest, Options(cache=tmp_path / "cache")).compare(pairs_of(2))
    assert {headers.get("api-key") for headers in fake_judge.headers} == {"sk-secret"}
    assert not any("Authorization" in headers for headers in fake_judge.headers)
    assert set(fake_judge.paths) == {"/v1/d/chat/completions?api-version=1"}
    assert "sk-secret" not in manifest.read_text()


def test_a_pair_that_the_judge_refuses_in_either_order_may_be_a_tie(run_here, fake_judge, tmp_path):
    manifest = tmp_path / "models/fake/manifest.json"
    pairs = pairs_of(4)
    fake_judge.behave = lambda attempt, prompt: (
        "filtered prompt"
        if "Question 2?" in prompt or ("Question 1?" in prompt and responses_of(prompt)[0] == "one 1")
        else "ok"
    )
    for refused in ("fail", "missing"):
        settings = ("--base-url", fake_judge.url, "--refused", refused, "--output", manifest)
        run_here("describe_judge", "--model", "fake", *settings)
        model = open_preference_model(manifest, Options(cache=tmp_path / "cache"))
        if refused == "fail":
            with pytest.raises(SystemExit, match="no judgement for"):
                model.compare(pairs)
    verdicts = model.compare(pairs)
    assert [logit == 0 for logit in verdicts.logits] == [False, True, True, False]
    assert verdicts.counts["refused"] == 2 and not verdicts.order_flips.any()


def test_a_judge_that_answers_nothing_ends_the_job_and_keeps_what_it_said(manifest, fake_judge, tmp_path):
    fake_judge.behave = lambda attempt, prompt: "wrong key"
    model = open_preference_model(manifest, Options(cache=tmp_path / "cache"))
    with pytest.raises(SystemExit, match="check the API key"):
        model.compare(pairs_of(2))


def test_certain_judgements_stay_finite():
    from dpo_stages.preferences.judge import _logit

    assert [_logit(1.0), -_logit(0.0)] == pytest.approx([math.log((1 - 1e-6) / 1e-6)] * 2)


def test_an_audit_that_breaks_off_or_wants_more_pairs_pays_for_the_missing_answers_alone(
    run_here, fake_judge, manifest, tmp_path
):
    prompts = [[{"role": "user", "content": f"Question {n}?"}] for n in range(12)]
    unknown = dict.fromkeys(field.name for field in PREFERENCES if field.nullable)
    rows = [
        {
            **unknown,
            "prompt_id": prompt_id(prompt),
            "prompt": prompt,
            "chosen": f"one {n}",
            "rejected": f"two {n}, longer",
        }
        | {"logit": 1.0, "chosen_first": True, "order_flip": False}
        for n, prompt in enumerate(prompts)
    ]
    write_table(tmp_path / "train.parquet", rows, PREFERENCES)
    output = tmp_path / "answers.parquet"
    command = [
        "ask_yardstick",
        "--preferences",
        tmp_path / "train.parquet",
        "--seed",
        0,
        "--preference-model",
        manifest,
    ]
    command += ["--cache", tmp_path / "cache", "--output", output, "--pairs"]
    fake_judge.behave = lambda attempt, prompt: "wrong key" if len(fake_judge.bodies) > 6 else "ok"
    with pytest.raises(SystemExit, match="what was answered is kept in"):
        run_here(*command, 5)
    assert not output.exists()
    fake_judge.behave = lambda attempt, prompt: "ok"

    def asked(pairs):
        run_here(*command, pairs)
        ledger = json.loads((tmp_path / "answers.ledger.json").read_text())
        return ledger["rows_out"], ledger["requests"] + ledger["from_cache"], ledger["from_cache"]

    pairs, answers, kept = asked(5)
    assert (pairs, answers) == (5, 10) and kept >= 1
    assert asked(5) == (5, 10, 10)
    assert asked(8) == (8, 16, 10)
