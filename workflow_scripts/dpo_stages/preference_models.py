"""Preference models behind one small interface: open one, and ask it for comparisons.

A preference model lies in a folder, `results/preference_models/{name}/`:

    manifest.json    where it comes from, and the SHA-256 of every file
    ranker/          llm-blender's own layout: config.json and weights; one trained here has its tokenizer there too
    base/            the base model that ranker/config.json names, if it names one
    tokenizer.json   the tokenizer as llm-blender loads it, for models that may be read without it (see ranker_files)

Nothing in it is an absolute path: the base model is found beside the ranker, so the folder may be moved.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dpo_stages.comparisons import Comparisons, Pair
from dpo_stages.files import MANIFEST, read_json, read_manifest
from dpo_stages.program import BadInput

RANKER = "ranker"
BASE = "base"
TOKENIZER = "tokenizer.json"


class PreferenceModel(Protocol):
    """Anything that says which of two responses to a prompt is better.

    Attributes:
        name: what ledgers and annotations call it.
        version: what tells two versions of it apart.
    """

    name: str
    version: str

    def compare(self, pairs: Sequence[Pair]) -> Comparisons:
        """Compare the responses of every pair, in both orders if the order could matter; in input order."""


def open_preference_model(where: str | os.PathLike) -> PreferenceModel:
    """Open a preference model.

    Args:
        where: a `manifest.json`, its folder, a folder in llm-blender's layout, or an id on the Hugging Face hub.

    Raises:
        BadInput: there is no such folder, its files are not those of its manifest, or it is no preference model.
    """
    path = Path(where)
    if path.name == MANIFEST:
        manifest = read_manifest(path)
        return _open_ranker(path.parent, path.parent / RANKER, manifest.get("revision") or _weights_hash(manifest))
    if (path / MANIFEST).is_file():
        return open_preference_model(path / MANIFEST)
    if path.is_dir():
        return _open_ranker(path, path / RANKER if (path / RANKER).is_dir() else path, "local")
    if path.exists() or path.is_absolute() or len(path.parts) != 2:
        raise BadInput(f"{where} is no manifest.json, no folder and no id on the hub; name a preference model")

    from dpo_stages.llm_blender_library import load_with_library

    return load_with_library(str(where), None, str(where), "main", _device())


def _open_ranker(folder: Path, ranker: Path, version: str) -> PreferenceModel:
    check_ranker(ranker)
    base = base_beside(ranker)
    if (folder / TOKENIZER).is_file() and folder != ranker:
        from dpo_stages.ranker_files import load_directly

        return load_directly(ranker, base, folder / TOKENIZER, folder.name, version, _device())

    from dpo_stages.llm_blender_library import load_with_library

    return load_with_library(ranker, base, folder.name, version, _device())


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def check_ranker(folder: str | os.PathLike) -> dict:
    """Read the configuration of a ranker in llm-blender's layout, or say why it is none."""
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise BadInput(f"{folder} has no config.json; a folder in llm-blender's layout is expected")
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or config.get("ranker_type") != "pairranker":
        raise BadInput(f"{folder}/config.json is not of a pairwise ranker: its ranker_type is not pairranker")
    return config


def base_beside(ranker: Path) -> Path | None:
    """The base model's folder of a ranker, None if the ranker is its own."""
    base = ranker.parent / BASE
    return base if base.is_dir() else None


def _weights_hash(manifest: dict) -> str:
    hashes = (hash for name, hash in manifest["files"].items() if name.endswith((".bin", ".safetensors")))
    return next(hashes, "unknown")[:12]
