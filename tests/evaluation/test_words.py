"""Judges that answer in words, and prompts of one's own."""

import csv
import json
from contextlib import closing

import pytest
from fake_judge import quality, responses_of

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.evaluation.annotations import read_output_pairs
from dpo_stages.judges.alpaca_eval import PROMPT, read_annotator
from dpo_stages.judges.annotator import WeightedAnnotator
from dpo_stages.judges.answer_cache import AnswerCache
from dpo_stages.judges.answers import Completion, TryAgain, read_word
from dpo_stages.judges.endpoint import JudgeEndpoint, JudgeFailed, limit_of_answer
from dpo_stages.judges.judge import WORDS, Judge
from dpo_stages.judges.prompt import read_prompt
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.options import Options
from dpo_stages.preferences.pairs import Pair

IN_WORDS = ("--answers", "words", "--answer-tokens", 300)


def completion(text, finish_reason="stop", **message):
    return Completion({"message": message, "finish_reason": finish_reason}, "v1", 7, text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("m", "m"),
        ("M", "M"),
        (" **M**.\n", "M"),
        ("'m'", "m"),
        ("Model M is wordy.\n\nBest: `m`", "m"),
        ("<think>M, or m? I'd say m.</think>\nM", "M"),
        ("I'm sure that it is M.", "M"),
        ('{\n  "best": "m"\n}', "m"),
        ("```\nM\n```", "M"),
        ("_m_", "m"),
    ],
)
def test_the_name_in_the_last_line_is_the_answer(text, name):
    answer = read_word(completion(text))
    assert answer["logprobs"]["content"] == [{"top_logprobs": [{"token": name, "logprob": 0.0}]}]
    assert (answer["model"], answer["total_tokens"]) == ("v1", 7)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m is better than M",
        "M\nI am sure.",
        "I'm not sure",
        "mm",
        "<think>m",
        "<think>m</think>",
        "ｍ",
        "5ml",
        "them",
    ],
)
def test_an_answer_that_names_neither_or_both_is_none(text):
    with pytest.raises(TryAgain, match="does not end with m or M alone") as failure:
        read_word(completion(text))
    assert failure.value.unreadable and failure.value.refused and failure.value.answered


def test_of_an_answer_that_was_cut_nothing_but_a_bare_name_is_read():
    assert read_word(completion("M", "length"))["logprobs"]["content"][0]["top_logprobs"][0]["token"] == "M"
    with pytest.raises(TryAgain, match="does not end with"):
        read_word(completion("Let me see. Now m", "length"))
    with pytest.raises(TryAgain, match="the judge refused"):
        read_word(completion("I cannot.", refusal="I cannot."))


def judge(pairs, fake_judge, folder, how=None, **options):
    """Judge in words with delays made short; returns the preferences, the judge and what was used."""
    how = how or Judge("fake", answers=WORDS, answer_tokens=300)
    with closing(AnswerCache(folder)) as cache:
        endpoint = JudgeEndpoint(fake_judge.url, "fake", None, cache, ["test"], first_delay=0.01, **options)
        preferences, record = WeightedAnnotator(endpoint, "openai-compatible", how=how).judge(pairs)
    return preferences, record, endpoint.usage


def better(pair):
    """What the fake judge says of a pair, in both orders."""
    one, two = (quality(pair[name]) for name in ("output_1", "output_2"))
    return 1.5 if pair["output_1"] == pair["output_2"] else 1.0 if one > two else 2.0


def test_every_pair_is_asked_about_in_both_orders(make_evaluation, fake_judge, tmp_path):
    outputs, instructions, _ = make_evaluation(30)
    pairs = read_output_pairs(outputs, instructions)
    fake_judge.words = "<think>Both are fine, M even more.</think>\n\nBest: **{}**"
    preferences, record, usage = judge(pairs, fake_judge, tmp_path / "cache")
    assert preferences == [better(pair) for pair in pairs] and {1.0, 1.5, 2.0} == {*preferences}
    assert usage.requests == fake_judge.asked == 2 * 29 and usage.unreadable == 0
    asked = [tuple(responses_of(body["messages"][-1]["content"])) for body in fake_judge.bodies]
    assert {(second, first) for first, second in asked} == {*asked}
    for body in fake_judge.bodies:
        assert {key: body[key] for key in body if key != "messages"} == {
            "model": "fake", "max_tokens": 300, "temperature": 1,
        }  # fmt: skip
    assert record["prompt"] == f"{PROMPT}, in words and both orders" and record["version"] == "fake-v1"
    again, _, usage = judge(pairs, fake_judge, tmp_path / "cache")
    assert again == preferences and (usage.requests, usage.from_cache) == (0, 58)


def test_a_judge_that_goes_by_the_order_sees_ties(make_evaluation, fake_judge, tmp_path):
    outputs, instructions, _ = make_evaluation(12)
    fake_judge.behave = lambda attempt, prompt: "m is better"
    preferences, _, _ = judge(read_output_pairs(outputs, instructions), fake_judge, tmp_path / "cache")
    assert preferences == [1.5] * 12


def test_an_unreadable_answer_is_asked_for_again_and_then_fails_by_name(make_evaluation, fake_judge, tmp_path):
    outputs, instructions, _ = make_evaluation(12)
    pairs = read_output_pairs(outputs, instructions)
    fake_judge.behave = lambda attempt, prompt: "names both" if "Question 7:" in prompt and attempt < 3 else "ok"
    preferences, _, usage = judge(pairs, fake_judge, tmp_path / "cache")
    assert preferences == [better(pair) for pair in pairs] and (usage.requests, usage.unreadable) == (22 + 4, 4)
    fake_judge.behave = lambda attempt, prompt: "names both" if "Question 7:" in prompt else "ok"
    with pytest.raises(JudgeFailed, match=r"no judgement for 1 row \(index 7\): .*m beats M"):
        judge(pairs, fake_judge, tmp_path / "other")


def test_an_unreadable_answer_in_either_order_may_be_missing(make_evaluation, fake_judge, tmp_path):
    outputs, instructions, _ = make_evaluation(12)
    pairs = read_output_pairs(outputs, instructions)
    fake_judge.behave = lambda attempt, prompt: (
        "names both" if "Question 7:" in prompt and responses_of(prompt)[0] == pairs[7]["output_2"] else "ok"
    )
    preferences, _, usage = judge(pairs, fake_judge, tmp_path / "cache", skip_refused=True)
    assert preferences == [None if pair["index"] == 7 else better(pair) for pair in pairs]
    assert (usage.requests, usage.unreadable) == (22 + 2, 3)


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/deployments/d?api-version=1", "max_completion_tokens"),
        ("https://openai.com.example/v1", "max_tokens"),
        ("http://127.0.0.1:1/v1", "max_tokens"),
    ],
)
def test_the_limit_of_an_answer_has_the_name_that_the_endpoint_knows(url, field):
    assert limit_of_answer(url) == field


# Prompts

OWN = """<|im_start|>system
You are strict.
<|im_end|>
<|im_start|>user
Question: {instruction}
    "model_identifier": "m",
        "output": \"\"\"{output_1}\"\"\"
    "model_identifier": "M",
        "output": \"\"\"{output_2}\"\"\"
Which is shorter, m or M? Name it.
<|im_end|>
"""


@pytest.fixture
def prompt(tmp_path):
    def write(text=OWN):
        path = tmp_path / "prompt.txt"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_alpaca_evals_own_prompt_has_the_layout(prompt):
    _, template, _ = read_annotator()
    assert read_prompt(prompt(template)) == template and read_prompt(prompt(OWN)) == OWN


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{output_2}", "", r"prompt\.txt has \{output_2\} 0 times; a judge's prompt has each of \{instruction\}"),
        ("Question:", "Question: {instruction}", r"has \{instruction\} 2 times"),
        ("strict", "strict: {rubric}", r"has \{rubric\}, which nothing fills in"),
        ("<|im_start|>system", "system", "is not laid out as AlpacaEval's prompt"),
        (
            "You are strict.",
            "You are.<|im_end|>\n<|im_start|>assistant\nYes.",
            "is not laid out as AlpacaEval's prompt",
        ),
        ("M? Name it", "the other? Name it", None),
    ],
)
def test_a_prompt_that_cannot_be_asked_with_is_refused(prompt, old, new, message):
    text = OWN.replace(old, new, 1)
    if message is None:
        text, message = text.replace('"M"', '"N"'), "does not name both m and M"
    with pytest.raises(BadInput, match=message):
        read_prompt(prompt(text))


def test_a_judge_is_asked_with_a_prompt_of_ones_own(make_evaluation, fake_judge, tmp_path):
    outputs, instructions, _ = make_evaluation(12)
    pairs = read_output_pairs(outputs, instructions)
    names = set()
    for text in (OWN, OWN.replace("strict", "kind")):
        how = Judge("fake", answers=WORDS, answer_tokens=5, prompt=text)
        preferences, record, usage = judge(pairs, fake_judge, tmp_path / "cache", how)
        assert preferences == [better(pair) for pair in pairs] and usage.from_cache == 0
        names.add(record["prompt"])
    assert len(names) == 2 and all(name.startswith("a prompt of the study's own, ") for name in names)
    system, user = fake_judge.bodies[0]["messages"]
    assert system["content"] == "You are strict." and user["content"].startswith("Question: Question ")
    assert user["content"].endswith("Which is shorter, m or M? Name it.")


# The programs


def test_outputs_are_judged_in_words_by_the_workflows_program(make_evaluation, fake_judge, tmp_path, prompt, run_here):
    outputs, instructions, _ = make_evaluation(12)
    pairs = read_output_pairs(outputs, instructions)
    fake_judge.behave = lambda attempt, text: "names both" if "Question 7:" in text else "ok"
    settings = ["--judge-model", "fake", "--base-url", fake_judge.url, "--api-key-variable", "none"]
    settings += ["--cents-per-million-tokens", 200, "--refused", "missing", *IN_WORDS, "--prompt", prompt()]
    files = ["--outputs", outputs, "--instructions", instructions, "--cache", tmp_path / "cache"]
    run_here("judge_outputs", *settings, *files, "--output", tmp_path / "annotations.json")
    found = read_json(tmp_path / "annotations.json")
    assert [row["preference"] for row in found] == [None if pair["index"] == 7 else better(pair) for pair in pairs]
    ledger = read_json(tmp_path / "annotations.ledger.json")
    assert ledger["dropped"] == {"refused": 1} and ledger["unreadable"] == 6 and "own, " in ledger["judge"]
    with pytest.raises(BadInput, match="--answers words and --answer-tokens belong together"):
        run_here("judge_outputs", *settings[:-4], *files, "--output", tmp_path / "other.json")


def test_a_judge_in_words_is_a_preference_model(fake_judge, tmp_path, prompt, run_here):
    manifest = tmp_path / "models/fake/manifest.json"
    settings = [
        "--model",
        "fake",
        "--base-url",
        fake_judge.url,
        "--refused",
        "missing",
        *IN_WORDS,
        "--prompt",
        prompt(),
    ]
    run_here("describe_judge", *settings, "--output", manifest)
    assert read_json(manifest)["prompt"] == OWN  # another prompt is another manifest
    pairs = [Pair([{"role": "user", "content": f"Question {n}?"}], f"one {n}", f"two {n}, longer") for n in range(8)]
    fake_judge.behave = lambda attempt, text: "names both" if "Question 3?" in text else "ok"
    verdicts = open_preference_model(manifest, Options(cache=tmp_path / "cache")).compare(pairs)
    signs = [0 if n == 3 else 1 if quality(p.response_1) > quality(p.response_2) else -1 for n, p in enumerate(pairs)]
    assert [(logit > 0) - (logit < 0) for logit in verdicts.logits.tolist()] == signs
    assert not verdicts.order_flips.any() and verdicts.counts["refused"] == 1 and verdicts.counts["requests"] == 20
    fake_judge.behave = lambda attempt, text: "m is better"
    ordered = open_preference_model(manifest, Options(cache=tmp_path / "other")).compare(pairs)
    assert (ordered.logits == 0).all() and ordered.order_flips.all()


def test_table_9_says_how_a_judge_is_asked_in_words(tmp_path, prompt, run_here):
    flags = ["--kind", "endpoint", "--model", "fake", *IN_WORDS, "--prompt", prompt(), "--csv", tmp_path / "t.csv"]
    run_here("make_table9", *flags)
    rows, text = list(csv.DictReader((tmp_path / "t.csv").open(newline=""))), (tmp_path / "t.md").read_text()
    assert rows[0]["content"] == "You are strict." and "max_tokens 300" in text and "top_logprobs" not in text
    assert "one in each order" in text and "study's own" in text and "make_partial_leaderboard" not in text


def test_a_manifest_without_these_settings_is_of_log_probabilities():
    judge = Judge.from_manifest(json.loads('{"model": "fake", "kind": "judge", "files": {}}'))
    assert (judge.answers, judge.answer_tokens, judge.prompt, judge.in_words) == ("logprobs", 1, None, False)
