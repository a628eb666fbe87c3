"""Every form in docs/data.md becomes what the table there says."""

import json
import re

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data import schemas
from dpo_stages.data.adapters import adapt, rows_of, understand
from dpo_stages.data.local_files import read_local
from dpo_stages.data.shown import counted, shown


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": "S"}
YES, NO = [assistant("Yes.")], [assistant("No.")]
HUMAN = "\n\nHuman: Why?\n\nAssistant:"

# Of each form a record, or the records of one prompt, and what the pair is; how the ledger calls it; a sentence where it is refused.
FORMS = {
    "pairs": ({"prompt": "Why?", "chosen": "Yes.", "rejected": "No."}, "prompt, chosen, rejected"),
    "conversations": ({"chosen": [user("Why?"), *YES], "rejected": [user("Why?"), *NO]}, "chosen, rejected"),
    "hh-rlhf": (
        {"chosen": f"{HUMAN} Yes.", "rejected": f"{HUMAN} No."},
        "chosen, rejected, in dialogues of Human and Assistant",
    ),
    "hh-rlhf with a prompt": (
        {"prompt": HUMAN, "chosen": " Yes.", "rejected": " No."},
        "prompt, chosen, rejected, in dialogues of Human and Assistant",
    ),
    "Orca": ({"system": "S", "question": "Why?", "chosen": "Yes.", "rejected": "No."}, "question, chosen, rejected"),
    "Alpaca": (
        {"instruction": "Why?", "input": "", "chosen": "Yes.", "rejected": "No."},
        "instruction, chosen, rejected",
    ),
    "Argilla": (
        {"instruction": "Why?", "chosen_response": "Yes.", "rejected_response": "No."},
        "instruction, chosen_response, rejected_response",
    ),
    "OpenAI": (
        {"input": {"messages": [user("Why?")], "tools": []}, "preferred_output": YES, "non_preferred_output": NO},
        "input, preferred_output, non_preferred_output",
    ),
    "scored responses": (
        {"prompt": "Why?", "responses": [{"response": "No.", "score": 1}, {"response": "Yes.", "score": 2}]},
        "prompt, responses by score",
    ),
    "scores beside them": (
        {"prompt": "Why?", "responses": ["No.", "Yes."], "scores": [0.5, 1]},
        "prompt, responses by scores",
    ),
    "UltraFeedback": (
        {
            "instruction": "Why?",
            "completions": [
                {"model": "a", "response": "No.", "overall_score": 8.0, "fine-grained_score": 5.0},
                {"model": "b", "response": "Yes.", "overall_score": 8.5, "fine-grained_score": 1.0},
            ],
        },
        "instruction, completions by overall_score",
    ),
    "Nectar": (
        {"prompt": f"{HUMAN} ", "answers": [{"answer": "No.", "rank": 2.0}, {"answer": "Yes.", "rank": 1.0}]},
        "prompt, answers by rank (1 is best), in dialogues of Human and Assistant",
    ),
    "rated rows": (
        [
            {"prompt": "Why?", "response": "No.", "helpfulness": 1, "correctness": 4},
            {"prompt": "Why?", "response": "Yes.", "helpfulness": 3, "correctness": 0},
        ],
        "prompt, response by helpfulness, the rows of a prompt together",
    ),
    "responses alone": ({"prompt": "Why?", "responses": ["Yes.", "No."]}, "prompt, responses without scores"),
    "KTO": ({"prompt": "Why?", "completion": "Yes.", "label": True}, "looks like single responses with a label (KTO)"),
    "other names": ({"user_query": "Why?", "good": "Yes.", "bad": "No."}, "it has user_query, good, bad"),
}
REFUSED = ("KTO", "other names")


def records_of(name):
    some = FORMS[name][0]
    return some if isinstance(some, list) else [some]


def test_the_table_has_these_forms(root):
    text = (root / "docs/data.md").read_text()
    assert re.findall(r"^\| ([^|]+?) \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)[1:] == list(FORMS)


@pytest.mark.parametrize("name", [name for name in FORMS if name not in REFUSED])
@pytest.mark.parametrize("adapter", ["local", "auto"])
def test_a_form_becomes_the_pair(name, adapter):
    adapted = adapt(records_of(name), adapter, "preferences", 0, "data")
    (row,) = adapted.rows
    assert row["prompt"] == ([SYSTEM] if name == "Orca" else []) + [user("Why?")]
    assert (row["response_1"], row["response_2"]) == ("Yes.", "No.")
    assert row["original_preference"] == (None if name == "responses alone" else 1)
    assert adapted.forms == {FORMS[name][1]: 1}
    assert adapted.records == 1 + sum(adapted.dropped.values())


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_preference_is_refused_with_what_it_looks_like(name):
    with pytest.raises(BadInput) as refused:
        adapt(records_of(name), "local", "preferences", 0, "data")
    assert FORMS[name][1] in str(refused.value) and "\n" not in str(refused.value)


def test_rows_of_a_prompt_belong_together_wherever_they_stand():
    rows = [
        {"prompt": f"{prompt}?", "response": f"{prompt}{score}", "score": score} for score, prompt in enumerate("abcab")
    ]
    adapted = adapt(rows, "local", "preferences", 0, "data")
    assert [(row["response_1"], row["response_2"]) for row in adapted.rows] == [("a3", "a0"), ("b4", "b1")]
    counts = {reason: count for reason, count in adapted.dropped.items() if count}
    assert counts == {"joined to its prompt": 2, "no second response": 1} and adapted.prompts == 3


@pytest.mark.parametrize(("scores", "label", "kept"), [((8.5, 8.5), None, [0.0, 0.0]), ((9.0, 4), 1, [1.0, 0.0])])
def test_a_pair_of_equal_scores_has_no_label(scores, label, kept):
    record = {"prompt": "Why?", "chosen": "Yes.", "rejected": "No."}
    record |= dict(zip(("score_chosen", "score_rejected"), scores, strict=True))
    adapted = adapt([record], "local", "preferences", 0, "here")
    assert (adapted.rows[0]["original_preference"], adapted.unused) == (label, [])
    [group] = adapt([record], "local", "preferences", 0, "here", responses="all").rows
    assert group["original_scores"] == kept


def test_ratings_of_two_kinds_are_not_compared():
    mixed = [{"prompt": "a", "response": "x", "score": 1}, {"prompt": "a", "response": "y", "helpfulness": 4}]
    with pytest.raises(BadInput, match="record 2: its rating is helpfulness, and that of an earlier .* prompt score"):
        adapt(mixed, "local", "preferences", 0, "data")


def test_a_table_of_text_has_its_ratings_as_texts():
    rows = [{"prompt": "a", "response": text, "score": score} for text, score in (("x", "10"), ("y", "9.5"))]
    assert adapt(rows, "local", "preferences", 0, "data").rows[0]["response_1"] == "x"
    with pytest.raises(BadInput, match="score is 'high'; a number is expected"):
        adapt([{**rows[0], "score": "high"}], "local", "preferences", 0, "data")


@pytest.mark.parametrize(
    "broken",
    [
        {"chosen": f"{HUMAN} Yes.\n\nAssistant: Yes.", "rejected": f"{HUMAN} No."},
        {"chosen": f"{HUMAN} Yes.", "rejected": f"{HUMAN} No.\n\nHuman: Really?\n\nAssistant: No."},
        {"chosen": f"{HUMAN} Yes.\n\nHuman: Really?", "rejected": f"{HUMAN} Yes.\n\nHuman: No?"},
        {"prompt": f"\n\nHuman: Hi{HUMAN}", "chosen": "Yes.", "rejected": "No."},
    ],
)
def test_dialogues_that_do_not_hold_are_dropped_and_counted(broken):
    adapted = adapt([*records_of("hh-rlhf"), broken], "local", "preferences", 0, "data")
    assert len(adapted.rows) == 1 and adapted.dropped["broken dialogue"] == 1


def test_a_dialogue_of_several_turns_and_a_prompt_that_only_quotes_one():
    talk = "\n\nHuman: Hi\n\nAssistant: Hello\nthere\n\nHuman: Why?\n\nAssistant: "
    (row,) = adapt([{"chosen": f"{talk}Yes.", "rejected": f"{talk}No."}], "local", "preferences", 0, "data").rows
    assert row["prompt"] == [user("Hi"), assistant("Hello\nthere"), user("Why?")]
    quoted = "Human: Hi\n\nAssistant: Hello\n\nWhat comes next?"
    (row,) = adapt([{"prompt": quoted, "chosen": " Yes.", "rejected": "No."}], "local", "preferences", 0, "data").rows
    assert row["prompt"] == [user(quoted)] and row["response_1"] == " Yes."


def test_turns_before_the_prompt_are_part_of_it():
    before = [SYSTEM, user("Hi"), assistant("Hello"), user("Why?")]
    record = {"prompt": "Why?", "chosen": [*before, *YES], "rejected": [*before, *NO]}
    (row,) = adapt([record], "local", "preferences", 0, "data").rows
    assert row["prompt"] == before


def test_columns_are_taken_under_the_names_that_are_given():
    columns = {"prompt": "user_query", "chosen": "good", "rejected": "bad"}
    record = {**records_of("other names")[0], "prompt": "another"}
    adapted = adapt([record], "local", "preferences", 0, "data", columns=columns)
    assert adapted.rows == adapt(records_of("pairs"), "local", "preferences", 0, "data").rows
    assert adapted.unused == ["prompt"]  # which is hidden by the one that was named
    better = adapt(records_of("rated rows"), "local", "preferences", 0, "data", columns={"score": "correctness"})
    assert better.rows[0]["response_1"] == "No."
    with pytest.raises(BadInput, match="record 1: lacks good, which `columns` names for chosen; it has prompt"):
        adapt(records_of("pairs"), "local", "preferences", 0, "data", columns=columns | {"prompt": "prompt"})


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"prompt": "a", "response": "b"}, "looks like single responses without a score"),
        ({"conversations": [user("a")]}, "looks like conversations without a preference"),
        ({"prompt": "a", "responses": ["b", "c"], "scores": [1]}, "scores is a list of 1; a number for each of the 2"),
        (
            {"input": {"messages": [user("a")], "tools": [1]}, "preferred_output": YES, "non_preferred_output": NO},
            "tools",
        ),
        ({"prompt": "a", "answers": [{"answer": "b", "rank": 1}, {"answer": "c", "rank": None}]}, "rank is empty"),
        ({"prompt": "a", "chosen": None, "rejected": "b"}, "chosen is empty; a text or a list of turns is expected"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(record, words):
    with pytest.raises(BadInput) as refused:
        adapt([record], "local", "preferences", 0, "data")
    assert words in str(refused.value) and "\n" not in str(refused.value)


# Groups


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("pairs", [1, 0]),
        ("scored responses", [1, 2]),
        ("Nectar", [-2, -1]),
        ("rated rows", [1, 3]),
        ("responses alone", None),
    ],
)
def test_all_responses_of_a_prompt(name, scores, tmp_path):
    adapted = adapt(records_of(name), "local", "preferences", 0, "data", responses="all")
    (row,) = adapted.rows
    assert row["responses"] == (["Yes.", "No."] if scores in ([1, 0], None) else ["No.", "Yes."])
    assert row["original_scores"] == scores
    write_table(tmp_path / "groups.parquet", adapted.rows, schemas.OFF_POLICY_GROUPS)
    assert read_table(tmp_path / "groups.parquet", schemas.OFF_POLICY_GROUPS).to_pylist() == adapted.rows


def test_a_group_holds_each_text_once_and_no_empty_one():
    responses = [("b", 1), (" ", 9), ("a", 2), ("b", 3)]
    record = {"prompt": "Why?", "responses": [{"text": text, "score": score} for text, score in responses]}
    (row,) = adapt([record], "local", "preferences", 0, "data", responses="all").rows
    assert (row["responses"], row["original_scores"]) == (["b", "a"], [3, 2])
    alone = {"prompt": "Who?", "responses": ["x", "x"]}
    adapted = adapt([record, alone], "local", "preferences", 0, "data", responses="all")
    assert adapted.dropped["identical responses"] == 1
    tied = {"chosen": [user("a"), *YES], "rejected": [user("a"), *NO], "score_chosen": 4, "score_rejected": 4}
    (row,) = adapt([tied], "ultrafeedback_binarized", "preferences", 0, "data", responses="all").rows
    assert row["original_scores"] == [1, 1]


# Files


def table(delimiter):
    return f'prompt{delimiter}chosen{delimiter}rejected\r\n"a, ""b""\nc"{delimiter}Yes.{delimiter}No.\r\n'.encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data.csv", table(",")),
        ("bom.CSV", b"\xef\xbb\xbf" + table(",")),
        ("semicolons.csv", table(";")),
        ("data.tsv", table("\t")),
        ("wrapped.json", json.dumps({"data": [{"prompt": 'a, "b"\nc', "chosen": "Yes.", "rejected": "No."}]}).encode()),
    ],
)
def test_tables_and_wrapped_lists(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert read_local(tmp_path / name) == [{"prompt": 'a, "b"\nc', "chosen": "Yes.", "rejected": "No."}]


def test_turns_in_a_table_of_text(tmp_path):
    turns = json.dumps(YES).replace('"', '""')
    (tmp_path / "data.csv").write_text(f'prompt,chosen,rejected\nWhy?,"{turns}","[{{not turns"\n')
    (record,) = read_local(tmp_path / "data.csv")
    assert record["chosen"] == YES and record["rejected"] == "[{not turns"


def saved(folder, records):
    """What `save_to_disk` leaves, as far as it is read."""
    import pyarrow as pa

    folder.mkdir(parents=True)
    data = pa.Table.from_pylist(records)
    with pa.ipc.new_stream(folder / "data-00000-of-00001.arrow", data.schema) as stream:
        stream.write_table(data)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    return folder


def test_a_folder_of_save_to_disk(tmp_path):
    records = [*records_of("conversations"), *records_of("conversations")]
    assert read_local(saved(tmp_path / "one", records)) == records
    saved(tmp_path / "both/train", records)
    (tmp_path / "both/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(BadInput, match="holds the splits train, test; name the folder of one, as .*/both/train"):
        read_local(tmp_path / "both")
    (tmp_path / "one/data-00000-of-00001.arrow").write_bytes(b"torn")
    with pytest.raises(BadInput, match="is not a whole Arrow file"):
        read_local(tmp_path / "one")


# What is shown


def test_the_first_records_are_shown_turn_by_turn():
    records = [
        *records_of("Orca"),
        *records_of("rated rows"),
        {"prompt": "Who?", "chosen": " ", "rejected": "You\nare."},
    ]
    records += records_of("Nectar")
    understood = understand(records, "local", "preferences", "data")
    lines = [*shown(understood, 3, 0), *counted(rows_of(understood, 0, "data"))]
    assert (
        "\n".join(lines)
        == """
Record 1: question, chosen, rejected
  system: S
  user: Why?
  chosen: Yes.
  rejected: No.

Record 2: prompt, response by helpfulness, the rows of a prompt together
  user: Why?
  rejected, helpfulness 1: No.
  chosen, helpfulness 3: Yes.

Record 4: prompt, chosen, rejected
  not used: empty response
  user: Who?
  response:
  response: You
      are.

1 rows of: question, chosen, rejected
1 rows of: prompt, response by helpfulness, the rows of a prompt together
5 records, 2 rows, dropped: 1 empty response, 1 duplicate prompt, 1 joined to its prompt
2 of 2 pairs have a label of their own
columns that nothing reads: correctness"""
    )


@pytest.mark.parametrize(
    ("kind", "record", "lines"),
    [
        ("chat", {"messages": [user("Why?"), *YES]}, ["  user: Why?", "  assistant: Yes."]),
        ("instructions", {"instruction": "Why?", "output": "Yes."}, ["  user: Why?", "  reference: Yes."]),
    ],
)
def test_conversations_and_instructions_are_shown(kind, record, lines):
    assert [*shown(understand([record], "local", kind, "data"), 1, 0)] == ["\nRecord 1", *lines]


def test_a_long_text_is_cut_and_its_length_said():
    record = {"prompt": "x" * 1234, "chosen": "a", "rejected": "b"}
    (_, line, *_) = shown(understand([record], "local", "preferences", "data"), 1, 0)
    assert line.endswith("x… (1,234 characters)") and len(line) < 600
