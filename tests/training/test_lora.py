"""LoRA end to end on a tiny model: what is trained, what is saved, and that everything around it is as without."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import as_flags, chat_rows, contents, reference_flags, small_config, training_flags, write_model

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.core.manifests import read_manifest, write_manifest
from dpo_stages.core.parquet import write_table
from dpo_stages.data.schemas import CHAT
from dpo_stages.models.merging import merge_adapter, set_apart
from dpo_stages.models.rounding import narrow_weights
from dpo_stages.models.weights import load_model, tensor_names, write_config
from dpo_stages.training.adapters import Lora, target_layers

LORA = {"lora_rank": 4, "lora_alpha": 8, "lora_dropout": 0}
RATE = 2e-2


@pytest.fixture(scope="module")
def flags(policy_flags):
    """Flags of a training with LoRA under a folder."""

    def make(folder: Path, targets: tuple = ("all-linear",), **changes: object) -> list[object]:
        return [*policy_flags(folder, **{**LORA, "learning_rate": RATE, **changes}), "--lora-targets", *targets]

    return make


@pytest.fixture(scope="module")
def trained(tmp_path_factory, run_here, flags) -> Path:
    """Folder of a policy trained without any interruption."""
    folder = tmp_path_factory.mktemp("trained")
    run_here("train_policy", *flags(folder))
    return folder / "policy"


def log_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]


def weights_of(folder: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_the_folder_holds_a_policy_like_any_other(trained, model):
    manifest = read_manifest(trained / "manifest.json")
    assert "peft" in manifest["versions"]
    assert manifest["arguments"]["lora"] == {"rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": ["all-linear"]}
    beside = ["adapter/adapter_config.json", "adapter/adapter_model.safetensors"]
    assert set(manifest["files"]) == {*read_manifest(model)["files"], "training_log.jsonl", *beside}
    load_model(trained, 96)
    assert not (trained.parent / "checkpoints").exists()


def test_a_product_of_the_rank_was_added_to_the_targets_and_nothing_to_the_rest(trained, model):
    import torch

    before, after = weights_of(model.parent), weights_of(trained)
    assert before.keys() == after.keys()
    for name, weight in after.items():
        difference = weight - before[name]
        if "_proj" in name:
            assert torch.linalg.matrix_rank(difference, rtol=1e-4) == 4, name
        else:
            assert not difference.any(), name


def test_it_starts_at_the_reference_and_learns(tmp_path, run_here, flags):
    run_here("train_policy", *flags(tmp_path, epochs=4))
    losses = [row["loss"] for row in log_of(tmp_path / "policy")]
    assert losses[0] == pytest.approx(0.69314718, abs=1e-6)
    assert sum(losses[-6:]) < 0.8 * sum(losses[:6])


def test_the_same_inputs_give_the_same_bytes_and_another_seed_others(tmp_path, run_here, flags, trained):
    run_here("train_policy", *flags(tmp_path))
    assert contents(tmp_path / "policy") == contents(trained)
    run_here("train_policy", *flags(tmp_path, seed=1))
    assert contents(tmp_path / "policy")["model.safetensors"] != contents(trained)["model.safetensors"]


@pytest.mark.parametrize("targets", [["q_proj"], ["q_proj", "down_proj"]], ids=" ".join)
def test_targets_are_layers_by_their_last_names(tmp_path, run_here, flags, model, targets):
    run_here("train_policy", *flags(tmp_path, targets=targets))
    before, after = weights_of(model.parent), weights_of(tmp_path / "policy")
    changed = {name.split(".")[-2] for name in after if not after[name].equal(before[name])}
    assert changed == set(targets)
    assert read_manifest(tmp_path / "policy/manifest.json")["arguments"]["lora"]["targets"] == targets


@pytest.fixture
def adapter(tmp_path, model):
    """A model with random products beside its weights, and the policy's folder in which they are saved."""
    import torch
    from peft import get_peft_model

    lora = Lora(rank=4, alpha=6.0, dropout=0.0, targets=["all-linear"])
    base = load_model(model.parent, 96)
    adapted = get_peft_model(base, lora.config(base, model.parent))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) / 10)
    adapted.save_pretrained(tmp_path / "adapted")
    set_apart(tmp_path / "adapted", "tiny")
    return adapted.eval(), tmp_path / "adapted"


@pytest.fixture
def ids(tokenizer):
    import torch

    return torch.tensor([tokenizer.encode("the red cat likes a river under the tree")])


def test_the_merged_policy_says_what_the_adapted_model_said(adapter, model, ids):
    """And PEFT's own merging gives the same weights."""
    import torch

    adapted, folder = adapter
    merge_adapter(folder, model.parent)
    write_config(model.parent, folder, "float32")
    with torch.no_grad():
        theirs, ours = adapted(ids).logits, load_model(folder, 96)(ids).logits
        initial = load_model(model.parent, 96)(ids).logits
    assert (theirs - initial).abs().max() > 1
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-4)
    for name, weight in adapted.merge_and_unload().state_dict().items():
        assert torch.allclose(weights_of(folder)[name], weight, rtol=0, atol=1e-6)


def test_merging_keeps_the_files_of_a_policy_in_several(tmp_path, adapter, model):
    import torch
    from safetensors.torch import load_file
    from test_training import write_shards

    weights = weights_of(model.parent)
    names = sorted(weights)
    shards = [{name: weights[name].bfloat16() for name in part} for part in (names[:7], names[7:])]
    write_shards(tmp_path / "initial", shards)
    _, folder = adapter
    merge_adapter(folder, tmp_path / "initial")
    assert sorted(path.name for path in folder.glob("model*")) == sorted(
        path.name for path in (tmp_path / "initial").glob("model*")
    )
    found = {name: tensor for path in folder.glob("model*.safetensors") for name, tensor in load_file(path).items()}
    total = sum(tensor.nbytes for tensor in found.values())
    assert read_json(folder / "model.safetensors.index.json")["metadata"]["total_size"] == total
    trained = load_file(folder / "adapter/adapter_model.safetensors")
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    for name, tensor in found.items():
        layer = f"base_model.model.{name.removesuffix('.weight')}"
        product = trained[f"{layer}.lora_B.weight"] @ trained[f"{layer}.lora_A.weight"] * 1.5 if "_proj" in name else 0
        assert torch.allclose(tensor, weights[name].bfloat16().float() + product, atol=1e-6), name


def test_a_layer_that_is_not_there_is_named_with_those_that_are(tmp_path, run_here, flags):
    with pytest.raises(
        BadInput, match="lora.targets: query is no linear layer of this model; there are q_proj, k_proj"
    ):
        run_here("train_policy", *flags(tmp_path, targets=["q_proj", "query"]))
    with pytest.raises(BadInput, match="lora.targets: lm_head is no linear layer"):
        run_here("train_policy", *flags(tmp_path, targets=["lm_head"]))


def test_weights_by_other_names_are_refused_before_training(tmp_path, model):
    from safetensors.torch import save_file

    other = {name.removeprefix("model."): weight for name, weight in weights_of(model.parent).items()}
    save_file(other, tmp_path / "model.safetensors")
    assert "layers.0.self_attn.q_proj.weight" in tensor_names(tmp_path)
    with pytest.raises(BadInput, match="holds no weights of model.layers.0.self_attn.q_proj under this name"):
        Lora(4, 8.0, 0.0, ["all-linear"]).config(load_model(model.parent, 96), tmp_path)


def test_a_part_of_the_flags_is_refused(tmp_path, run_here, model, preferences, reference_logps):
    inputs = as_flags(initial=model, preferences=preferences, reference_logps=reference_logps, beta=0.1, loss="sigmoid")
    with pytest.raises(BadInput, match="LoRA needs --lora-alpha, --lora-dropout, --lora-targets as well"):
        run_here("train_policy", *inputs, *training_flags(tmp_path, lora_rank=4))


def test_the_output_layer_is_none_of_all_linear_layers(model):
    layers = target_layers(load_model(model.parent, 96), ["all-linear"])
    assert len(layers) == 2 * 7 and "lm_head" not in layers


# Interruptions


KILLED = """
import os, signal, sys
from dpo_stages.training import trainers

def closing(checkpoint, close=trainers.close_checkpoint):
    if checkpoint.name == "checkpoint-4":
        os.kill(os.getpid(), signal.SIGKILL)
    close(checkpoint)

trainers.close_checkpoint = closing
import train_policy
train_policy.main()
"""


def test_a_killed_run_goes_on_from_a_small_checkpoint_and_ends_the_same(
    tmp_path, root, run_here, flags, trained, model, capsys
):
    arguments = list(map(str, flags(tmp_path, checkpoint_minutes=0)))
    environment = {**os.environ, "PYTHONPATH": str(root / "workflow_scripts")}
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    checkpoint = tmp_path / "checkpoints/checkpoint-3"
    assert not (checkpoint / "model.safetensors").exists()
    assert (checkpoint / "adapter_model.safetensors").stat().st_size < (
        model.parent / "model.safetensors"
    ).stat().st_size
    run_here("train_policy", *flags(tmp_path))
    assert "going on from" in (said := capsys.readouterr().out) and "checkpoint-3" in said
    assert contents(tmp_path / "policy") == contents(trained)


def test_a_terminated_run_goes_on(tmp_path, run_here, flags, trained, monkeypatch):
    from dpo_stages.training.trainers import ProgressLines

    def terminating(self, args, state, control, **kwargs):
        if state.global_step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(ProgressLines, "on_step_end", terminating)
        run_here("train_policy", *flags(tmp_path))
    assert stopped.value.code == 128 + signal.SIGTERM
    run_here("train_policy", *flags(tmp_path))
    assert contents(tmp_path / "policy") == contents(trained)


def test_a_paused_training_goes_on_and_ends_as_it_would_have(tmp_path, run_here, flags, trained):
    for share in (0.3, 0.5):
        run_here("train_policy", "--until", share, *flags(tmp_path, output=tmp_path / f"{share}/manifest.json"))
    assert contents(tmp_path / "0.5")["model.safetensors"] != contents(tmp_path / "0.3")["model.safetensors"]
    run_here("train_policy", *flags(tmp_path))
    assert contents(tmp_path / "policy") == contents(trained)


def test_dropout_is_what_is_set_and_a_resumed_run_draws_the_same(tmp_path, run_here, flags, trained):
    """TRL switches dropout off in preference optimisation; the first step still equals the reference."""
    run_here("train_policy", *flags(tmp_path / "whole", lora_dropout=0.5))
    log, without = log_of(tmp_path / "whole/policy"), log_of(trained)
    assert log[0]["loss"] == without[0]["loss"] and log[-1]["loss"] != pytest.approx(without[-1]["loss"], rel=1e-3)
    paused = flags(tmp_path / "paused", lora_dropout=0.5, output=tmp_path / "half/manifest.json")
    run_here("train_policy", "--until", 0.5, *paused)
    run_here("train_policy", *flags(tmp_path / "paused", lora_dropout=0.5))
    assert contents(tmp_path / "paused/policy") == contents(tmp_path / "whole/policy")


@pytest.mark.parametrize("sharded", [False, True], ids=["replicated", "sharded"])
def test_two_processes_pause_and_give_the_one_process_result(tmp_path, root, flags, trained, sharded):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    if sharded:
        fsdp = root / "workflow_scripts/dpo_stages/training/fsdp.yaml"
        command += [Path(__file__).with_name("sharded_on_cpu.py"), fsdp]
    command += [root / "workflow_scripts/train_policy.py"]
    paused = ["--until", 0.5, *flags(tmp_path, output=tmp_path / "paused/manifest.json")]
    for arguments, going_on in ((paused, 0), (flags(tmp_path), 1)):
        result = subprocess.run(list(map(str, [*command, *arguments])), capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("parameters: {'DTensor'}") == (2 if sharded else 0)
        assert result.stdout.count("going on from") == going_on
    ours, theirs = weights_of(tmp_path / "policy"), weights_of(trained)
    assert max((ours[name] - theirs[name]).abs().max().item() for name in theirs) < 1e-4


# Mixed precision


@pytest.fixture(scope="module")
def narrow(tmp_path_factory) -> Path:
    """Manifest of a policy in bfloat16, as published models are; its output layer shares the embedding's weights."""
    manifest = write_model(tmp_path_factory.mktemp("bfloat16") / "tiny", tie_word_embeddings=True)
    narrow_weights(manifest.parent, "nearest", "")
    write_config(manifest.parent, manifest.parent, "bfloat16")
    write_manifest(manifest.parent, {"policy": "tiny/sft"})
    return manifest


def logps_of(folder: Path, pairs, narrow: bool) -> list[float]:
    from dpo_stages.training.logps import response_logps

    found = response_logps(load_model(folder, 96, narrow=narrow).eval(), pairs, 2, "bfloat16")
    return found["chosen"] + found["rejected"]


@pytest.mark.parametrize("stored", ["bfloat16", "float32"])
def test_narrow_weights_give_the_log_probabilities_of_wide_ones_to_the_bit(narrow, model, pairs, stored):
    import torch

    folder = (narrow if stored == "bfloat16" else model).parent
    loaded = load_model(folder, 96, narrow=True)
    kinds = {name.split(".")[-2]: weight.dtype for name, weight in loaded.named_parameters()}
    assert kinds["q_proj"] == torch.bfloat16 and kinds["input_layernorm"] == torch.float32
    assert kinds["embed_tokens"] == (torch.bfloat16 if stored == "bfloat16" else torch.float32)
    assert logps_of(folder, pairs, narrow=True) == logps_of(folder, pairs, narrow=False)


@pytest.mark.parametrize("architecture", ["Mistral", "Phi", "Qwen2", "Qwen3", "GPTNeoX", "Gemma2"])
def test_every_architecture_is_narrow_to_the_bit_and_merged_under_its_own_names(
    tmp_path, tokenizer, pairs, architecture
):
    import torch
    import transformers
    from peft import get_peft_model

    torch.manual_seed(0)
    tied, grouped = architecture in ("Qwen2", "Gemma2"), architecture not in ("Phi", "GPTNeoX")
    config = small_config(architecture, len(tokenizer), tied, grouped)
    transformers.AutoModelForCausalLM.from_config(config).bfloat16().save_pretrained(tmp_path / "initial")
    initial = tmp_path / "initial"
    assert logps_of(initial, pairs, narrow=True) == logps_of(initial, pairs, narrow=False)
    lora = Lora(rank=2, alpha=2.0, dropout=0.0, targets=["all-linear"])
    base = load_model(initial, 96)
    adapted = get_peft_model(base, lora.config(base, initial), autocast_adapter_dtype=False)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.05)
    adapted.save_pretrained(tmp_path / "merged")
    set_apart(tmp_path / "merged", "tiny")
    merge_adapter(tmp_path / "merged", initial)
    write_config(initial, tmp_path / "merged", "float32")
    ids = torch.arange(20)[None]
    with torch.no_grad():
        theirs, ours = adapted.eval()(ids).logits, load_model(tmp_path / "merged", 96).eval()(ids).logits
        assert not torch.allclose(theirs, load_model(initial, 96).eval()(ids).logits, atol=1e-2)
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_mixed_precision_trains_wide_products_beside_narrow_weights(tmp_path, run_here, flags, narrow, preferences):
    import torch

    reference = tmp_path / "r.parquet"
    run_here("compute_reference_logps", *reference_flags(narrow, preferences, reference, dtype="bfloat16"))
    changes = {"initial": narrow, "reference_logps": reference, "dtype": "bfloat16", "rounding": "none"}
    run_here("train_policy", *flags(tmp_path, **changes))
    inputs = as_flags(initial=narrow, preferences=preferences, reference_logps=reference, beta=0.1, loss="sigmoid")
    full = {"dtype": "bfloat16", "rounding": "none", "learning_rate": RATE}
    run_here("train_policy", *inputs, *training_flags(tmp_path / "full", **full))
    ours, theirs = log_of(tmp_path / "policy"), log_of(tmp_path / "full/policy")
    same = ("loss", "logps_chosen", "logps_rejected")
    assert {name: ours[0][name] for name in same} == {name: theirs[0][name] for name in same}  # to the bit
    assert ours[-1]["loss"] != theirs[-1]["loss"]
    before, after = weights_of(narrow.parent), weights_of(tmp_path / "policy")
    assert {tensor.dtype for tensor in after.values()} == {torch.float32}
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.linalg.matrix_rank(after[name] - before[name].float(), rtol=1e-3) == 4
    assert 0 < read_json(tmp_path / "policy/manifest.ledger.json")["unchanged_weights"] < 1


def test_layers_that_are_computed_again_give_the_same(tmp_path, run_here, flags, narrow, preferences, monkeypatch):
    """As on GPUs, where activations are not kept: gradients have to get through frozen layers."""
    import train_policy

    reference = tmp_path / "r.parquet"
    run_here("compute_reference_logps", *reference_flags(narrow, preferences, reference, dtype="bfloat16"))
    changes = {"initial": narrow, "reference_logps": reference, "dtype": "bfloat16", "rounding": "none"}
    run_here("train_policy", *flags(tmp_path / "kept", **changes))
    arguments = train_policy.trainer_arguments
    again = {"activation_checkpointing": True}
    monkeypatch.setattr(train_policy, "trainer_arguments", lambda settings: {**arguments(settings), **again})
    run_here("train_policy", *flags(tmp_path / "again", **changes))
    kept, made = log_of(tmp_path / "kept/policy"), log_of(tmp_path / "again/policy")
    assert [row["loss"] for row in made] == pytest.approx([row["loss"] for row in kept], rel=1e-5)


def test_what_is_rounded_is_the_sum(tmp_path, run_here, flags, narrow, preferences):
    import torch

    reference = tmp_path / "r.parquet"
    run_here("compute_reference_logps", *reference_flags(narrow, preferences, reference, dtype="bfloat16"))
    for rounding in ("none", "nearest"):
        changes = {"initial": narrow, "reference_logps": reference, "dtype": "bfloat16", "rounding": rounding}
        run_here("train_policy", *flags(tmp_path / rounding, **changes))
    wide, rounded = weights_of(tmp_path / "none/policy"), weights_of(tmp_path / "nearest/policy")
    assert all(rounded[name].equal(wide[name].to(torch.bfloat16)) for name in wide)
    assert 0.9 < read_json(tmp_path / "nearest/policy/manifest.ledger.json")["margin_kept"] < 1.1


def test_supervised_fine_tuning(tmp_path, run_here, model):
    write_table(tmp_path / "chat.parquet", chat_rows(40), CHAT)
    changes = {"policy": "tiny/sft", "max_length": 128, "epochs": 4, "learning_rate": RATE, **LORA}
    run_here(
        "train_sft",
        *as_flags(base=model, dataset=tmp_path / "chat.parquet"),
        *training_flags(tmp_path, **changes),
        *("--lora-targets", "all-linear"),
    )
    losses = [row["loss"] for row in log_of(tmp_path / "policy")]
    assert losses[-1] < 0.9 * losses[0]
    before, after = weights_of(model.parent), weights_of(tmp_path / "policy")
    assert {name for name in after if not after[name].equal(before[name])} == {
        name for name in after if "_proj" in name
    }
