"""Networks of the reward models that docs/own.md names, with random weights: fetched, opened, and scored as Transformers does.

The models themselves are not here. What stands for them has their kind of network, with the settings that tell it from others of
its kind, their kind of tokenizer, and a chat template where they have one.
"""

import random

import pytest
from rankers import plain

from dpo_stages.core.errors import BadInput
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.pairs import Pair

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


def qwen3():
    """As Skywork-Reward-V2-Qwen3-0.6B: grouped queries, heads wider than hidden size / heads, norms of queries and keys, ChatML."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3ForSequenceClassification

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([plain(random.Random(0), 300)], trainer)
    fast = Qwen2TokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", unk_token="<|endoftext|>",
        additional_special_tokens=special[1:], chat_template=CHATML, model_max_length=512,
    )  # fmt: skip
    config = Qwen3Config(
        vocab_size=len(fast), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=512, rope_theta=1e6, tie_word_embeddings=True,
        num_labels=1, pad_token_id=fast.pad_token_id, initializer_range=0.2,
    )  # fmt: skip
    return Qwen3ForSequenceClassification(config), fast


def deberta_v3():
    """As OpenAssistant's reward-model-deberta-v3-large-v2: attention by shared, normed relative positions alone; pairs of texts."""
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    from dpo_stages.demo.ranker import train_tokenizer

    tokenizer = train_tokenizer([plain(random.Random(0), 300)], 200)
    config = DebertaV2Config(
        vocab_size=len(tokenizer), hidden_size=32, num_attention_heads=2, num_hidden_layers=2, intermediate_size=64,
        max_position_embeddings=512, relative_attention=True, pos_att_type="p2c|c2p", position_buckets=256,
        share_att_key=True, norm_rel_ebd="layer_norm", position_biased_input=False, max_relative_positions=-1, type_vocab_size=0,
        pooler_hidden_size=32, pooler_hidden_act="gelu", pooler_dropout=0, num_labels=1, pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.2,
    )  # fmt: skip
    return DebertaV2ForSequenceClassification(config), tokenizer


@pytest.fixture(scope="module", params=[qwen3, deberta_v3], ids=["Qwen3", "DeBERTa-v3"])
def published(request, tmp_path_factory):
    """A folder as such a model is published, the network, and its tokenizer."""
    import torch

    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    network, tokenizer = request.param()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, network.eval(), tokenizer


def score(network, tokenizer, prompt, response):
    import torch

    if tokenizer.chat_template:
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
        ids = tokenizer.apply_chat_template(turns, return_tensors="pt")
    else:
        ids = tokenizer(prompt, response, return_tensors="pt").input_ids
    with torch.inference_mode():
        return network(ids).logits.item()


def test_it_is_fetched_and_scores_as_transformers_does(published, run_here, tmp_path):
    folder, network, tokenizer = published
    manifest = tmp_path / "models/mine/manifest.json"
    run_here("fetch_preference_model", "--path", folder, "--output", manifest)
    draw = random.Random(1)
    rows = [tuple(plain(draw, draw.randint(2, 12)) for _ in range(3)) for _ in range(12)]
    pairs = [Pair([{"role": "user", "content": prompt}], first, second) for prompt, first, second in rows]
    expected = [
        score(network, tokenizer, prompt, first) - score(network, tokenizer, prompt, second)
        for prompt, first, second in rows
    ]
    verdicts = open_preference_model(manifest).compare(pairs)
    assert verdicts.logits == pytest.approx(expected, abs=1e-4) and max(map(abs, expected)) > 0.1
    assert not verdicts.order_flips.any()


def test_weights_as_a_pickle_are_refused(published, run_here, tmp_path):
    """As on the branch main of the second; another revision of it has safetensors."""
    folder = tmp_path / "pickle"
    folder.mkdir()
    for file in published[0].iterdir():
        (folder / file.name.replace("model.safetensors", "pytorch_model.bin")).write_bytes(file.read_bytes())
    with pytest.raises(BadInput, match="of reward models no pickles are taken"):
        run_here("fetch_preference_model", "--path", folder, "--output", tmp_path / "models/mine/manifest.json")
