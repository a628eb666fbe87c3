"""The alignment handbook's recipe for conversations: the tokens of its own steps, packed as TRL packs them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import CHAT_TEMPLATE, chat_rows, with_template

from dpo_stages.core.errors import BadInput
from dpo_stages.data.schemas import CHAT
from dpo_stages.models.conversation_tokens import count_tokens, pack, tokenize_conversations

RECIPE = {"empty_system_turn": True, "loss_on_prompts": True, "packing": True}
REFUSES = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turns') }}{% endif %}" + CHAT_TEMPLATE
LEAVES_OUT = CHAT_TEMPLATE.replace("{{ '<|'", "{% if message['content'] %}{{ '<|'", 1).replace(
    "{% endfor %}", "{% endif %}{% endfor %}", 1
)
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.fixture
def zephyr(tokenizer, root):
    """The tokenizer with the template that stands in the paper's study."""
    file = root / "workflow_scripts/dpo_stages/models/chat_templates/zephyr.jinja"
    return with_template(tokenizer, file.read_text())


def chats(count: int) -> list[dict]:
    """Conversations, of which the second has a system turn."""
    rows = chat_rows(count)
    rows[1]["messages"] = [SYSTEM, *rows[1]["messages"]]
    return rows


def table(rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=CHAT)


def by_hand(tokenizer, rows: list[dict]) -> list[list[int]]:
    """The tokens of each conversation in the handbook's steps: system turn, template, tokenizer, end of sequence."""
    found = []
    for row in rows:
        messages = list(row["messages"])
        if messages[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": ""})
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        found.append(tokenizer(text)["input_ids"] + [tokenizer.eos_token_id])
    return found


def test_the_rows_are_the_handbooks_token_for_token(zephyr):
    rows = chats(30)
    in_chunks = pa.concat_tables([table(rows[begin : begin + 7]) for begin in range(0, 30, 7)])
    tokens = tokenize_conversations(zephyr, in_chunks, 64, **RECIPE)
    assert tokens.table["input_ids"].num_chunks == 5
    expected = by_hand(zephyr, rows)
    assert tokens.table["input_ids"].to_pylist() == tokens.table["labels"].to_pylist() == expected
    assert (tokens.truncated, tokens.system_turns) == (0, 29) and max(map(len, expected)) > 64
    packed, counts = pack(tokens.table, 64, seed=3)
    text = [token for number in np.random.default_rng(3).permutation(30) for token in expected[number]]
    whole = len(text) // 64
    assert packed["input_ids"].to_pylist() == [text[64 * row : 64 * row + 64] for row in range(whole)]
    assert packed["labels"].to_pylist() == packed["input_ids"].to_pylist()
    assert counts == {"packed_rows": whole, "rows_without_answer": 0, "tokens_left_over": len(text) - 64 * whole}
    assert count_tokens(packed) == {"tokens": 64 * whole, "learnt_tokens": 64 * whole}


def test_rows_are_cut_as_trl_cuts_them_but_for_the_last(zephyr):
    from datasets import Dataset
    from trl import pack_dataset

    tokens = tokenize_conversations(zephyr, table(chats(30)), 64, **{**RECIPE, "loss_on_prompts": False}).table
    order = np.random.default_rng(0).permutation(30)
    shuffled = tokens.take(order).select(["input_ids", "labels"]).combine_chunks()
    theirs = pack_dataset(Dataset(shuffled), 50, strategy="wrapped").to_dict()
    ours, _ = pack(tokens, 50, seed=0)
    assert len(theirs["labels"][-1]) < 50
    for name in ("input_ids", "labels"):
        assert ours[name].to_pylist() == theirs[name][:-1]


def test_an_empty_system_turn_is_rendered_as_zephyr_was_trained_on_it(zephyr):
    (row,) = chat_rows(1)
    row["messages"] = [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "It is."}]
    tokens = tokenize_conversations(zephyr, table([row]), 512, empty_system_turn=True).table
    rendered = "<|system|>\n</s>\n<|user|>\nIs it?</s>\n<|assistant|>\nIt is.</s>\n"
    assert zephyr.decode(tokens["input_ids"][0].as_py()) == rendered
    learnt = [token for token in tokens["labels"][0].as_py() if token != -100]
    assert zephyr.decode(learnt) == "It is.</s>\n"


def test_each_switch_changes_nothing_else(tokenizer):
    rows = table(chats(12))
    plain = tokenize_conversations(tokenizer, rows, 512)
    assert plain.system_turns == 0
    on_prompts = tokenize_conversations(tokenizer, rows, 512, loss_on_prompts=True).table
    assert on_prompts["input_ids"] == on_prompts["labels"] == plain.table["input_ids"]
    packing = tokenize_conversations(tokenizer, rows, 512, packing=True).table
    for name, end in (("input_ids", tokenizer.eos_token_id), ("labels", -100)):
        assert packing[name].to_pylist() == [[*ids, end] for ids in plain.table[name].to_pylist()]
    with_turn = tokenize_conversations(tokenizer, rows, 512, empty_system_turn=True)
    added = tokenizer("<|system|></s>", add_special_tokens=False)["input_ids"]
    for number, (ids, before) in enumerate(
        zip(with_turn.table["input_ids"].to_pylist(), plain.table["input_ids"].to_pylist(), strict=True)
    ):
        assert ids == (before if number == 1 else [before[0], *added, *before[1:]])
    assert with_turn.system_turns == 11


def test_a_template_that_refuses_system_turns_is_one_sentence_before_any_row(tokenizer):
    strict = with_template(tokenizer, REFUSES)
    with pytest.raises(
        BadInput, match=r"refuses an empty system turn \(no system turns\); set empty_system_turn: false"
    ):
        tokenize_conversations(strict, table([]), 512, empty_system_turn=True)


def test_a_template_that_leaves_an_empty_system_turn_out_is_given_none(tokenizer):
    without, rows = with_template(tokenizer, LEAVES_OUT), table(chats(5))
    tokens = tokenize_conversations(without, rows, 512, empty_system_turn=True)
    assert tokens.system_turns == 0
    assert tokens.table == tokenize_conversations(without, rows, 512).table


def test_packing_needs_an_end_of_sequence(tokenizer):
    endless = with_template(tokenizer, tokenizer.chat_template.replace("eos_token", "'</s>'"))
    endless.eos_token = None
    with pytest.raises(BadInput, match="no end of sequence to put between packed conversations; set packing: false"):
        tokenize_conversations(endless, table([]), 512, packing=True)


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=9), min_size=1), st.integers(1, 12), st.integers(0, 3))
def test_no_token_is_lost_and_none_is_learnt_that_was_not(lists, length, seed):
    """Token `n` of all is learnt or not; a row is left out only if nothing in it is learnt."""
    numbers = iter(range(sum(map(len, lists))))
    ids = [[next(numbers) for _ in learnt] for learnt in lists]
    learnt = {
        number: mark for row, marks in zip(ids, lists, strict=True) for number, mark in zip(row, marks, strict=True)
    }
    labels = [[number if learnt[number] else -100 for number in row] for row in ids]
    kind = pa.list_(pa.int32())
    chunks = [
        pa.table({"input_ids": pa.array([i], kind), "labels": pa.array([v], kind)})
        for i, v in zip(ids, labels, strict=True)
    ]
    try:
        packed, counts = pack(pa.concat_tables(chunks), length, seed)
    except BadInput as error:
        assert f"{len(learnt)} tokens, which fill no row of {length}" in str(error)
        assert len(learnt) < length or sum(learnt.values()) < length  # those may all be left over
        return
    assert len(learnt) >= length
    rows = packed["input_ids"].to_pylist()
    assert all(len(row) == length for row in rows)
    assert packed["labels"].to_pylist() == [[n if learnt[n] else -100 for n in row] for row in rows]
    assert all(any(learnt[n] for n in row) for row in rows)
    seen = {n for row in rows for n in row}
    assert len(seen) == length * counts["packed_rows"] == packed.num_rows * length
    missing = length * counts["rows_without_answer"] + counts["tokens_left_over"]
    assert len(seen) + missing == len(learnt) and counts["tokens_left_over"] < length
    assert sum(learnt[n] for n in learnt if n not in seen) <= counts["tokens_left_over"]
