"""The demo's base models: real architectures that learn, one tokenizer, the same bytes from the same seed."""

import json
from random import Random

import make_demo_model
import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.demo import world
from dpo_stages.demo.responders import TEACHERS


@pytest.fixture(scope="module")
def chats(tmp_path_factory):
    """Conversations of an expert, as make_demo_world.py writes them."""
    facts, random = world.draw_facts(Random(0)), Random(0)
    path = tmp_path_factory.mktemp("chats") / "chat.jsonl"
    lines = []
    for text in world.draw_instructions(facts, 120, random):
        answer = TEACHERS["expert"].write(facts, text, random)
        turns = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
        lines.append(json.dumps({"messages": turns}) + "\n")
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def make(run_here, chats):
    def run(folder, architecture="llama", **flags):
        settings = {"--model": "tiny", "--epochs": 1, "--learning-rate": 3e-3, "--seed": 0, "--data": chats, **flags}
        arguments = [part for setting in settings.items() for part in setting]
        manifest = folder / "manifest.json"
        run_here(
            "make_demo_model",
            *arguments,
            *("--architecture", architecture, "--tokenizer-data", chats, "--output", manifest),
        )
        return manifest

    return run


@pytest.mark.parametrize("architecture", make_demo_model.ARCHITECTURES)
def test_each_architecture_is_the_real_one_and_learns(make, tmp_path, architecture):
    from transformers import AutoModelForCausalLM

    manifest = make(tmp_path / "one", architecture)
    model = AutoModelForCausalLM.from_pretrained(manifest.parent)
    assert type(model).__name__ == make_demo_model.ARCHITECTURES[architecture]
    assert model.num_parameters() < 3e6
    longer = make(tmp_path / "four", architecture, **{"--epochs": 4})
    one, four = (read_json(path.with_name("manifest.ledger.json"))["last_loss"] for path in (manifest, longer))
    assert four < 0.8 * one


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(make, tmp_path):
    folders = [make(tmp_path / name, **{"--seed": seed}).parent for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    weights = [(folder / "model.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1] != weights[2]
    assert len({(folder / "tokenizer.json").read_bytes() for folder in folders}) == 1
    assert read_json(folders[0] / "manifest.json")["arguments"] == {"epochs": 1, "learning_rate": 3e-3, "seed": 0}


def test_the_template_marks_what_the_assistant_says_and_nothing_merges_with_a_text(make, tmp_path):
    from dpo_stages.models.chat_tokens import load_tokenizer

    tokenizer = load_tokenizer(make(tmp_path / "model").parent)
    turns = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "It is red."}]
    encoded = tokenizer.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
    said = [token for token, mark in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if mark]
    assert tokenizer.decode(said) == "It is red.<|end|>"
    prompt = tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True)["input_ids"]
    assert encoded["input_ids"] == prompt + said


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("\n", "has no conversation"),
        ('{"prompt": "x"}\n', "row 1: has no list of turns"),
        ('{"messages": [{"role": "user"}]}\n', "row 1: a turn needs a 'role' and a 'content'"),
        ('{"messages": [{"role": "judge", "content": "x"}]}\n', "'judge' is none of system, user, assistant"),
        ('{"messages": [{"role": "user", "content": "' + "x y " * 600 + '"}]}\n', "the model's context is 512"),
    ],
)
def test_bad_conversations_are_one_sentence_and_nothing_is_written(make, tmp_path, lines, message):
    (tmp_path / "bad.jsonl").write_text(lines)
    with pytest.raises(BadInput, match=message):
        make(tmp_path / "model", **{"--data": tmp_path / "bad.jsonl"})
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("flag", [{"--epochs": 0}, {"--learning-rate": 0}])
def test_settings_must_be_positive(make, tmp_path, flag):
    with pytest.raises(BadInput, match="must be positive"):
        make(tmp_path / "model", **flag)
