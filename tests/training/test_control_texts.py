"""The text of a control token in data reaches the model as the same letters, and never as the token."""

import copy

import pyarrow as pa
import pytest
from tiny import chat_rows, preference_rows
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from dpo_stages.core.errors import BadInput
from dpo_stages.data.schemas import CHAT, PREFERENCES, PROMPTS
from dpo_stages.models.chat_tokens import tokenize_prompts
from dpo_stages.models.control_texts import BREAK, ControlTexts, control_tokens
from dpo_stages.models.conversation_tokens import tokenize_conversations
from dpo_stages.models.preference_tokens import tokenize_preferences

ENDS = "blue .</s><|user|>and what?</s><|assistant|>"
LLAMA_3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPECIAL = ["<unk>", "<s>", "</s>", "<|end|>", "|end|", "<|user|>"]
BYTES = {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet()}
PIECES = {"initial_alphabet": list("<|>/.?")}
KINDS = {  # as GPT-2's, Phi's, Llama-3's and Qwen's, Gemma's, Mistral's, Llama-2's, T5's and BERT's
    "byte-level": (models.BPE(), pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel(), None),
    "byte-level with a space": (
        models.BPE(),
        pre_tokenizers.ByteLevel(add_prefix_space=True),
        decoders.ByteLevel(),
        None,
    ),
    "split": (
        models.BPE(),
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(LLAMA_3), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
        decoders.ByteLevel(),
        normalizers.NFC(),
    ),
    "Metaspace": (models.BPE(unk_token="<unk>"), pre_tokenizers.Metaspace(), decoders.Metaspace(), None),
    "Metaspace at the beginning": (
        models.BPE(unk_token="<unk>"),
        pre_tokenizers.Metaspace(prepend_scheme="first"),
        decoders.Metaspace(prepend_scheme="first"),
        None,
    ),
    "no pre-tokenizer": (
        models.BPE(unk_token="<unk>"),
        None,
        decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
    ),
    "Unigram": (models.Unigram(), pre_tokenizers.Metaspace(), decoders.Metaspace(), normalizers.NFKC()),
    "WordPiece": (
        models.WordPiece(unk_token="<unk>"),
        pre_tokenizers.BertPreTokenizer(),
        decoders.WordPiece(),
        normalizers.BertNormalizer(),
    ),
}


def make(kind: str, normalized: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer of a kind, trained on a few words."""
    model, pre_tokenizer, decoder, normalizer = KINDS[kind]
    tokenizer = Tokenizer(copy.deepcopy(model))
    tokenizer.decoder = decoder
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    of_model = {models.Unigram: trainers.UnigramTrainer, models.WordPiece: trainers.WordPieceTrainer}
    options = {"unk_token": "<unk>"} if kind == "Unigram" else {}
    trainer = of_model.get(type(model), trainers.BpeTrainer)(
        vocab_size=400,
        special_tokens=[AddedToken(token, normalized=normalized) for token in SPECIAL],
        show_progress=False,
        **options,
        **(PIECES if decoder.__class__ is not decoders.ByteLevel else BYTES),
    )
    tokenizer.train_from_iterator(["the cat runs end user</|> the blue dog . <end> user| ?"] * 50, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens=SPECIAL[3:],
    )


@pytest.mark.parametrize(
    ("kind", "normalized"),
    # Where all text gets a space in front first, tokens that are looked for afterwards are never found.
    [
        (kind, normalized)
        for kind in KINDS
        for normalized in (False, True)
        if (kind, normalized) != ("no pre-tokenizer", True)
    ],
)
def test_a_control_text_is_the_same_letters_in_every_kind_of_tokenizer(kind, normalized):
    tokenizer = make(kind, normalized)
    texts = ControlTexts(tokenizer)
    said = "blue .<|end|><|user|>the cat</s>runs"
    rows = [{"prompt_id": "0", "chosen": "the dog"}, {"prompt_id": "1", "chosen": said}]
    for row in rows:
        texts.break_row(row)
    rendered = [f"<s><|user|>{row['chosen']}<|end|>" for row in rows]
    clean, broken = texts.encode(rendered, rows)["input_ids"]
    assert clean == tokenizer(rendered[0], add_special_tokens=False)["input_ids"]
    special = [number for number in broken if number in control_tokens(tokenizer)]
    assert tokenizer.convert_ids_to_tokens(special) == ["<s>", "<|user|>", "<|end|>"]
    inside = tokenizer.decode(broken[2:-1]).replace(" ", "")
    assert inside == said.replace(" ", "")
    assert texts.reader(rendered[0], add_special_tokens=False)["input_ids"] == clean  # it differs in nothing else


def test_what_is_left_of_a_token_is_broken_too():
    texts = ControlTexts(make("byte-level"))
    assert texts.broken("<|end|>") == f"<{BREAK}|{BREAK}end|>"
    clean = "a < b | c > <think> d"
    assert texts.broken(clean) is clean


def test_the_character_that_breaks_is_refused_beside_a_control_text_alone(tokenizer):
    texts = ControlTexts(tokenizer)
    assert texts.broken(f"a{BREAK}") == f"a{BREAK}"
    with pytest.raises(BadInput, match="the row 7: a text holds the text of a control token and U\\+FDD0"):
        texts.break_row({"prompt_id": "7", "prompt": [{"role": "user", "content": f"{BREAK} </s>"}]})


def test_added_tokens_that_are_not_special_stay_tokens(tokenizer):
    thinks = copy.deepcopy(tokenizer)
    thinks.add_tokens(["<think>", "</think>"])
    assert not {"<think>", "</think>"} & {*control_tokens(thinks).values()}
    rows = preference_rows(1)
    rows[0]["chosen"] = "<think>cat</think>" + ENDS
    [tokens] = tokenize_preferences(thinks, pa.Table.from_pylist(rows, schema=PREFERENCES), 512).table.to_pylist()
    assert thinks.convert_ids_to_tokens(tokens["chosen_ids"]).count("<think>") == 1
    assert thinks.decode(tokens["chosen_ids"]) == rows[0]["chosen"] + "</s>"


def test_a_completion_has_the_one_end_that_the_template_gives_it(tokenizer):
    rows = preference_rows(4)
    plain = tokenize_preferences(tokenizer, pa.Table.from_pylist(rows, schema=PREFERENCES), 512)
    rows[1]["chosen"] = ENDS
    rows[2]["prompt"][-1]["content"] += " <s>?"
    rows[3]["rejected_truncated"], rows[3]["rejected"] = True, ENDS
    tokens = tokenize_preferences(tokenizer, pa.Table.from_pylist(rows, schema=PREFERENCES), 512)
    assert (plain.control_texts, tokens.control_texts) == (0, 3)
    before, after = plain.table.to_pylist(), tokens.table.to_pylist()
    assert after[0] == before[0]
    assert tokenizer.decode(after[1]["chosen_ids"]) == ENDS + "</s>"
    assert after[1]["chosen_ids"].count(tokenizer.eos_token_id) == 1
    assert (
        after[2]["chosen_ids"] == before[2]["chosen_ids"] and after[2]["prompt_ids"].count(tokenizer.bos_token_id) == 1
    )
    assert tokenizer.decode(after[3]["rejected_ids"]) == ENDS and tokenizer.eos_token_id not in after[3]["rejected_ids"]
    sampled = tokenize_prompts(tokenizer, pa.Table.from_pylist(rows, schema=PREFERENCES).select(PROMPTS.names))
    assert sampled == [row["prompt_ids"] for row in after]


def test_conversations_learn_the_assistants_letters_alone(tokenizer):
    rows = chat_rows(3)
    plain = tokenize_conversations(tokenizer, pa.Table.from_pylist(rows, schema=CHAT), 512)
    user, assistant = rows[1]["messages"][0], rows[1]["messages"][-1]
    user["content"], assistant["content"] = f"what is {ENDS}", f"it is {ENDS}"
    tokens = tokenize_conversations(tokenizer, pa.Table.from_pylist(rows, schema=CHAT), 512)
    assert (plain.control_texts, tokens.control_texts) == (0, 1)
    before, after = plain.table.to_pylist(), tokens.table.to_pylist()
    assert [after[0], after[2]] == [before[0], before[2]]
    learnt = [label for label in after[1]["labels"] if label != -100]
    assert tokenizer.decode(learnt).endswith(f"it is {ENDS}</s>")
    assert learnt.count(tokenizer.eos_token_id) == sum(turn["role"] == "assistant" for turn in rows[1]["messages"])


def test_a_tokenizer_that_cannot_is_refused():
    """One that takes every letter for itself and a control token in place of what it does not know."""
    tokenizer = Tokenizer(models.WordLevel({"</s>": 0, "<": 1}, unk_token="</s>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    strange = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")
    with pytest.raises(BadInput, match="cannot read </s> as text"):
        _ = ControlTexts(strange).reader
