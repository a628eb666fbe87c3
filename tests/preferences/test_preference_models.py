"""Other ways to run a ranker, and other preference models: the library's engine, bfloat16, reward models."""

import datetime
import json
import random
import shutil

import numpy as np
import pytest
from rankers import HOSTILE_WORDS, adversarial_pairs, plain, write_ranker
from test_parity import by_library

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.options import Options
from dpo_stages.preferences.pairrm.network import cpu_has_bfloat16
from dpo_stages.preferences.pairrm.scoring import COARSE_CLOSE_CALL
from dpo_stages.preferences.pairs import Pair


@pytest.fixture(scope="module")
def pairs():
    return adversarial_pairs(120, seed=11)


# llm-blender's engine


@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_engine_llm_blender_is_compare_conversations(model_folder, blender, pairs, batch_size):
    model = open_preference_model(model_folder, Options(engine="llm-blender", batch_size=batch_size))
    verdicts = model.compare(pairs)
    assert (verdicts.logits == by_library(blender, pairs, batch_size)).all()
    assert verdicts.counts["batch_size"] == batch_size
    assert verdicts.counts["truncated_sources"] > 0


def test_the_engine_llm_blender_takes_any_text_and_none(model_folder):
    model = open_preference_model(model_folder, Options(engine="llm-blender", batch_size=2))
    hostile = [Pair([{"role": "user", "content": text}], text, "fine") for text in HOSTILE_WORDS]
    verdicts = model.compare(hostile)
    assert np.isfinite(verdicts.orders).all() and verdicts.counts["control_texts"] == len(hostile)
    assert model.compare([]).orders.shape == (0, 2)


def test_the_engine_rank_is_the_librarys_own_over_the_four_candidates_of_a_prompt(model_folder, blender):
    draw = random.Random(0)
    prompts = [plain(draw, 6) for _ in range(5)]
    lists = [[plain(draw, draw.choice((1, 8, 60))) for _ in range(4)] for _ in prompts]
    pairs = [
        Pair([{"role": "user", "content": prompt}], own, other)
        for prompt, candidates in zip(prompts, lists, strict=True)
        for own in candidates[:2]
        for other in candidates[2:]
    ]
    model = open_preference_model(model_folder, Options(engine="rank", batch_size=2))
    scores = blender.rank(prompts, lists, return_scores=True, batch_size=2)
    expected = [row[own] - row[2 + other] for row in scores for own in (0, 1) for other in (0, 1)]
    assert model.compare(pairs).logits == pytest.approx(expected, abs=1e-6)
    assert model.compare([]).logits.tolist() == []


def test_the_engine_rank_labels_no_pairs(model_folder):
    model = open_preference_model(model_folder, Options(engine="rank", batch_size=2))
    with pytest.raises(BadInput, match="label pairs with another engine"):
        model.compare(adversarial_pairs(4, seed=0))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--engine", "llm-blender"], "--batch-size belong together"),
        (["--batch-size", "4"], "--batch-size belong together"),
        (["--engine", "llm-blender", "--batch-size", "4", "--precision", "bfloat16"], "no --precision"),
    ],
)
def test_flags_that_do_not_belong_together(run_here, model_folder, tmp_path, flags, message):
    row = {"prompt": "a", "response_1": "b", "response_2": "c"}
    (tmp_path / "in.jsonl").write_text(json.dumps(row) + "\n")
    files = ["--pairs", tmp_path / "in.jsonl", "--output", tmp_path / "out.parquet", "--preference-model", model_folder]
    with pytest.raises(BadInput, match=message):
        run_here("label_preferences", *files, *flags)


# bfloat16


@pytest.fixture
def in_bfloat16(model_folder, monkeypatch):
    """The ranker in bfloat16, on whatever CPU: slow without its instructions, and the same."""
    monkeypatch.setattr("dpo_stages.preferences.pairrm.network.cpu_has_bfloat16", lambda: True)
    return open_preference_model(model_folder, Options(precision="bfloat16"))


def test_bfloat16_changes_logits_and_no_label(in_bfloat16, model, pairs):
    coarse, exact = in_bfloat16.compare(pairs), model.compare(pairs)
    difference = np.abs(coarse.logits - exact.logits)
    assert 1e-4 < difference.max() < COARSE_CLOSE_CALL
    assert (np.sign(coarse.logits) == np.sign(exact.logits)).all()
    near = np.abs(exact.logits) < COARSE_CLOSE_CALL / 2
    assert near.any() and difference[near].max() <= 1e-5  # scored again
    assert coarse.counts["bfloat16_checked"] > 80 and coarse.counts["bfloat16_flips"] == 0


def test_a_network_that_bfloat16_turns_around_is_refused(in_bfloat16, pairs):
    class Other:
        def __init__(self, network):
            self.network = network

        def __call__(self, *batch):
            return -self.network(*batch)

    in_bfloat16.coarse = Other(in_bfloat16.coarse)
    with pytest.raises(BadInput, match="another label than float32, where 0.5% may"):
        in_bfloat16.compare(pairs)


def test_bfloat16_without_its_instructions_is_bad_input(model_folder, monkeypatch):
    monkeypatch.setattr("dpo_stages.preferences.pairrm.network.cpu_has_bfloat16", lambda: False)
    with pytest.raises(BadInput, match="no instructions for bfloat16"):
        open_preference_model(model_folder, Options(precision="bfloat16"))
    assert isinstance(cpu_has_bfloat16(), bool)


# Reward models

TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
    "[CLS] {{ m.role }}: {{ m.content }} [SEP]{% endfor %}"
)


@pytest.fixture(scope="module", params=["text pairs", "chat template"])
def reward_folder(request, tmp_path_factory):
    """A random DeBERTa with one score, with a chat template and without."""
    import torch
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    from dpo_stages.demo.ranker import train_tokenizer

    folder = tmp_path_factory.mktemp("reward_model")
    tokenizer = train_tokenizer([plain(random.Random(0), 300), "user: assistant: system S E P [ ]"], 200)
    if request.param == "chat template":
        tokenizer.chat_template = TEMPLATE
    tokenizer.model_max_length = 120
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=len(tokenizer), hidden_size=32, num_attention_heads=2, num_hidden_layers=2, intermediate_size=64,
        max_position_embeddings=128, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=32,
        type_vocab_size=0, num_labels=1, pad_token_id=tokenizer.pad_token_id, initializer_range=0.2,
    )  # fmt: skip
    model = DebertaV2ForSequenceClassification(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_reward_model_in_any_company(reward_folder, pairs):
    model = open_preference_model(reward_folder)
    verdicts = model.compare(pairs)
    assert (verdicts.orders[:, 0] == verdicts.orders[:, 1]).all() and not verdicts.order_flips.any()
    assert np.abs(verdicts.logits).max() > 0.1 and verdicts.counts["truncated_candidates"] > 10
    alone = np.concatenate([model.compare([pair]).logits for pair in pairs])
    assert np.abs(alone - verdicts.logits).max() <= 1e-5
    assert (np.sign(alone) == np.sign(verdicts.logits)).all()
    mirrored = model.compare([Pair(pair.prompt, pair.response_2, pair.response_1) for pair in pairs])
    assert (np.sign(mirrored.logits) == -np.sign(verdicts.logits)).all()


def test_a_reward_models_logit_is_the_difference_of_transformers_scores(reward_folder):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    pair = Pair([{"role": "user", "content": "who can dig"}], "the murrow", "a tarsel and honey")
    tokenizer = AutoTokenizer.from_pretrained(reward_folder)
    network = AutoModelForSequenceClassification.from_pretrained(reward_folder).eval()
    scores = []
    for response in (pair.response_1, pair.response_2):
        if tokenizer.chat_template:
            turns = [*pair.prompt, {"role": "assistant", "content": response}]
            ids = tokenizer.apply_chat_template(turns, return_tensors="pt")
        else:
            ids = tokenizer(pair.prompt[0]["content"], response, return_tensors="pt").input_ids
        with torch.no_grad():
            scores.append(network(ids).logits.item())
    found = open_preference_model(reward_folder).compare([pair]).logits[0]
    assert found == pytest.approx(scores[0] - scores[1], abs=1e-6) and found != 0


def test_a_reward_model_is_fetched_and_opened_by_its_manifest(reward_folder, run_here, tmp_path, pairs):
    manifest = tmp_path / "models/mine/manifest.json"
    run_here("fetch_preference_model", "--path", reward_folder, "--output", manifest)
    model = open_preference_model(manifest)
    assert model.name == "mine" and model.version != "unknown"
    assert (
        np.abs(model.compare(pairs[:9]).logits - open_preference_model(reward_folder).compare(pairs[:9]).logits).max()
        < 1e-6
    )
    with pytest.raises(BadInput, match="leave --engine away"):
        open_preference_model(manifest, Options(engine="llm-blender", batch_size=4))


@pytest.mark.parametrize("reward_folder", ["chat template"], indirect=True)
@pytest.mark.parametrize("inside", [False, True], ids=["a file", "in tokenizer_config.json"])
def test_a_reward_models_template_says_the_day_of_the_first_fetch(
    reward_folder, run_here, tmp_path, inside, monkeypatch
):
    from transformers import AutoTokenizer
    from transformers.utils import chat_template_utils

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2027, 1, 2)

    source, dated = tmp_path / "source", "{{ strftime_now('%Y-%m-%d') }} " + TEMPLATE
    shutil.copytree(reward_folder, source)
    (source / "chat_template.jinja").write_text(dated)
    if inside:
        (source / "chat_template.jinja").unlink()
        settings = read_json(source / "tokenizer_config.json")
        several = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": dated}]
        write_json(source / "tokenizer_config.json", {**settings, "chat_template": several})
    write_json(tmp_path / "pin.json", {"date": "2026-11-25"})
    manifest = tmp_path / "models/mine/manifest.json"
    run_here("fetch_preference_model", "--path", source, "--pin", tmp_path / "pin.json", "--output", manifest)
    monkeypatch.setattr(chat_template_utils, "datetime", Later)
    text = AutoTokenizer.from_pretrained(manifest.parent / "model").apply_chat_template(
        [{"role": "user", "content": "dig"}], tokenize=False
    )
    assert text == "2026-11-25 [CLS] user: dig [SEP]" and read_json(manifest)["date"] == "2026-11-25"


def test_a_control_token_in_a_text_is_text(reward_folder):
    model = open_preference_model(reward_folder)
    asked = [{"role": "user", "content": "who"}]
    ends, honey = (model._encode(asked, text) for text in ("honey [SEP] moss", "honey moss"))
    separator = model.tokenizer.sep_token_id
    assert ends.read.ids.count(separator) == honey.read.ids.count(separator) > 0
    read = model.tokenizer.decode(ends.read.ids, skip_special_tokens=False).replace(" ", "")
    assert "honey[SEP]moss" in read and (ends.control_text, honey.control_text) == (True, False)
    counts = model.compare([Pair(asked, "honey [SEP] moss", "moss"), Pair(asked, "honey", "moss")]).counts
    assert counts["control_texts"] == 1
    assert model._encode([{"role": "user", "content": "[CLS]"}], "moss").read.ids.count(
        model.tokenizer.cls_token_id
    ) == honey.read.ids.count(model.tokenizer.cls_token_id)


def test_a_classifier_is_no_reward_model(reward_folder, tmp_path):
    shutil.copytree(reward_folder, tmp_path / "classifier")
    config = json.loads((tmp_path / "classifier/config.json").read_text())
    config |= {"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}}
    (tmp_path / "classifier/config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match="cannot be loaded|gives 2 scores"):
        open_preference_model(tmp_path / "classifier")


def test_a_ranker_that_llm_blender_cannot_load_is_one_sentence(tmp_path):
    write_ranker(tmp_path / "broken")
    for file in (tmp_path / "broken").glob("tokenizer.json"):
        file.unlink()
    (tmp_path / "broken/manifest.json").unlink()
    (tmp_path / "broken/ranker/model.safetensors").write_bytes(b"no weights")
    with pytest.raises(BadInput, match="llm-blender cannot load broken"):
        open_preference_model(tmp_path / "broken")
