"""What of a response is its thought, and what is shown of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpo_stages.data.thoughts import HIDE, SHOW, answer, count_thoughts, opens_thought, shown, whole, whole_responses


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("<think>\nIt has whiskers.\n</think>\n\nA cat.", "A cat."),
        ("<think></think>A cat. \n", "A cat. \n"),  # white space behind the answer is the answer's
        ("It has whiskers.\n</think>\n\nA cat.", "A cat."),  # of a data set, without the part that a prompt began
        ("<think>a<think>b</think>c</think>d", "d"),  # one inside another
        ("<think>a</think>b<think>c</think> d", "d"),  # thinking again
        ("<think>a</think>b<think>c", "b<think>c"),
        ("<think>It has whis", ""),  # cut
        (" \n<think>It has whis", ""),
        ("<think>all of it</think>", ""),
        ("<think>all of it</think> \n", ""),
        ("Write <think> where a thought begins.", "Write <think> where a thought begins."),
        ("< think >a</ think >b", "< think >a</ think >b"),
        ("<THINK>a", "<THINK>a"),
        ("", ""),
        ("  A cat.  ", "  A cat.  "),
    ],
)
def test_the_answer_is_what_follows_the_thought(response, expected):
    assert answer(response) == expected == shown(response, HIDE)
    assert shown(response, SHOW) is response
    if "</think>" not in response and expected:
        assert answer(response) is response


@given(st.text())
def test_a_response_without_tags_is_the_very_same(response):
    if "think>" not in response:
        assert answer(response) is response


@given(st.lists(st.sampled_from(["<think>", "</think>", " ", "\n", "a", "b "]), max_size=8).map("".join))
def test_an_answer_is_the_end_of_its_response_and_has_no_thought(response):
    said = answer(response)
    assert response.endswith(said) and "</think>" not in said


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("<|user|>why<|assistant|><think>\n", True),
        ("<|user|>why<|assistant|><think>", True),
        ("<|user|>what is <think><|assistant|>", False),
        ("<|assistant|><think>\n\n</think>\n\n", False),  # Qwen3 with enable_thinking: false
        ("", False),
    ],
)
def test_a_prompt_may_open_the_thought(prompt, expected):
    assert opens_thought(prompt) is expected


def test_a_thought_that_the_prompt_opened_is_one_when_it_is_cut_too():
    assert answer(whole("It has whis", True)) == ""
    assert answer(whole("It has whiskers.</think>A cat.", True)) == "A cat."
    for unopened in (False, None):
        assert answer(whole("It has whis", unopened)) == "It has whis"
    row = {"response_1": "It has whis", "response_2": "a</think>b", "opens_thought": True}
    assert [answer(text) for text in whole_responses(row)] == ["", "b"]


def test_thoughts_and_empty_answers_are_counted():
    responses = ["A cat.", "", "<think>a</think>b", "<think>a", "<think>a</think> "]
    assert count_thoughts(responses, HIDE) == {"thoughts": 3, "empty_answers": 2}
    assert count_thoughts(responses, SHOW) == {"thoughts": 3, "empty_answers": 0}
