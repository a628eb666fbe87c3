"""What is trained is what was sampled: token ids come from the sample, and a text is tokenised only where there are none."""

import pyarrow as pa
import pytest
import torch
from tiny import CHATML, as_flags, preference_rows, reference_flags, training_flags, with_template

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.schemas import CANDIDATES, LIKELIHOODS, PREFERENCES, PROMPTS, REFERENCE_LOGPS
from dpo_stages.models.chat_tokens import NO_ROOM, load_tokenizer, tokenize_prompts, vocabulary_of
from dpo_stages.models.preference_tokens import NO_TOKEN, tokenize_preferences
from dpo_stages.models.weights import load_model

SIDES = ("chosen", "rejected")
THINKS = (  # as DeepSeek-R1's: a thought is begun for the policy, and dropped from what it said
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{{ message['content'].split('</think>')[-1] if message['role'] == 'assistant' else message['content'] }}"
    "{{ eos_token + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|><think>\n' }}{% endif %}"
)
SPACED = (  # ends the prompt with a space, which merges with the first word of a text
    "{% for message in messages %}{{ '<|' + message['role'] + '|> ' + message['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|> ' }}{% endif %}"
)


def spelt(tokenizer, text: str) -> list[int]:
    """A text letter by letter, as a policy may draw it and no tokenizer would write it, with the end of its turn."""
    return [
        *(i for letter in text for i in tokenizer(letter, add_special_tokens=False)["input_ids"]),
        tokenizer.eos_token_id,
    ]


def sampled_rows(tokenizer, count: int, **options) -> list[dict]:
    """Preferences of samples that were drawn letter by letter."""
    rows = preference_rows(count, **options)
    for row in rows:
        row |= {f"{side}_ids": spelt(tokenizer, row[side]) for side in SIDES}
        row |= {"chosen_truncated": False, "rejected_truncated": False, "vocabulary": vocabulary_of(tokenizer)}
    return rows


def texts_of(rows: list[dict]) -> list[dict]:
    """The same pairs as if they came from a data set."""
    return [{**row, "chosen_ids": None, "rejected_ids": None, "vocabulary": None} for row in rows]


def tokens_of(tokenizer, rows: list[dict], max_length: int = 512):
    return tokenize_preferences(tokenizer, pa.Table.from_pylist(rows, schema=PREFERENCES), max_length)


def prompts_of(tokenizer, rows: list[dict]) -> list[list[int]]:
    """What sampling reads in front of a response."""
    table = pa.Table.from_pylist([{name: row[name] for name in PROMPTS.names} for row in rows], schema=PROMPTS)
    return tokenize_prompts(tokenizer, table)


def assert_as_sampled(tokenizer, rows: list[dict], tokens) -> None:
    assert tokens.table["prompt_ids"].to_pylist() == prompts_of(tokenizer, rows)
    for side in SIDES:
        assert tokens.table[f"{side}_ids"].to_pylist() == [row[f"{side}_ids"] for row in rows]


def test_the_tokens_are_those_that_were_sampled_and_other_ones_are_counted(tokenizer):
    rows = sampled_rows(tokenizer, 8)
    for row in rows[:3]:  # as their text would be tokenised
        row["chosen_ids"] = tokenizer(row["chosen"] + "</s>", add_special_tokens=False)["input_ids"]
    tokens = tokens_of(tokenizer, rows)
    assert_as_sampled(tokenizer, rows, tokens)
    assert tokens.counts() == {
        "truncated": 0, "trimmed": 0, "control_texts": 0, "as_sampled": 16, "retokenized": 16 - 3, "other_vocabulary": 0,
    }  # fmt: skip
    again = tokens_of(tokenizer, texts_of(rows))
    assert again.as_sampled == again.retokenized == again.other_vocabulary == 0
    same = [a == b for a, b in zip(*(t.table["chosen_ids"].to_pylist() for t in (tokens, again)), strict=True)]
    assert same == [True] * 3 + [False] * 5


def test_sentencepiece_tells_no_word_from_the_same_word_behind_a_space(tokenizer):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<s>", "</s>", "<|user|>", "<|assistant|>", "<unk>", "▁It", "It", "▁is", "▁No"]
    unigram = Tokenizer(models.Unigram([(word, -1.0 - 0.1 * n) for n, word in enumerate(words)], unk_id=4))
    unigram.pre_tokenizer, unigram.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    piece = PreTrainedTokenizerFast(
        tokenizer_object=unigram, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        extra_special_tokens=["<|user|>", "<|assistant|>"], chat_template=tokenizer.chat_template,
    )  # fmt: skip
    ids = dict(zip(words, piece.convert_tokens_to_ids(words), strict=True))
    drawn, written = [[ids[word] for word in (first, "▁is", "</s>")] for first in ("It", "▁It")]
    assert piece.decode(drawn[:-1]) == piece.decode(written[:-1]) == "It is"
    row = {**sampled_rows(piece, 1)[0], "prompt": [{"role": "user", "content": "No"}], "chosen": "It is"}
    row |= {"rejected": "It is", "chosen_ids": drawn, "rejected_ids": written}
    tokens = tokens_of(piece, [row])
    assert_as_sampled(piece, [row], tokens)
    assert tokens.retokenized == 1
    assert tokens_of(piece, texts_of([row])).table["chosen_ids"].to_pylist() == [written]


@pytest.mark.parametrize("template", [THINKS, CHATML, SPACED])
def test_whatever_the_template_does_to_a_text_a_sample_is_trained_as_it_was_sampled(tokenizer, template):
    templated = with_template(tokenizer, template)
    rows = preference_rows(4)
    rows[0]["chosen"], rows[1]["rejected"], rows[2]["chosen"] = (
        "is it?\n</think>\n\nblue",
        "<think>a</think> b ",
        "</s>",
    )
    for row in rows:
        row |= {f"{side}_ids": templated(row[side] + "</s>", add_special_tokens=False)["input_ids"] for side in SIDES}
        row |= {"vocabulary": vocabulary_of(tokenizer), "chosen_truncated": False, "rejected_truncated": False}
    tokens = tokens_of(templated, rows)
    assert_as_sampled(templated, rows, tokens)
    assert (tokens.as_sampled, tokens.trimmed) == (8, 0)


def test_the_same_thought_in_a_data_set_is_refused(tokenizer, model):
    thinks, (row,) = with_template(tokenizer, THINKS), preference_rows(1)
    row["chosen"] = "is it?\n</think>\n\nblue"
    with pytest.raises(BadInput, match=rf"template of {model.parent} alters a response to {row['prompt_id']}: .*is it"):
        tokens_of(thinks, [row])


@pytest.mark.parametrize("vocabulary", ["0123456789abcdef", None])
def test_ids_of_another_vocabulary_are_not_read_but_counted(tokenizer, vocabulary):
    rows = sampled_rows(tokenizer, 5)
    tokens = tokens_of(tokenizer, [{**row, "vocabulary": vocabulary} for row in rows])
    assert tokens.table.equals(tokens_of(tokenizer, texts_of(rows)).table)
    assert (tokens.other_vocabulary, tokens.as_sampled, tokens.retokenized) == (10, 0, 0)


def test_a_vocabulary_is_that_of_all_policies_of_a_model_and_of_no_other(tmp_path, model, tokenizer):
    templated = with_template(tokenizer, CHATML)
    templated.save_pretrained(tmp_path)
    assert vocabulary_of(tokenizer) == vocabulary_of(load_tokenizer(tmp_path)) == vocabulary_of(templated)
    templated.add_tokens(["[STOP]"])
    assert vocabulary_of(templated) != vocabulary_of(tokenizer)
    assert len(vocabulary_of(tokenizer)) == 16


def test_a_sample_that_was_cut_has_no_end_and_one_without_a_token_is_dropped(tokenizer):
    rows = sampled_rows(tokenizer, 4)
    for row in rows[:2]:
        row |= {"chosen_truncated": True, "chosen_ids": row["chosen_ids"][:-1]}
    rows[1] |= {"chosen": "", "chosen_ids": []}
    tokens = tokens_of(tokenizer, rows)
    assert tokens.dropped == {NO_ROOM: 0, NO_TOKEN: 1}
    assert_as_sampled(tokenizer, [rows[0], *rows[2:]], tokens)
    assert tokens.retokenized == 7  # nothing is nothing, however it is written
    longest = max(len(prompt) for prompt in prompts_of(tokenizer, rows)) + 3
    cut = tokens_of(tokenizer, rows, longest)
    assert cut.truncated == 3
    for prompt, chosen, row in zip(
        *(cut.table[name].to_pylist() for name in ("prompt_ids", "chosen_ids")), [rows[0], *rows[2:]], strict=True
    ):
        assert chosen == row["chosen_ids"][: longest - len(prompt)]


@pytest.mark.parametrize("template", [SPACED, CHATML])
def test_a_sample_and_a_text_of_one_pair_share_a_prompt(tokenizer, template):
    """The text's first word may merge with the end of the prompt, which then belongs to both completions."""
    templated = with_template(tokenizer, template)
    rows = [{**row, "rejected": "the cat runs", "rejected_ids": None} for row in sampled_rows(tokenizer, 3)]
    tokens = tokens_of(templated, rows)
    assert (tokens.as_sampled, tokens.other_vocabulary) == (3, 0)
    for row, prompt, pair in zip(rows, prompts_of(templated, rows), tokens.table.to_pylist(), strict=True):
        assert pair["prompt_ids"] + pair["chosen_ids"] == prompt + row["chosen_ids"]
        assert (
            templated.decode(pair["prompt_ids"] + pair["rejected_ids"]) == templated.decode(prompt) + "the cat runs</s>"
        )
        assert (pair["prompt_ids"] == prompt) == (template == CHATML)


def test_a_text_ends_with_the_end_of_its_turn_as_a_sample_does(tokenizer):
    templated, rows = with_template(tokenizer, CHATML), preference_rows(6)
    rows[0]["chosen"], rows[1]["rejected"] = "</s> the\n", ""
    for row, pair in zip(rows, tokens_of(templated, rows).table.to_pylist(), strict=True):
        for side in SIDES:
            assert templated.decode(pair[f"{side}_ids"]) == row[side] + "</s>"


def test_training_log_probabilities_and_likelihoods_read_the_sampled_tokens(tmp_path, run_here, model, tokenizer):
    """The first step's loss would stop a training on other tokens than the log-probabilities'."""
    rows = sampled_rows(tokenizer, 8, longest=6)
    mixed = [*rows[:4], *({**row, "vocabulary": "0123456789abcdef"} for row in rows[4:6]), *texts_of(rows[6:])]
    write_table(tmp_path / "train.parquet", mixed, PREFERENCES)
    reference = tmp_path / "reference.parquet"
    run_here("compute_reference_logps", *reference_flags(model, tmp_path / "train.parquet", reference))
    inputs = {"initial": model, "preferences": tmp_path / "train.parquet", "reference_logps": reference}
    run_here("train_policy", *as_flags(**inputs, loss="sigmoid", beta=0.1), *training_flags(tmp_path, warmup_ratio=0))
    names = {"chosen": "response_1", "rejected": "response_2", "chosen_ids": "ids_1", "rejected_ids": "ids_2"}
    candidates = [{names.get(name, name): value for name, value in row.items()} for row in mixed]
    write_table(tmp_path / "on.parquet", candidates, CANDIDATES)
    files = {"on_policy": tmp_path / "on.parquet", "off_policy": tmp_path / "on.parquet"}
    run_here(
        "compute_likelihoods",
        *as_flags(policy=model, **files, max_length=96, dtype="float32", output=tmp_path / "likelihoods.parquet"),
    )
    expected, policy = {}, load_model(model.parent, 96)
    for row, prompt in zip(mixed, prompts_of(tokenizer, mixed), strict=True):
        for side in SIDES:
            ids = row[f"{side}_ids"]
            if row["vocabulary"] != vocabulary_of(tokenizer):
                ids = tokenizer(row[side] + "</s>", add_special_tokens=False)["input_ids"]
            with torch.inference_mode():
                logps = policy(torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
            expected[row["prompt_id"], side] = sum(logps[len(prompt) + at - 1, i].item() for at, i in enumerate(ids))
    for row in read_table(reference, REFERENCE_LOGPS).to_pylist():
        for side in SIDES:
            assert row[f"ref_{side}_logps"] == pytest.approx(expected[row["prompt_id"], side], abs=1e-3)
    for row in read_table(tmp_path / "likelihoods.parquet", LIKELIHOODS).to_pylist():
        assert row["logp"] == pytest.approx(expected[row["prompt_id"], SIDES[row["index"] - 1]], abs=1e-3)
    counts = {"as_sampled": 8, "retokenized": 8, "other_vocabulary": 4, "trimmed": 0, "truncated": 0}
    for ledger, times in (("reference", 1), ("policy/manifest", 1), ("likelihoods", 2)):
        told = read_json(tmp_path / f"{ledger}.ledger.json")
        assert {name: told[name] for name in counts} == {name: times * count for name, count in counts.items()}
