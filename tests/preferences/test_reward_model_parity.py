"""Reward models score as Transformers' own pipeline for text classification does, whatever tells their two texts apart.

Networks have tiny random weights, tokenizers are made here: pairs of texts by special tokens alone (RoBERTa, DeBERTa-v3, Llama,
Qwen2) or by token types too (BERT, DeBERTa with types), and with a chat template where such models have one.
"""

import random

import numpy as np
import pytest
from rankers import WORDS, plain

from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.pairs import Pair

LONGEST = 64
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "num_labels": 1}
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }} {{ eos_token }} {% endfor %}"


def tokenizer_of(kind, begin, end, pad, pair, **options):
    """A fast tokenizer of the class `kind` over whole words, whose pairs of texts the post-processor writes as `pair`."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = dict.fromkeys(["<unk>", pad, begin, end, *WORDS, "user", "assistant", ":"])
    vocabulary = {word: number for number, word in enumerate(words)}
    backend = Tokenizer(models.WordLevel(vocabulary, "<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [(token, vocabulary[token]) for token in (begin, end)]
    backend.post_processor = processors.TemplateProcessing(f"{begin} $A {end}", pair, special)
    names = {"unk_token": "<unk>", "pad_token": pad, "bos_token": begin, "eos_token": end, "cls_token": begin}
    return getattr(transformers, kind)(
        tokenizer_object=backend, model_max_length=LONGEST, sep_token=end, **names, **options
    )


def bert():
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = tokenizer_of(
        "PreTrainedTokenizerFast", "[CLS]", "[SEP]", "[PAD]", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip
    return BertForSequenceClassification, BertConfig(**SMALL, max_position_embeddings=LONGEST), tokenizer


def deberta_v2(types=0):
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    config = DebertaV2Config(
        **SMALL, max_position_embeddings=LONGEST, relative_attention=True, pos_att_type=["p2c", "c2p"],
        position_buckets=16, type_vocab_size=types,
    )  # fmt: skip
    return DebertaV2ForSequenceClassification, config, bert()[2]


def deberta_with_types():
    return deberta_v2(types=2)


def roberta():
    from transformers import RobertaConfig, RobertaForSequenceClassification

    tokenizer = tokenizer_of(
        "PreTrainedTokenizerFast", "<s>", "</s>", "<pad>", "<s> $A </s> </s> $B </s>",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    config = RobertaConfig(**SMALL, max_position_embeddings=LONGEST + 2, type_vocab_size=1)
    return RobertaForSequenceClassification, config, tokenizer


def llama():
    from transformers import LlamaConfig, LlamaForSequenceClassification

    tokenizer = tokenizer_of("LlamaTokenizerFast", "<s>", "</s>", "<pad>", "<s> $A <s> $B:1")
    return LlamaForSequenceClassification, LlamaConfig(**SMALL, max_position_embeddings=LONGEST), tokenizer


def qwen2():
    from transformers import Qwen2Config, Qwen2ForSequenceClassification

    tokenizer = tokenizer_of("Qwen2TokenizerFast", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "$A $B:1")
    return (
        Qwen2ForSequenceClassification,
        Qwen2Config(**SMALL, num_key_value_heads=2, max_position_embeddings=LONGEST),
        tokenizer,
    )


def saved(folder, kind, template=None):
    """The folder of a network with large random weights, segment embeddings among them."""
    import torch

    network, config, tokenizer = kind()
    tokenizer.chat_template = template
    config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    torch.manual_seed(0)
    model = network(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, 1.0 if "token_type" in name else 0.4)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def pairs():
    """Short and long ones in turns, so that batches are padded and some are cut."""
    draw = random.Random(0)
    texts = [[plain(draw, draw.choice((2, 5, 20, 50))) for _ in range(3)] for _ in range(24)]
    return [Pair([{"role": "user", "content": prompt}], first, second) for prompt, first, second in texts]


def by_the_pipeline(folder, asked):
    """Transformers' own difference of scores of each pair, one text after the other."""
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(folder), device="cpu", function_to_apply="none")

    def score(prompt, response):
        if classify.tokenizer.chat_template:
            turns = [*prompt, {"role": "assistant", "content": response}]
            text = classify.tokenizer.apply_chat_template(turns, tokenize=False)
            classify.tokenizer.truncation_side = "left"
            cut = {"truncation": True, "max_length": LONGEST, "add_special_tokens": False}
            return classify([text], **cut)[0]["score"]
        both = {"text": prompt[0]["content"], "text_pair": response}
        return classify([both], truncation="longest_first", max_length=LONGEST)[0]["score"]

    return [score(pair.prompt, pair.response_1) - score(pair.prompt, pair.response_2) for pair in asked]


@pytest.mark.parametrize("template", [None, TEMPLATE], ids=["text pairs", "chat template"])
@pytest.mark.parametrize("kind", [bert, deberta_v2, deberta_with_types, roberta, llama, qwen2])
def test_scores_are_those_of_transformers_pipeline(kind, template, tmp_path):
    folder, asked = saved(tmp_path, kind, template), pairs()
    expected, verdicts = by_the_pipeline(folder, asked), open_preference_model(folder).compare(asked)
    assert verdicts.logits == pytest.approx(expected, abs=1e-4) and np.abs(expected).max() > 0.1
    assert 0 < verdicts.counts["truncated_candidates"] < len(asked)


@pytest.mark.parametrize(("kind", "has_types"), [(bert, True), (deberta_with_types, True), (roberta, False)])
def test_token_types_are_read_where_tokenizer_and_network_have_them(kind, has_types, tmp_path):
    model, asked = open_preference_model(saved(tmp_path, kind)), pairs()
    found = model.compare(asked).logits
    assert model.has_types is has_types
    model.has_types = False
    as_one_segment = model.compare(asked).logits
    if has_types:  # and labels hang on them
        assert (np.sign(as_one_segment) != np.sign(found)).any() and np.abs(as_one_segment - found).max() > 0.1
    else:
        assert (as_one_segment == found).all()


def test_a_tokenizer_may_say_that_its_model_was_trained_without_token_types(tmp_path):
    folder, asked = saved(tmp_path, bert), pairs()
    with_types = open_preference_model(folder).compare(asked).logits
    settings = folder / "tokenizer_config.json"
    text = settings.read_text()
    changed = text.replace('    "token_type_ids",\n', "")
    assert changed != text
    settings.write_text(changed)
    model = open_preference_model(folder)
    assert not model.has_types
    assert model.compare(asked).logits == pytest.approx(by_the_pipeline(folder, asked), abs=1e-4)
    assert np.abs(model.compare(asked).logits - with_types).max() > 0.1


def test_the_same_tokens_with_the_border_elsewhere_are_another_conversation(tmp_path):
    """Without special tokens between the texts, token types alone tell them apart; each is scored for itself."""
    folder = saved(tmp_path, bert)
    model = open_preference_model(folder)
    tokens = model.tokenizer
    tokens.backend_tokenizer.post_processor = type(tokens.backend_tokenizer.post_processor)(
        "$A", "$A:0 $B:1", special_tokens=[]
    )
    asked = [{"role": "user", "content": "honey"}], [{"role": "user", "content": "honey moss"}]
    first, second = model._encode(asked[0], "moss red").read, model._encode(asked[1], "red").read
    assert first.ids == second.ids and first.types != second.types
    scores = model._score([first, second])
    assert abs(scores[first] - scores[second]) > 1e-3
