"""Adapters: what a record becomes, what is dropped by which rule, and what is refused with which words."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpo_stages.core.errors import BadInput
from dpo_stages.data.adapters import adapt, keep_subset
from dpo_stages.data.prompts import prompt_id


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def pair(prompt="Why?", chosen="Because.", rejected="No."):
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def scored(prompt="Why?", **scores):
    return {"prompt": prompt, "responses": [{"text": text, "score": score} for text, score in scores.items()]}


def rows(records, kind="preferences", adapter="local", seed=0):
    return adapt(records, adapter, kind, seed, "data").rows


def dropped(records, kind="preferences", adapter="local"):
    """Reasons with a count, in a data set that has one usable record besides."""
    usable = {
        "preferences": pair("Usable?", "Yes.", "No."),
        "chat": {"messages": [user("Usable?"), assistant("Yes.")]},
        "instructions": {"instruction": "Usable?", "output": "Yes."},
    }[kind]
    adapted = adapt([usable, *records], adapter, kind, 0, "data")
    assert adapted.records == len(adapted.rows) + sum(adapted.dropped.values())
    return {reason: count for reason, count in adapted.dropped.items() if count}


# Preferences


def test_a_pair_of_texts():
    assert rows([pair()]) == [
        {
            "prompt_id": prompt_id([user("Why?")]),
            "prompt": [user("Why?")],
            "response_1": "Because.",
            "response_2": "No.",
            "original_preference": 1,
        }
    ]


CONTEXT = [{"role": "system", "content": "Be brief."}, user("Hi"), assistant("Hello"), user("Why?")]


@pytest.mark.parametrize(
    "record",
    [
        pair(prompt=CONTEXT),
        pair(CONTEXT, [assistant("Because.")], [assistant("No.")]),
        pair(CONTEXT, [*CONTEXT, assistant("Because.")], [*CONTEXT, assistant("No.")]),
        pair(CONTEXT, "Because.", [*CONTEXT, assistant("No.")]),
        {"chosen": [*CONTEXT, assistant("Because.")], "rejected": [*CONTEXT, assistant("No.")]},
        pair(None, [*CONTEXT, assistant("Because.")], [*CONTEXT, assistant("No.")]),
        pair([{**turn, "name": "ignored"} for turn in CONTEXT]),
    ],
)
def test_every_way_to_write_the_same_pair_gives_the_same_row(record):
    assert rows([record]) == rows([pair(prompt=CONTEXT)])


def test_the_best_score_is_chosen_and_a_random_other_rejected():
    records = [scored(f"Question {i}", a=1, b=4.5, c=3, d=2) for i in range(400)]
    made = rows(records)
    assert {row["response_1"] for row in made} == {"b"}
    counts = {text: sum(row["response_2"] == text for row in made) for text in "acd"}
    assert sum(counts.values()) == 400
    assert all(90 < count < 180 for count in counts.values()), counts  # 133 expected, sd 9.4


def test_the_rejected_response_follows_from_seed_and_prompt_alone():
    records = [scored(f"Question {i}", a=1, b=4.5, c=3, d=2) for i in range(100)]
    by_prompt = {row["prompt_id"]: row for row in rows(records)}
    shuffled = random.Random(1).sample(records, 50)
    assert all(by_prompt[row["prompt_id"]] == row for row in rows(shuffled))
    assert rows(records, seed=1) != rows(records)


def test_of_several_best_scores_the_first_is_chosen_and_a_tied_pair_has_no_label():
    made = rows([scored(f"Question {i}", a=1, b=3, c=3) for i in range(100)])
    assert {row["response_1"] for row in made} == {"b"}
    assert {(row["response_2"], row["original_preference"]) for row in made} == {("a", 1), ("c", None)}


def test_the_rejected_response_never_has_the_chosen_ones_text_and_empty_ones_do_not_take_part():
    responses = [{"text": text, "score": score} for text, score in [("b", 9), ("b", 1), (" ", 99), ("a", 1)]]
    made = rows([{"prompt": f"Question {i}", "responses": responses} for i in range(20)])
    assert {(row["response_1"], row["response_2"]) for row in made} == {("b", "a")}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (pair(prompt="  \n"), "empty prompt"),
        (pair(prompt=[user("Hi"), assistant("Hello"), user("")]), "empty prompt"),
        (scored("", a=1, b=2), "empty prompt"),
        (pair(chosen=""), "empty response"),
        (pair(rejected=" \t"), "empty response"),
        ({"prompt": "Why?", "responses": [{"text": "a", "score": 1}, {"text": "", "score": 0}]}, "empty response"),
        (pair(chosen="Same.", rejected="Same."), "identical responses"),
        (scored("Why?", only=1), "identical responses"),
        (scored("Why?"), "identical responses"),
        (pair("Usable?", "Another.", "Answer."), "duplicate prompt"),
        (pair([user("Usable?")], "Another.", "Answer."), "duplicate prompt"),
    ],
)
def test_what_cannot_be_used_is_dropped_and_counted(record, reason):
    assert dropped([record]) == {reason: 1}


def test_the_first_usable_record_of_a_prompt_stays_in_its_place():
    records = [pair("A", "", "x"), pair("B", "b1", "b2"), pair("A", "a1", "a2"), pair("A", "late", "later")]
    assert [row["response_1"] for row in rows(records)] == ["b1", "a1"]


def test_texts_are_kept_as_they_are():
    odd = " \x00 tab\t e\u0301 \U0001f600 <|endoftext|>\r\n"
    [row] = rows([pair(odd, odd + "1", odd + "2")])
    assert (row["prompt"][0]["content"], row["response_1"], row["response_2"]) == (odd, odd + "1", odd + "2")


def test_ultrafeedback():
    record = {
        "prompt": "Why?",
        "prompt_id": "theirs",
        "chosen": [user("Why?"), assistant("Because.")],
        "rejected": [user("Why?"), assistant("No.")],
        "messages": [user("Why?"), assistant("Because.")],
        "score_chosen": 8.0,
        "score_rejected": 6.5,
    }
    assert rows([record], adapter="ultrafeedback_binarized") == rows([pair()])
    tied = {**record, "score_rejected": 8.0}
    assert rows([tied], adapter="ultrafeedback_binarized")[0]["original_preference"] is None


# Conversations and instructions


def test_conversations():
    messages = [*CONTEXT, assistant("Because.")]
    expected = [{"prompt_id": prompt_id(CONTEXT), "messages": messages}]
    assert rows([{"messages": messages, "prompt": "ignored"}], "chat") == expected
    assert rows([{"messages": messages}], "chat", "ultrachat_200k") == expected
    assert rows([{"prompt": CONTEXT, "response": "Because."}], "chat") == expected


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([user(""), assistant("Yes.")], "empty prompt"),
        ([user("Hi"), assistant(" ")], "empty response"),
        ([user("Hi"), assistant(""), user("Hi?"), assistant("Yes.")], "empty response"),
        ([user("Hi"), assistant("Yes."), user("Really?")], "unfinished"),
        ([assistant("Yes.")], "unfinished"),
        ([user("Hi"), assistant("Well"), assistant("Yes.")], "unfinished"),
        ([user("Usable?"), assistant("Yes, again.")], "duplicate prompt"),
    ],
)
def test_conversations_that_cannot_be_used(messages, reason):
    assert dropped([{"messages": messages}], "chat") == {reason: 1}


def test_instructions_keep_their_place_in_the_published_set():
    records = [
        {"instruction": "One", "output": "1", "subset": "s"},
        {"instruction": " ", "output": "2"},
        {"instruction": "One", "output": "again"},
        {"instruction": "Two", "output": "2"},
    ]
    made = rows(records, "instructions")
    assert [(row["index"], row["instruction"], row["reference"], row["subset"]) for row in made] == [
        (0, "One", "1", "s"),
        (3, "Two", "2", ""),
    ]
    assert made[0]["prompt"] == [user("One")]


def test_alpaca_eval():
    record = {"instruction": "One", "output": "1", "dataset": "koala", "generator": "gpt4_1106_preview"}
    [row] = rows([record], "instructions", "alpaca_eval")
    assert (row["index"], row["subset"], row["reference"]) == (0, "koala", "1")


# What is refused


@pytest.mark.parametrize(
    ("kind", "record", "words"),
    [
        ("preferences", {}, "has neither chosen and rejected nor responses; it has nothing"),
        ("preferences", {"prompt": "Why?", "chosen": "a"}, "it has prompt, chosen"),
        ("preferences", {"chosen": "a", "rejected": "b"}, "lacks prompt"),
        ("preferences", pair(prompt=None), "prompt is empty; a list of turns"),
        ("preferences", pair(prompt=3), "prompt is a number"),
        ("preferences", pair(prompt=[]), "prompt is an empty list"),
        ("preferences", pair(prompt=["Why?"]), "prompt, turn 1 is no object with role and content"),
        ("preferences", pair(prompt=[{"role": "human", "content": "Why?"}]), "the role 'human'"),
        ("preferences", pair(prompt=[{"role": ["user"], "content": "Why?"}]), "the role ['user']"),
        ("preferences", pair(prompt=[{"role": "user", "content": None}]), "prompt, turn 1, content is empty"),
        ("preferences", pair(prompt=[user("Why?"), assistant("So.")]), "must end with a turn of the user"),
        ("preferences", pair(chosen=1.5), "chosen is a number"),
        ("preferences", pair(rejected=True), "rejected is true"),
        ("preferences", pair(chosen={"text": "a"}), "chosen is an object"),
        ("preferences", pair(chosen=[user("Why?")]), "chosen must end with a turn of the assistant"),
        ("preferences", pair(chosen=[user("Who?"), assistant("I.")]), "chosen does not begin with prompt"),
        ("preferences", {"chosen": [assistant("a")], "rejected": [assistant("b")]}, "in a record without prompt"),
        (
            "preferences",
            {"chosen": [user("A"), assistant("a")], "rejected": [user("B"), assistant("b")]},
            "do not answer the same prompt",
        ),
        ("preferences", pair(prompt="half \ud83d a smile"), "prompt holds half a character"),
        ("preferences", {"prompt": "Why?", "responses": "a"}, "responses is a text"),
        ("preferences", {"prompt": "Why?", "responses": ["a", 3]}, "responses, number 2 is a number"),
        ("preferences", {"prompt": "Why?", "responses": [{"score": 1}]}, "responses, number 1 is no object"),
        ("preferences", {"prompt": "Why?", "responses": [{"text": "a"}, {"text": "b", "score": 1}]}, "is no object"),
        ("preferences", scored(a="9", b=1), "score is a text"),
        ("preferences", scored(a=True, b=1), "score is true"),
        ("preferences", scored(a=None, b=1), "score is empty"),
        ("preferences", scored(a=1, b=float("nan")), "number 2, score is nan"),
        ("preferences", scored(a=float("inf"), b=1), "number 1, score is inf"),
        ("chat", {"text": "Hi"}, "has neither messages nor prompt and response; it has text"),
        ("chat", {"messages": "Hi"}, "messages is a text"),
        ("chat", {"messages": [{"from": "user", "value": "Hi"}]}, "messages, turn 1 is no object"),
        ("chat", {"prompt": "Hi", "response": None}, "response is empty"),
        ("instructions", {"output": "1"}, "lacks instruction"),
        ("instructions", {"instruction": "One"}, "lacks output"),
        ("instructions", {"instruction": ["One"], "output": "1"}, "instruction is a list"),
        ("instructions", {"instruction": "One", "output": "1", "subset": 3}, "subset is a number"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(kind, record, words):
    usable = {"preferences": pair(), "chat": {"messages": [user("a"), assistant("b")]}}
    first = usable.get(kind, {"instruction": "a", "output": "b"})
    with pytest.raises(BadInput) as refused:
        rows([first, record], kind)
    assert str(refused.value).startswith("data, record 2: ")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_data_set_without_a_usable_row_is_refused():
    with pytest.raises(BadInput, match=r"no record that can be used \(1 empty prompt, 1 identical responses\)"):
        rows([pair(prompt=""), pair(chosen="a", rejected="a")])
    with pytest.raises(BadInput, match="none at all"):
        rows([])


@pytest.mark.parametrize(
    ("adapter", "kind", "words"),
    [
        ("ultrachat_200k", "preferences", "the adapter ultrachat_200k reads chat, not preferences"),
        ("hub", "chat", "there is no adapter hub; choose one of local, ultrafeedback_binarized"),
    ],
)
def test_an_adapter_reads_its_own_kind(adapter, kind, words):
    with pytest.raises(BadInput, match=words):
        rows([pair()], kind, adapter)


def test_the_last_usable_record_of_a_prompt_takes_the_place_of_the_first_on_request():
    records = [pair("A", "a1", "a2"), pair("B"), pair("A", "late", "later"), pair("A", "same", "same")]
    adapted = adapt(records, "local", "preferences", 0, "data", duplicates="last")
    assert [row["response_1"] for row in adapted.rows] == ["late", "Because."]
    assert (adapted.dropped["duplicate prompt"], adapted.dropped["identical responses"]) == (1, 1)


def test_prompts_of_dropped_records_count_and_each_counts_once():
    records = [pair("A"), pair("A", "x", "y"), pair("A", "", "y"), pair("B", "x", "x"), pair(" "), pair("C", "", "x")]
    assert adapt(records, "local", "preferences", 0, "data").prompts == 4
    assert keep_subset(adapt([pair("A"), pair("B")], "local", "preferences", 0, "data"), 1, 0).prompts == 2
    unfinished = {"messages": [user("A")]}
    assert adapt([unfinished, {"messages": [user("B"), assistant("b")]}], "local", "chat", 0, "data").prompts == 1


# Subsets


def test_a_smaller_subset_is_contained_in_a_larger_one_and_keeps_the_order():
    adapted = adapt([pair(f"Question {i}") for i in range(50)], "local", "preferences", 0, "data")
    subsets = [keep_subset(adapted, limit, seed=3) for limit in (1, 10, 49, 50, 51)]
    assert [len(subset.rows) for subset in subsets] == [1, 10, 49, 50, 50]
    assert [subset.dropped["beyond the limit"] for subset in subsets] == [49, 40, 1, 0, 0]
    for smaller, larger in zip([*subsets, adapted], [*subsets[1:], adapted, adapted], strict=True):
        assert [row for row in larger.rows if row in smaller.rows] == smaller.rows
    assert keep_subset(adapted, 10, seed=4).rows != subsets[1].rows
    assert keep_subset(adapted, None, seed=3) is adapted


def test_a_subset_does_not_depend_on_the_order_of_the_records():
    records = [pair(f"Question {i}") for i in range(50)]
    first, second = (
        keep_subset(adapt(some, "local", "preferences", 0, "data"), 10, seed=3) for some in (records, records[::-1])
    )
    assert first.rows == second.rows[::-1]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=2), st.text(max_size=2)), min_size=1, max_size=12))
def test_rows_and_drops_add_up(texts):
    try:
        adapted = adapt([pair(*text) for text in texts], "local", "preferences", 0, "data")
    except BadInput:
        return
    assert adapted.records == len(texts) == len(adapted.rows) + sum(adapted.dropped.values())
    identifiers = [row["prompt_id"] for row in adapted.rows]
    assert len(set(identifiers)) == len(identifiers)


# What belongs to a prompt


def test_a_system_column_is_a_turn_and_makes_another_prompt():
    records = [{"system": text, **pair(prompt="Name a colour.")} for text in ("Be a pirate.", "Be brief.", "", None)]
    pirate, brief, plain = rows(records)
    assert pirate["prompt"] == [{"role": "system", "content": "Be a pirate."}, user("Name a colour.")]
    assert brief["prompt_id"] != pirate["prompt_id"] and plain["prompt"] == [user("Name a colour.")]
    (chat,) = rows([{"system_prompt": "Be brief.", "messages": [user("a"), assistant("b")]}], "chat")
    assert [turn["role"] for turn in chat["messages"]] == ["system", "user", "assistant"]
    (same,) = rows(
        [{"system": "S", "prompt": [{"role": "system", "content": "S"}, user("a")], "chosen": "b", "rejected": "c"}]
    )
    assert len(same["prompt"]) == 2


def test_an_input_column_follows_the_instruction():
    records = [{"instruction": "Translate.", "input": text, "output": "x"} for text in ("the cat", "the dog", "")]
    cat, dog, none = rows(records, "instructions")
    assert (cat["instruction"], none["instruction"]) == ("Translate.\n\nthe cat", "Translate.")
    assert cat["prompt"] == [user("Translate.\n\nthe cat")] and dog["prompt_id"] != cat["prompt_id"]
    (asked,) = rows([{"input": "the cat", **pair(prompt="Translate.")}])
    assert asked["prompt"] == [user("Translate.\n\nthe cat")]


@pytest.mark.parametrize(
    ("kind", "record", "words"),
    [
        (
            "preferences",
            {"history": [["a", "b"]], **pair()},
            "history holds [['a', 'b']], which would change the prompt",
        ),
        ("chat", {"tools": "[{}]", "messages": [user("a"), assistant("b")]}, "tools holds '[{}]'"),
        ("preferences", {"system": 3, **pair()}, "system is a number"),
        (
            "preferences",
            {"system": "S", "prompt": [{"role": "system", "content": "T"}, user("a")], "chosen": "b", "rejected": "c"},
            "system differs from the conversation's own system turn",
        ),
        ("preferences", {"input": "x", **pair(prompt=[user("a"), assistant("b"), user("c")])}, "a prompt of one turn"),
        ("instructions", {"system": "S", "instruction": "a", "output": "b"}, "a judge is not shown"),
    ],
)
def test_what_cannot_join_a_prompt_stops_the_run(kind, record, words):
    with pytest.raises(BadInput) as refused:
        rows([record], kind)
    assert words in str(refused.value)


def test_every_adapter_refuses_answers_to_different_prompts():
    feedback = {"chosen": [user("a"), assistant("b")], "rejected": [user("A"), assistant("c")]}
    with pytest.raises(BadInput, match="do not answer the same prompt"):
        adapt([feedback], "ultrafeedback_binarized", "preferences", 0, "data")


def test_a_conversation_that_begins_with_the_assistant_is_dropped_and_counted():
    good = {"messages": [user("a"), assistant("b")]}
    first = {"messages": [assistant("Hello!"), user("a"), assistant("b")]}
    system = {"messages": [{"role": "system", "content": "S"}, *first["messages"]]}
    adapted = adapt([first, system, good], "local", "chat", 0, "data")
    assert len(adapted.rows) == 1 and adapted.dropped["begins with assistant"] == 2
    asked = [pair(), pair(prompt=[assistant("Hello!"), user("a")])]
    assert adapt(asked, "local", "preferences", 0, "data").dropped["begins with assistant"] == 1


def test_columns_that_nothing_reads_are_named_and_empty_ones_are_absent():
    records = [{**pair(prompt=f"{n}"), "id": n, "note": "", "source": None, "responses": None} for n in range(3)]
    assert adapt(records, "local", "preferences", 0, "data").unused == ["id"]
    both = [
        {"messages": None, "prompt": "a", "response": "b"},
        {"messages": [user("c"), assistant("d")], "prompt": None},
    ]
    assert len(rows(both, "chat")) == 2
