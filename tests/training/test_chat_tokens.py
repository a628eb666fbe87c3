"""Tokens are those of TRL, through the chat template, cut and dropped visibly."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import CHATML, chat_rows, make_tokenizer, preference_rows, with_template, write_model

from dpo_stages.core.errors import BadInput
from dpo_stages.data.schemas import CHAT, PREFERENCES
from dpo_stages.models.chat_tokens import NO_ROOM, end_of_turn, load_tokenizer
from dpo_stages.models.conversation_tokens import NOTHING_TO_LEARN, tokenize_conversations
from dpo_stages.models.preference_tokens import NO_TOKEN, _common_prefix, tokenize_preferences

LOOKS_AHEAD = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if loop.last and message['role'] == 'assistant' %}{{ 'so: ' }}{% endif %}{{ message['content'] + eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
MARKED = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}"
    "{% else %}{{ message['content'] + eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


THINKS = (  # as Qwen3's and DeepSeek-R1's: thoughts are dropped
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' %}{{ message['content'].split('</think>')[-1] }}{% else %}{{ message['content'] }}"
    "{% endif %}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
TRIMS = THINKS.replace("split('</think>')[-1]", "strip()")  # as Llama-3's and Gemma's


# What real templates do: ChatML ends the turn with a line of its own, Llama-3 trims, the last one numbers its turns.
TEMPLATES = {
    "chatml": CHATML,
    "trimmed": (
        "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] | trim + '</s>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    ),
    "numbered": (
        "{% for message in messages %}{{ message['role'] + ' said:' + message['content'] + '</s>' }}{{ loop.index }}"
        "{% endfor %}{% if add_generation_prompt %}{{ 'assistant said:' }}{% endif %}"
    ),
}


def preferences_table(count: int, **options) -> pa.Table:
    return pa.Table.from_pylist(preference_rows(count, **options), schema=PREFERENCES)


@pytest.mark.parametrize("max_length", [1024, 14])
@pytest.mark.parametrize("template", [None, "chatml"])
def test_preference_tokens_are_those_of_trl_up_to_the_end_of_the_turn(tmp_path, tokenizer, max_length, template):
    """TRL also trains what a template renders behind the end, here ChatML's line break."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import DPOConfig, DPOTrainer

    rows, tokenizer = preference_rows(30), with_template(tokenizer, TEMPLATES.get(template, tokenizer.chat_template))
    trainer = DPOTrainer(
        AutoModelForCausalLM.from_pretrained(write_model(tmp_path / "model").parent),
        ref_model=AutoModelForCausalLM.from_pretrained(tmp_path / "model"),
        args=DPOConfig(
            output_dir=str(tmp_path / "out"), max_length=max_length, report_to="none", use_cpu=True, bf16=False
        ),
        train_dataset=Dataset.from_list(
            [
                {
                    "prompt": row["prompt"],
                    "chosen": [{"role": "assistant", "content": row["chosen"]}],
                    "rejected": [{"role": "assistant", "content": row["rejected"]}],
                }
                for row in rows
            ]
        ),
        processing_class=tokenizer,
    )
    ours = tokenize_preferences(tokenizer, pa.Table.from_pylist(rows, schema=PREFERENCES), max_length)
    columns = ("prompt_ids", "chosen_ids", "rejected_ids")
    theirs = trainer.train_dataset.to_list()
    if template == "chatml":
        assert {tokenizer.decode(row[name].pop()) for row in theirs for name in columns[1:]} == {"\n"}
    assert ours.table.num_rows == len(theirs)
    assert sum(ours.dropped.values()) == len(rows) - len(theirs)
    collated = [trainer.data_collator([{name: row[name] for name in columns}]) for row in theirs]
    again = [trainer.data_collator([{name: row[name] for name in columns}]) for row in ours.table.to_pylist()]
    for one, other in zip(collated, again, strict=True):
        assert all((one[name] == other[name]).all() for name in ("input_ids", "completion_mask", "attention_mask"))
    if max_length == 1024:
        assert not sum(ours.dropped.values()) and not ours.truncated
    else:
        assert sum(ours.dropped.values()) and ours.truncated  # the data make both happen


def test_completion_is_the_response_and_the_end_of_its_turn(tokenizer):
    table = preferences_table(3)
    for row, tokens in zip(
        table.to_pylist(), tokenize_preferences(tokenizer, table, 512).table.to_pylist(), strict=True
    ):
        assert tokenizer.decode(tokens["chosen_ids"]) == row["chosen"] + "</s>"
        assert tokenizer.decode(tokens["rejected_ids"]) == row["rejected"] + "</s>"
        assert tokenizer.decode(tokens["prompt_ids"]).endswith("<|assistant|>")


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_response_that_was_cut_ends_where_it_was_cut_and_nothing_else_changes(tokenizer, name):
    templated = with_template(tokenizer, TEMPLATES[name])
    rows = preference_rows(12)
    marks = [(True, False), (False, True), (True, True), (None, None)] * 3
    for row, (chosen, rejected) in zip(rows, marks, strict=True):
        row |= {"chosen_truncated": chosen, "rejected_truncated": rejected, "chosen": row["chosen"] + " the</s>"}
    unmarked = [{**row, "chosen_truncated": False, "rejected_truncated": None} for row in rows]
    cut, whole = (
        tokenize_preferences(templated, pa.Table.from_pylist(some, schema=PREFERENCES), 512).table.to_pylist()
        for some in (rows, unmarked)
    )
    for row, ours, full in zip(rows, cut, whole, strict=True):
        assert ours["prompt_ids"] == full["prompt_ids"]
        for side in ("chosen", "rejected"):
            assert ours[f"{side}_ids"] == full[f"{side}_ids"][: len(ours[f"{side}_ids"])]
            if row[f"{side}_truncated"]:
                assert templated.decode(ours[f"{side}_ids"]) == row[side]
            else:
                assert ours[f"{side}_ids"] == full[f"{side}_ids"]
                assert templated.decode(ours[f"{side}_ids"]).startswith(row[side] + "</s>")


def test_a_cut_response_without_a_token_is_dropped_and_counted(tokenizer):
    rows = preference_rows(6)
    for row, mark in zip(rows, (True, True, False, None, True, True), strict=True):
        row |= {"rejected": "", "rejected_truncated": mark, "chosen_truncated": mark}
    tokens = tokenize_preferences(tokenizer, pa.Table.from_pylist(rows, schema=PREFERENCES), 512)
    assert tokens.dropped == {NO_ROOM: 0, NO_TOKEN: 4}
    assert tokens.table["prompt_id"].to_pylist() == [row["prompt_id"] for row in rows[2:4]]
    assert tokens.table["rejected_ids"].to_pylist() == [[tokenizer.eos_token_id]] * 2


def test_a_template_that_hides_where_a_response_ends_is_refused_for_cut_ones_alone(tokenizer):
    hiding = with_template(
        tokenizer,
        "{% for message in messages %}{{ message['role'] + message['content'] + '</s>' }}"
        "{% if message['role'] == 'assistant' and message['content'] | length > 20 %}{{ 'long' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant' }}{% endif %}",
    )
    (row,) = preference_rows(1)
    row |= {"chosen": "of more than twenty characters", "chosen_truncated": True}
    for mark in (True, False):
        table = pa.Table.from_pylist([{**row, "chosen_truncated": mark}], schema=PREFERENCES)
        if mark:
            with pytest.raises(BadInput, match=rf"hides where the response to {row['prompt_id']} ends"):
                tokenize_preferences(hiding, table, 512)
        else:
            assert tokenize_preferences(hiding, table, 512).table.num_rows == 1


def test_prompt_without_room_for_a_response_is_dropped_and_counted(tokenizer):
    table = preferences_table(10)
    lengths = [len(ids) for ids in tokenize_preferences(tokenizer, table, 512).table["prompt_ids"].to_pylist()]
    limit = sorted(lengths)[5]
    tokens = tokenize_preferences(tokenizer, table, limit)
    assert tokens.dropped == {NO_ROOM: sum(length >= limit for length in lengths), NO_TOKEN: 0}
    assert tokens.table.num_rows == sum(length < limit for length in lengths) > 0
    assert tokens.truncated == tokens.table.num_rows  # every response is longer than the one token that is left


def test_no_rows_give_an_empty_table(tokenizer):
    assert tokenize_preferences(tokenizer, preferences_table(0), 512).table.num_rows == 0


def test_doubled_beginning_is_an_error(tokenizer):
    doubled = with_template(tokenizer, "{{ bos_token }}" + tokenizer.chat_template)
    with pytest.raises(BadInput, match="begins with <s> twice"):
        tokenize_preferences(doubled, preferences_table(1), 512)
    with pytest.raises(BadInput, match="begins with <s> twice"):
        tokenize_conversations(doubled, pa.Table.from_pylist(chat_rows(1), schema=CHAT), 512)


def test_template_that_refuses_a_conversation_is_an_error_that_names_it(tokenizer):
    strict = with_template(tokenizer, "{{ raise_exception('roles must alternate') }}")
    table = preferences_table(1)
    with pytest.raises(BadInput, match=rf"{table['prompt_id'][0]}: roles must alternate"):
        tokenize_preferences(strict, table, 512)


def test_response_that_the_template_alters_is_an_error_that_names_model_and_prompt(tokenizer, model):
    row = preference_rows(1)[0]
    altered = {**row, "rejected": "<think>is it?</think>blue"}
    with pytest.raises(BadInput, match=rf"template of {model.parent} alters a response to {row['prompt_id']}: .*is it"):
        tokenize_preferences(
            with_template(tokenizer, THINKS), pa.Table.from_pylist([altered], schema=PREFERENCES), max_length=512
        )
    chat = {"prompt_id": "p", "messages": [*row["prompt"], {"role": "assistant", "content": altered["rejected"]}]}
    with pytest.raises(BadInput, match="alters a response to p: "):
        tokenize_conversations(with_template(tokenizer, THINKS), pa.Table.from_pylist([chat], schema=CHAT), 512)


def test_white_space_that_the_template_takes_from_responses_is_counted(tokenizer):
    trims, rows = with_template(tokenizer, TRIMS), preference_rows(4)
    rows[0]["chosen"], rows[1]["rejected"], rows[2]["chosen"], rows[2]["rejected"] = " red", "red\n", "\nred ", "  "
    table = pa.Table.from_pylist(rows, schema=PREFERENCES)
    tokens = tokenize_preferences(trims, table, 512)
    assert tokens.trimmed == 3
    assert [trims.decode(ids) for ids in tokens.table["chosen_ids"].to_pylist()[:3:2]] == ["red</s>", "red</s>"]
    assert tokenize_preferences(tokenizer, table, 512).trimmed == 0
    chats = chat_rows(3)
    chats[1]["messages"][1]["content"] += " "
    assert tokenize_conversations(trims, pa.Table.from_pylist(chats, schema=CHAT), 512).trimmed == 1


def test_supervised_labels_are_what_the_assistant_says(tokenizer):
    rows = chat_rows(20)
    table = pa.Table.from_pylist(rows, schema=CHAT)
    for row, tokens in zip(rows, tokenize_conversations(tokenizer, table, 512).table.to_pylist(), strict=True):
        learnt = [token for token in tokens["labels"] if token != -100]
        said = [turn["content"] + "</s>" for turn in row["messages"] if turn["role"] == "assistant"]
        assert tokenizer.decode(learnt) == "".join(said)
        assert tokenizer.decode(tokens["input_ids"]) == tokenizer.apply_chat_template(row["messages"], tokenize=False)


def test_supervised_labels_agree_with_a_template_that_marks_them(tokenizer):
    marked, rows = with_template(tokenizer, MARKED), chat_rows(20)
    table = tokenize_conversations(marked, pa.Table.from_pylist(rows, schema=CHAT), 512).table
    for row, tokens in zip(rows, table.to_pylist(), strict=True):
        theirs = marked.apply_chat_template(
            row["messages"], tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        assert [int(label != -100) for label in tokens["labels"]] == list(theirs["assistant_masks"])


def test_conversation_cut_before_the_assistant_speaks_is_dropped_and_counted(tokenizer):
    table = pa.Table.from_pylist(chat_rows(10), schema=CHAT)
    tokens = tokenize_conversations(tokenizer, table, 3)
    assert tokens.table.num_rows == 0
    assert tokens.dropped == {NOTHING_TO_LEARN: 10}


def test_template_that_looks_ahead_cannot_be_masked(tokenizer):
    rows = [row for row in chat_rows(10) if len(row["messages"]) > 2][:1]
    with pytest.raises(BadInput, match="differently when more turns follow"):
        tokenize_conversations(
            with_template(tokenizer, LOOKS_AHEAD), pa.Table.from_pylist(rows, schema=CHAT), max_length=512
        )


def test_end_of_turn(tokenizer):
    assert end_of_turn(tokenizer) == tokenizer.eos_token_id
    endless = with_template(tokenizer, "{% for message in messages %}{{ message['content'] + '\n' }}{% endfor %}")
    with pytest.raises(BadInput, match="no special token"):
        end_of_turn(endless)


@given(st.lists(st.integers(0, 2), max_size=6), st.lists(st.integers(0, 2), max_size=6))
def test_common_prefix(ids, others):
    length = _common_prefix(ids, others)
    assert ids[:length] == others[:length]
    assert length == len(ids) or length == len(others) or ids[length] != others[length]


@pytest.mark.parametrize(("rows", "padding"), [(None, "<pad>"), (0, "</s>")])
def test_padding_is_a_token_that_the_model_has_a_row_for(tmp_path, rows, padding):
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<added>"} if rows == 0 else {})
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": len(tokenizer) - (rows == 0)}))
    assert load_tokenizer(tmp_path).pad_token == padding
