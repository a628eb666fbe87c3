"""What both trainings share: the batch that never drifts, and the weights that must change."""

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json
from dpo_stages.core.manifests import link_files
from dpo_stages.models.rounding import narrow_weights
from dpo_stages.models.weights import INDEX, is_weights, unchanged_weights, write_config
from dpo_stages.training.settings import accumulation_steps


@pytest.mark.parametrize(("processes", "steps"), [(1, 32), (2, 16), (4, 8), (32, 1)])
def test_effective_batch_is_the_same_on_any_number_of_devices(processes, steps):
    assert accumulation_steps(128, 4, processes) == steps  # 8 on the paper's four GPUs


@pytest.mark.parametrize("processes", [3, 64])
def test_devices_that_cannot_share_the_batch_are_an_error(processes):
    with pytest.raises(BadInput, match=f"no multiple of 4 rows a device on {processes} devices"):
        accumulation_steps(128, 4, processes)


def write_shards(folder, weights: list[dict]) -> None:
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    names = [f"model-{number:05}-of-{len(weights):05}.safetensors" for number in range(1, len(weights) + 1)]
    for name, tensors in zip(names, weights, strict=True):
        save_file(tensors, folder / name, metadata={"format": "pt"})
    index = {tensor: name for name, tensors in zip(names, weights, strict=True) for tensor in tensors}
    write_json(folder / INDEX, {"metadata": {"total_size": 0}, "weight_map": index})


def test_weights_are_compared_whatever_their_files(tmp_path):
    import torch

    a, b = torch.arange(4.0), torch.ones(3, 3)
    write_shards(tmp_path / "two", [{"a": a}, {"b": b}])
    write_shards(tmp_path / "one", [{"a": a.clone(), "b": b.clone()}])
    write_shards(tmp_path / "other", [{"a": a, "b": b + 1e-6}])
    assert unchanged_weights(tmp_path / "one", tmp_path / "two") == 1
    assert unchanged_weights(tmp_path / "other", tmp_path / "one") == pytest.approx(4 / 13)
    write_shards(tmp_path / "narrow", [{"a": a.bfloat16(), "b": b.bfloat16()}])
    assert unchanged_weights(tmp_path / "narrow", tmp_path / "other") == 1  # the change is lost in bfloat16
    write_shards(tmp_path / "more", [{"a": a, "c": torch.ones(4), "count": torch.tensor([7])}])
    assert unchanged_weights(tmp_path / "more", tmp_path / "one") == 1 / 2  # floating-point weights alone


def test_narrowing_keeps_shards_and_index(tmp_path):
    import torch
    from safetensors.torch import load_file

    write_shards(tmp_path / "m", [{"a": torch.arange(4.0)}, {"b": torch.ones(3), "count": torch.tensor([7])}])
    narrow_weights(tmp_path / "m", "nearest", "")
    first, second = (load_file(path) for path in sorted((tmp_path / "m").glob("*.safetensors")))
    assert first["a"].dtype == second["b"].dtype == torch.bfloat16
    assert second["count"].dtype == torch.int64
    assert read_json(tmp_path / "m" / INDEX)["metadata"]["total_size"] == 4 * 2 + 3 * 2 + 8


def test_configuration_is_the_initial_one_but_for_the_precision(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    write_json(tmp_path / "old/config.json", {"model_type": "llama", "torch_dtype": "float16", "pad_token_id": None})
    write_config(tmp_path / "old", tmp_path / "new", "bfloat16")
    assert read_json(tmp_path / "new/config.json") == {
        "model_type": "llama",
        "pad_token_id": None,
        "dtype": "bfloat16",
    }


def test_links(tmp_path, monkeypatch):
    (tmp_path / "a/sub").mkdir(parents=True)
    (tmp_path / "a/sub/file").write_text("text")
    (tmp_path / "a/link").symlink_to("sub/file")
    link_files(tmp_path / "a", ["sub/file", "link"], tmp_path / "b")
    assert (tmp_path / "b/sub/file").samefile(tmp_path / "a/sub/file")
    assert not (tmp_path / "b/link").is_symlink() and (tmp_path / "b/link").read_text() == "text"

    def across_file_systems(*args):
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr("os.link", across_file_systems)
    link_files(tmp_path / "a", ["sub/file"], tmp_path / "c")
    assert (tmp_path / "c/sub/file").read_text() == "text"
    assert not (tmp_path / "c/sub/file").samefile(tmp_path / "a/sub/file")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.safetensors", True),
        ("model-00001-of-00002.safetensors", True),
        ("model.safetensors.index.json", True),
        ("tokenizer.json", False),
        ("training_args.bin", False),
        ("consolidated.safetensors", False),
    ],
)
def test_weights_by_name(name, expected):
    assert is_weights(name) == expected
