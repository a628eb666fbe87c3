"""Supervised fine-tuning end to end on a tiny model."""

import json
from pathlib import Path

import pytest
from tiny import as_flags, chat_rows, training_flags

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.core.manifests import read_manifest
from dpo_stages.core.parquet import write_table
from dpo_stages.data.schemas import CHAT


@pytest.fixture(scope="module")
def flags(tmp_path_factory, model):
    dataset = tmp_path_factory.mktemp("chat") / "train.parquet"
    write_table(dataset, chat_rows(40), CHAT)

    def make(folder: Path, **changes: object) -> list[object]:
        changes = {"policy": "tiny/sft", "epochs": 2, "max_length": 128, "learning_rate": 3e-3, **changes}
        return [*as_flags(base=model, dataset=changes.pop("dataset", dataset)), *training_flags(folder, **changes)]

    return make


@pytest.fixture(scope="module")
def trained(tmp_path_factory, run_here, flags) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    run_here("train_sft", *flags(folder))
    return folder / "policy"


def test_it_learns(trained):
    rows = [json.loads(line) for line in (trained / "training_log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    manifest = read_manifest(trained / "manifest.json")
    assert manifest["policy"] == "tiny/sft"
    assert not (trained.parent / "checkpoints").exists()


def test_the_same_inputs_give_the_same_bytes(tmp_path, run_here, flags, trained):
    run_here("train_sft", *flags(tmp_path))
    for path in trained.iterdir():
        if path.name.endswith(".ledger.json"):  # has times
            continue
        assert path.read_bytes() == (tmp_path / "policy" / path.name).read_bytes(), path.name


def test_the_first_loss_is_that_of_the_assistants_tokens(trained, model, tokenizer):
    """The mean over tokens, not over rows or micro-batches, and not of what the user says."""
    import pyarrow as pa
    import torch
    from torch.nn.functional import cross_entropy

    from dpo_stages.models.conversation_tokens import tokenize_conversations
    from dpo_stages.models.weights import load_model

    policy = load_model(model.parent, 96)
    tokens = tokenize_conversations(tokenizer, pa.Table.from_pylist(chat_rows(40), schema=CHAT), 128).table.to_pylist()
    with torch.no_grad():
        losses = [
            cross_entropy(policy(torch.tensor([row["input_ids"]])).logits[0, :-1], torch.tensor(row["labels"])[1:])
            for row in tokens
        ]
    log = json.loads((trained / "training_log.jsonl").read_text().splitlines()[0])
    # The first step sees 8 of the 40 conversations; random weights rate them alike.
    assert log["loss"] == pytest.approx(sum(losses).item() / len(losses), rel=0.05)


RECIPE = ["--packing", "--loss-on-prompts", "--empty-system-turn"]


@pytest.fixture(scope="module")
def packed(tmp_path_factory, run_here, flags) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    run_here("train_sft", *flags(folder, max_length=64), *RECIPE)
    return folder / "policy"


def test_packed_rows_are_counted_and_a_step_has_a_batch_of_them(packed):
    ledger = read_json(packed / "manifest.ledger.json")
    assert ledger["rows_in"] == ledger["rows_out"] == ledger["system_turns"] == 40
    assert ledger["tokens"] == ledger["learnt_tokens"] == 64 * ledger["packed_rows"]
    assert (ledger["truncated"], ledger["rows_without_answer"]) == (0, 0) and 0 <= ledger["tokens_left_over"] < 64
    assert ledger["steps"] == 2 * -(-ledger["packed_rows"] // 8)
    assert ledger["last_loss"] < 0.9 * ledger["first_loss"]


def test_the_manifest_names_what_is_switched_on_and_nothing_else(packed, trained):
    switches = {"packing": True, "loss_on_prompts": True, "empty_system_turn": True}
    given, plain = (read_manifest(folder / "manifest.json")["arguments"] for folder in (packed, trained))
    assert given == {**plain, "max_length": 64, **switches} and not switches.keys() & plain.keys()


def test_the_first_loss_of_packed_rows_is_that_of_all_their_tokens(packed, model, tokenizer):
    """Under a plain causal mask: what the model says of a row when it is given nothing but the row."""
    import pyarrow as pa
    import torch
    from torch.nn.functional import cross_entropy

    from dpo_stages.models.conversation_tokens import pack, tokenize_conversations
    from dpo_stages.models.weights import load_model

    chats = pa.Table.from_pylist(chat_rows(40), schema=CHAT)
    recipe = {"packing": True, "loss_on_prompts": True, "empty_system_turn": True}
    rows, _ = pack(tokenize_conversations(tokenizer, chats, 64, **recipe).table, 64, seed=0)
    batch = torch.tensor(rows["input_ids"].to_pylist())
    with torch.no_grad():
        logits = load_model(model.parent, 96)(batch).logits[:, :-1]
    expected = cross_entropy(logits.transpose(1, 2), batch[:, 1:]).item()
    log = json.loads((packed / "training_log.jsonl").read_text().splitlines()[0])
    assert log["loss"] == pytest.approx(expected, rel=0.03)  # the first step sees 8 of the rows


def test_too_few_tokens_for_a_row_are_an_error(tmp_path, run_here, flags):
    with pytest.raises(BadInput, match="tokens, which fill no row of 90000 .*; set packing: false"):
        run_here("train_sft", *flags(tmp_path, max_length=90000), *RECIPE)


def test_conversations_without_anything_to_learn_are_counted(tmp_path, run_here, flags):
    run_here("train_sft", *flags(tmp_path, max_length=12))
    ledger = read_json(tmp_path / "policy/manifest.ledger.json")
    assert ledger["dropped"]["no assistant turn before the cut"] > 0
    assert ledger["rows_in"] == 40 == ledger["rows_out"] + sum(ledger["dropped"].values())


def test_nothing_to_learn_at_all_is_an_error(tmp_path, run_here, flags):
    with pytest.raises(BadInput, match="no conversation with an assistant's turn to learn"):
        run_here("train_sft", *flags(tmp_path, max_length=2))


def test_the_name_must_be_of_iteration_0(tmp_path, run_here, flags):
    with pytest.raises(BadInput, match="the policy that this program makes is MODEL/sft"):
        run_here("train_sft", *flags(tmp_path, policy="tiny/dpo/off"))
