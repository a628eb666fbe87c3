"""A policy of which the adapter alone is kept: its weights are made again to the bit, for whoever reads it."""

import shutil
import subprocess
import sys

import pytest
from tiny import as_flags, contents, reference_flags, training_flags, write_model

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.core.manifests import write_manifest
from dpo_stages.models.merging import read_policy, whole_policy
from dpo_stages.models.rounding import narrow_weights
from dpo_stages.models.weights import load_model, write_config

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def initial(tmp_path_factory):
    """Manifest of a policy in bfloat16, which came from the hub as it is."""
    manifest = write_model(tmp_path_factory.mktemp("policies") / "sft")
    narrow_weights(manifest.parent, "nearest", "")
    write_config(manifest.parent, manifest.parent, "bfloat16")
    write_manifest(manifest.parent, {"policy": "tiny/sft", "model": {"path": "org/Tiny", "revision": "f" * 40}})
    return manifest


@pytest.fixture(scope="module")
def train(run_here, preferences):
    """Train with LoRA in mixed precision from a policy, one iteration after another beside each other; gives the new manifest."""

    def make(initial, name, **changes):
        folder = initial.parent.parent / name
        reference = folder.with_suffix(".parquet")
        run_here("compute_reference_logps", *reference_flags(initial, preferences, reference, dtype="bfloat16"))
        flags = {"dtype": "bfloat16", "rounding": "stochastic", "learning_rate": 2e-2, "lora_rank": 4, "lora_alpha": 8}
        flags |= {
            "lora_dropout": 0,
            "checkpoints": folder.with_suffix(".checkpoints"),
            "output": folder / "manifest.json",
        }
        run_here(
            "train_policy",
            *as_flags(initial=initial, preferences=preferences, reference_logps=reference, beta=0.1, loss="sigmoid"),
            *training_flags(folder, **flags, **changes),
            *("--lora-targets", "all-linear"),
        )
        return folder / "manifest.json"

    return make


@pytest.fixture(scope="module")
def whole(initial, train):
    return train(initial, "whole")


@pytest.fixture(scope="module")
def kept(initial, train):
    return train(initial, "kept", keep="adapter")


def test_all_but_the_weights_is_kept_and_the_manifest_is_the_same(whole, kept):
    left, all_files = contents(kept.parent), contents(whole.parent)
    assert all_files.keys() - left.keys() == {WEIGHTS}
    assert left == {name: all_files[name] for name in left}
    assert WEIGHTS in read_policy(kept)["files"] and "adapter/adapter_model.safetensors" in left


def test_whoever_reads_it_gets_the_same_bytes_each_time_and_leaves_nothing(whole, kept):
    for _ in range(2):
        with whole_policy(kept.parent) as folder:
            assert contents(folder) == contents(whole.parent)
        assert not folder.exists() and not (kept.parent / WEIGHTS).exists()
    with whole_policy(whole.parent) as folder:
        assert folder == whole.parent


def test_what_an_interrupted_reader_left_is_cleared_away(kept):
    left = kept.parent.with_name(f".{kept.parent.name}.killed.part")
    left.mkdir()
    with whole_policy(kept.parent):
        assert not left.exists()


def test_the_next_iteration_is_the_same_from_either_and_both_are_made_in_one_go(whole, kept, train):
    second, third = (
        train(whole, "second", policy="tiny/dpo/off-on"),
        train(kept, "third", policy="tiny/dpo/off-on", keep="adapter"),
    )
    assert not (kept.parent / WEIGHTS).exists() and not (third.parent / WEIGHTS).exists()
    with whole_policy(third.parent) as folder:
        assert contents(folder)[WEIGHTS] == contents(second.parent)[WEIGHTS] != contents(whole.parent)[WEIGHTS]
    assert read_policy(third)["files"].keys() == read_policy(whole)["files"].keys()


def test_several_processes_share_what_is_made_for_them(root, tmp_path, whole, kept, preferences, run_here):
    """The first step has to equal the log-probabilities of the whole policy."""
    reference = tmp_path / "reference.parquet"
    run_here("compute_reference_logps", *reference_flags(whole, preferences, reference))
    flags = as_flags(initial=kept, preferences=preferences, reference_logps=reference, beta=0.1, loss="sigmoid")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [root / "workflow_scripts/train_policy.py", *flags, *training_flags(tmp_path)]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert read_json(tmp_path / "policy/manifest.ledger.json")["first_loss"] == pytest.approx(0.6931, abs=1e-3)
    assert [path.name for path in kept.parent.parent.iterdir() if path.name.startswith(".")] == []


def test_it_is_made_whole_by_hand_and_may_be_an_adapter_again(tmp_path, whole, kept, run_here, capsys):
    folder = shutil.copytree(kept.parent, kept.parent.with_name("by-hand"))
    run_here("merge_policy", folder / "manifest.json")
    assert contents(folder) == contents(whole.parent)
    assert "1 rows in, 1 rows out, dropped: none, made 1 ->" in capsys.readouterr().err
    run_here("merge_policy", folder / "manifest.json")
    assert "made none ->" in capsys.readouterr().err
    (folder / WEIGHTS).unlink()
    with whole_policy(folder) as made:
        assert contents(made) == contents(whole.parent)


def test_a_choice_of_it_is_the_same_as_of_the_whole_policy(whole, kept, run_here):
    manifests = []
    for policy in (whole, kept):
        output = policy.parent.with_name(f"auto-{policy.parent.name}") / "manifest.json"
        run_here("adopt_policy", *as_flags(model=policy, policy="tiny/dpo/auto", output=output))
        manifests.append(output.read_bytes())
    assert manifests[0] == manifests[1] and not (output.parent / WEIGHTS).exists()
    with whole_policy(output.parent) as folder:
        assert contents(folder)[WEIGHTS] == contents(whole.parent)[WEIGHTS]


def test_peft_loads_the_adapter_and_it_says_what_the_policy_says(initial, whole, kept, tokenizer):
    import torch
    from peft import PeftConfig, PeftModel

    base = load_model(initial.parent, 96)
    adapted = PeftModel.from_pretrained(base, kept.parent / "adapter").eval()
    ids = torch.tensor([tokenizer.encode("the red cat likes a river under the tree")])
    with torch.no_grad():
        theirs, ours = adapted(ids).logits, load_model(whole.parent, 96).eval()(ids).logits
        with adapted.disable_adapter():
            before = adapted(ids).logits
    assert (theirs - ours).abs().max() < 0.1 < (theirs - before).abs().max()  # bfloat16 rounded
    config = PeftConfig.from_pretrained(kept.parent / "adapter")
    assert (config.base_model_name_or_path, config.revision) == ("org/Tiny", "f" * 40)
    assert read_json(kept)["beside"]["base"] == "org/Tiny"


def test_the_adapter_of_a_later_iteration_names_a_folder_of_the_study(whole, train):
    second = train(whole, "named", policy="tiny/dpo/off-off", keep="adapter")
    config = read_json(second.parent / "adapter/adapter_config.json")
    assert config["base_model_name_or_path"] == "results/policies/tiny/dpo/off" and config["revision"] is None
    assert config["target_modules"] == sorted(config["target_modules"])


def test_an_initial_policy_that_is_another_or_gone_is_named(initial, kept, tmp_path):
    folder = tmp_path / "policies"
    for manifest in (initial, kept):
        shutil.copytree(manifest.parent, folder / manifest.parent.name)
    write_manifest(folder / "sft", {"policy": "tiny/sft~2"})
    for _ in range(2):
        with pytest.raises(
            BadInput, match="has no weights, and .*sft, of which they would be made, is not there any more"
        ):
            whole_policy(folder / "kept").__enter__()
        shutil.rmtree(folder / "sft", ignore_errors=True)


def test_what_does_not_come_out_as_listed_is_refused_and_an_adapter_that_changed_as_well(initial, kept, tmp_path):
    folder = tmp_path / "policies"
    for manifest in (initial, kept):
        shutil.copytree(manifest.parent, folder / manifest.parent.name)
    shutil.copyfile(write_model(tmp_path / "other", seed=1).parent / WEIGHTS, folder / "sft" / WEIGHTS)
    with pytest.raises(
        BadInput, match="model.safetensors does not come out of .*sft and adapter/ as manifest.json lists it"
    ):
        whole_policy(folder / "kept").__enter__()
    (folder / "kept/adapter/adapter_model.safetensors").write_bytes(b"torn")
    with pytest.raises(BadInput, match="adapter_model.safetensors is not the file that .*manifest.json lists"):
        read_policy(folder / "kept/manifest.json")


def test_weights_of_a_policy_without_an_adapter_are_missed(model, tmp_path):
    folder = shutil.copytree(model.parent, tmp_path / "copy")
    (folder / WEIGHTS).unlink()
    with pytest.raises(BadInput, match="model.safetensors is listed in .* but missing"):
        read_policy(folder / "manifest.json")


def test_an_adapter_is_kept_of_lora_alone(tmp_path, run_here, policy_flags):
    with pytest.raises(BadInput, match="--keep adapter belongs to LoRA"):
        run_here("train_policy", *policy_flags(tmp_path, keep="adapter"))


@pytest.mark.parametrize("rank", [1, 16, 100])
def test_the_sum_is_the_same_in_any_order_and_as_exact_as_float32(rank):
    """A library's own product has other last bits with other libraries and processors."""
    import numpy as np
    import torch

    from dpo_stages.models.merging import _multiples, _with_product

    random = np.random.default_rng(0)
    shapes = (1100, 70), (rank, 70), (1100, rank)
    weight, a, b = (torch.from_numpy(random.standard_normal(shape).astype(np.float32)) for shape in shapes)
    a[:, 0], b[5] = 0, 1e-30
    found, order = _with_product(weight, a, b, 1.5), random.permutation(rank)
    assert found.equal(_with_product(weight, a[order], b[:, order], 1.5))
    bits = (53 - (rank - 1).bit_length()) // 2
    left, right = _multiples(b, bits, 1).numpy(), _multiples(a, bits, 0).numpy()
    one_by_one = np.zeros(shapes[0])
    for term in order:  # each sum in an order of our own, without a library's product
        one_by_one += left[:, term : term + 1] * right[term : term + 1]
    assert (found.numpy() == (weight.numpy() + one_by_one * 1.5).astype(np.float32)).all()
    exact = weight.double() + 1.5 * b.double() @ a.double()
    assert (found - exact).abs().max() <= 1e-6 * exact.abs().max()
