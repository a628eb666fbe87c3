"""Policies that LoRA has trained: what was trained lies beside the weights, which can be made of it and the initial policy again.

    manifest.json        lists all files, the weights among them whether they are there or not
    adapter/             LoRA's matrices, as PEFT saves them
    model*.safetensors   the sum, W + (alpha / rank) B A, rounded; missing where the adapter is all that is kept

Whoever loads a policy asks `whole_policy` for its folder.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, scratch_folder, sha256, write_json
from dpo_stages.core.manifests import MANIFEST, link_files, parse_manifest, read_manifest
from dpo_stages.models.rounding import narrowing
from dpo_stages.models.weights import Change, is_weights, rewrite_weights

if TYPE_CHECKING:
    import torch

WHOLE, ADAPTER = "whole", "adapter"
KEPT = (WHOLE, ADAPTER)
"""What is kept of a policy that LoRA has trained."""

ADAPTER_CONFIG = f"{ADAPTER}/adapter_config.json"
_MATRICES = f"{ADAPTER}/adapter_model.safetensors"
_PREFIX = "base_model.model."  # of what PEFT saves
_FLOAT64_BITS = 53
_ROWS = 1024  # of a matrix at a time in float64


def absent_weights(folder: Path) -> dict[str, str]:
    """Hashes of a policy's weights that are not there, since they can be made; none as a rule."""
    if not (folder / ADAPTER_CONFIG).is_file() or not (folder / MANIFEST).is_file():
        return {}
    files = parse_manifest(folder / MANIFEST)["files"]
    return {name: files[name] for name in files if is_weights(name) and not (folder / name).is_file()}


def read_policy(path: Path) -> dict:
    """`read_manifest` of a policy, of whose weights none need to be there that can be made.

    Raises:
        BadInput: another file is missing, or one is not what the manifest lists.
    """
    return read_manifest(path, absent_weights(path.parent))


@contextlib.contextmanager
def whole_policy(folder: Path) -> Iterator[Path]:
    """A folder with all of a policy, for as long as loading it takes.

    Args:
        folder: of the policy.

    Yields:
        The folder itself; one beside it where weights have to be made, which is deleted afterwards.

    Raises:
        BadInput: they cannot be made.
    """
    if not absent_weights(folder):
        yield folder
        return
    with scratch_folder(folder) as scratch:
        make_weights(folder, scratch)
        files = parse_manifest(folder / MANIFEST)["files"]
        link_files(folder, [MANIFEST, *(name for name in files if not is_weights(name))], scratch)
        yield scratch


def make_weights(folder: Path, target: Path) -> None:
    """Write the weights of a policy into `target`, the very bytes that its manifest lists.

    A file at a time; no whole model is in memory, and of policies on the way none is written.

    Raises:
        BadInput: its initial policy is not there any more, or another, so that other weights came of it.
    """
    whole, changes = _way_to(folder)

    def changed(name: str, tensor: "torch.Tensor") -> "torch.Tensor":
        for change in changes:
            tensor = change(name, tensor)
        return tensor

    rewrite_weights(whole, target, changed)
    for name, expected in parse_manifest(folder / MANIFEST)["files"].items():
        if is_weights(name) and (not (target / name).is_file() or sha256(target / name) != expected):
            raise BadInput(
                f"{folder}: {name} does not come out of {whole} and {ADAPTER}/ as {MANIFEST} lists it; delete {folder / MANIFEST} "
                "to have the policy trained again"
            )


def _way_to(folder: Path) -> tuple[Path, list[Change]]:
    """The nearest policy with weights that a policy came from, perhaps itself, and what became of each of its tensors since."""
    if not absent_weights(folder):
        return folder, []
    manifest = parse_manifest(folder / MANIFEST)
    beside = manifest.get("model", manifest)["beside"]  # of a policy that stands for another, what that says
    initial = Path(os.path.normpath(folder / beside["initial"]))
    if not (initial / MANIFEST).is_file() or sha256(initial / MANIFEST) != beside["manifest"]:
        raise BadInput(
            f"{folder} has no weights, and {initial}, of which they would be made, is not there any more as it was in training; bring "
            f"it back, or delete {folder / MANIFEST} to have the policy trained again"
        )
    whole, changes = _way_to(initial)
    changes.append(adding(folder, _matrices(folder)))
    if "rounding" in beside:
        changes.append(narrowing(**beside["rounding"]))
    return whole, changes


def _matrices(folder: Path) -> dict[str, "torch.Tensor"]:
    from safetensors.torch import load_file

    return load_file(folder / _MATRICES)


def adding(folder: Path, matrices: dict[str, "torch.Tensor"]) -> Change:
    """How what was trained beside a tensor is added to it, in float32; tensors beside which nothing was trained stay what they are.

    Args:
        folder: of the policy.
        matrices: of its adapter; those that are added are taken out.
    """
    config = read_json(folder / ADAPTER_CONFIG)
    scale = config["lora_alpha"] / config["r"]

    def add(name: str, tensor: "torch.Tensor") -> "torch.Tensor":
        layer = _PREFIX + name.removesuffix(".weight")
        tensor = tensor.float() if tensor.is_floating_point() else tensor
        if f"{layer}.lora_A.weight" not in matrices:
            return tensor
        a, b = (matrices.pop(f"{layer}.lora_{matrix}.weight").float() for matrix in "AB")
        return _with_product(tensor, a, b, scale)

    return add


def _with_product(tensor: "torch.Tensor", a: "torch.Tensor", b: "torch.Tensor", scale: float) -> "torch.Tensor":
    """tensor + scale * b @ a, the same to the bit whatever the processor and its libraries.

    These add terms in orders of their own, and what rounding makes of that would not come out again elsewhere. So no sum is rounded:
    the factors of each are multiples of a power of two, and few enough, for float64 to hold all of them exactly.

    Args:
        tensor: shape (outputs, inputs), float32.
        a: shape (rank, inputs), float32.
        b: shape (outputs, rank), float32.
        scale: of the product.
    """
    bits = (_FLOAT64_BITS - (len(a) - 1).bit_length()) // 2
    whole, a = tensor.clone(), _multiples(a, bits, dim=0)
    for rows, factors in zip(whole.split(_ROWS), _multiples(b, bits, dim=1).split(_ROWS), strict=True):
        rows.copy_((factors @ a).mul_(scale).add_(rows))
    return whole


def _multiples(matrix: "torch.Tensor", bits: int, dim: int) -> "torch.Tensor":
    """Each vector along `dim` in multiples of a power of two, of which its largest number has no more than 2^bits; float64."""
    import torch

    exponents = torch.frexp(matrix.abs().amax(dim, keepdim=True)).exponent - bits
    units = (exponents.long() + 1023 << 52).view(torch.float64)  # the powers of two themselves
    return (matrix.double() / units).round() * units


def merge_adapter(folder: Path, initial: Path) -> None:
    """Write a folder's weights, in float32: the initial policy's and what was trained beside them.

    A file at a time and under the names of the initial policy's tensors; no whole model is in memory.

    Args:
        folder: with an adapter.
        initial: folder of the policy that training started from.
    """
    matrices = _matrices(folder)
    if not matrices:
        raise BadInput(f"{folder}: PEFT has saved nothing of the training")
    rewrite_weights(initial, folder, adding(folder, matrices))
    if matrices:
        raise BadInput(f"{folder}: nothing became of {', '.join(sorted(matrices))}")


def set_apart(folder: Path, base: str, revision: str | None = None) -> None:
    """Move what PEFT has saved into a folder of its own, with the same bytes whenever the same was trained.

    Args:
        folder: of the policy.
        base: a model's id on the hub, or folder, to whose weights it is added.
        revision: the model's commit on the hub.
    """
    (folder / ADAPTER).mkdir()
    for file in (ADAPTER_CONFIG, _MATRICES):
        shutil.move(folder / Path(file).name, folder / file)
    config = read_json(folder / ADAPTER_CONFIG)
    config |= {"base_model_name_or_path": base, "revision": revision}
    config["target_modules"] = sorted(config["target_modules"])  # a set
    write_json(folder / ADAPTER_CONFIG, config)
