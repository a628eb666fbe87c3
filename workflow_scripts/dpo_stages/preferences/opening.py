"""Preference models behind one small interface: open one, and ask it for verdicts.

Three kinds: a ranker in llm-blender's layout (PairRM above all), a reward model (Hugging Face sequence classification with
one score), and a judge behind an endpoint, asked as AlpacaEval asks. One lies in a folder, `results/preference_models/{name}/`:

    manifest.json    its kind, where it comes from, and the SHA-256 of every file; of a judge, where it is asked
    ranker/          llm-blender's own layout: config.json and weights; one trained here has its tokenizer there too
    base/            the base model that ranker/config.json names, if it names one
    tokenizer.json   the tokenizer as llm-blender loads it, for models that may be read without it (see pairrm/direct.py)
    model/           a reward model, as Transformers reads it

Nothing in it is an absolute path: the base model is found beside the ranker, so the folder may be moved.
"""

import os
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.core.manifests import MANIFEST, read_manifest
from dpo_stages.models.architectures import is_reward_model
from dpo_stages.preferences.options import (
    BASE,
    JUDGE_KIND,
    RANKER,
    RANKER_KIND,
    REWARD_MODEL,
    SAFETENSORS,
    SMALL_FILES,
    TOKENIZER,
    WEIGHTS,
    Options,
    PreferenceModel,
)


def open_preference_model(where: str | os.PathLike, options: Options = Options()) -> PreferenceModel:
    """Open a preference model.

    Args:
        where: a `manifest.json`, its folder, a folder as the hub has it, or an id on the Hugging Face hub.
        options: how it is run.

    Raises:
        BadInput: there is no such folder, its files are not those of its manifest, or it is no preference model.
    """
    path = Path(where)
    if path.name == MANIFEST:
        return _open_manifest(path, options)
    if (path / MANIFEST).is_file():
        return _open_manifest(path / MANIFEST, options)
    if path.is_dir():
        ranker = path / RANKER if (path / RANKER).is_dir() else path
        return _open_folder(path, ranker, path.name, "local", options)
    if path.exists() or path.is_absolute() or len(path.parts) != 2:
        raise BadInput(f"{where} is no manifest.json, no folder and no id on the hub; name a preference model")

    folder, commit = find_preference_model(str(where), "main")
    return _open_folder(folder, folder, str(where), commit or "local", options)


def _open_manifest(path: Path, options: Options) -> PreferenceModel:
    manifest = read_manifest(path)
    version, name = manifest.get("revision") or _weights_hash(manifest), path.parent.name
    if manifest.get("kind") == JUDGE_KIND:
        from dpo_stages.preferences.judge import JudgePreferences

        return JudgePreferences(manifest, options.cache)
    folder = RANKER if manifest.get("kind") == RANKER_KIND else REWARD_MODEL
    if not (path.parent / folder).is_dir():
        raise BadInput(f"{path} is of no preference model: there is no {folder}/ beside it")
    return _open_folder(path.parent, path.parent / folder, name, version, options)


def _open_folder(folder: Path, model: Path, name: str, version: str, options: Options) -> PreferenceModel:
    """Open what lies in `model`, a ranker or a reward model; `folder` is where a ranker's tokenizer.json may be."""
    config = model_config(model)
    if is_reward_model(config):
        from dpo_stages.preferences.reward_model import load_reward_model

        if options.engine != Options.engine:
            raise BadInput(f"{model} is a reward model, which llm-blender's engine does not run; leave --engine away")
        return load_reward_model(model, name, version, _device(), options.precision)
    check_ranker(model)
    base = base_beside(model)
    if options.engine == "batched" and (folder / TOKENIZER).is_file() and folder != model:
        from dpo_stages.preferences.pairrm.direct import load_directly

        return load_directly(model, base, folder / TOKENIZER, name, version, _device(), options.precision)

    from dpo_stages.preferences.pairrm.llm_blender import load_with_library

    return load_with_library(model, base, name, version, _device(), options)


def find_preference_model(path: str, revision: str) -> tuple[Path, str | None]:
    """Folder of a ranker or reward model, downloaded if it is none here, and the commit it comes from.

    Raises:
        BadInput: no such folder, or the hub does not give the model.
    """
    from dpo_stages.core.hub import download, find

    folder, commit = find(path, revision, SMALL_FILES)
    if commit is not None:
        download(path, commit, [SAFETENSORS] if is_reward_model(model_config(folder)) else WEIGHTS)
    return folder, commit


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def model_config(folder: Path) -> dict:
    """The `config.json` of a ranker or reward model."""
    if not (folder / "config.json").is_file():
        raise BadInput(f"{folder} has no config.json; a folder in llm-blender's layout or a reward model is expected")
    config = read_json(folder / "config.json")
    return config if isinstance(config, dict) else {}


def check_ranker(folder: str | os.PathLike) -> dict:
    """Read the configuration of a ranker in llm-blender's layout, or say why it is none."""
    config = model_config(Path(folder))
    if config.get("ranker_type") != "pairranker":
        raise BadInput(
            f"{folder}/config.json is neither of a pairwise ranker (ranker_type is not pairranker) "
            "nor of a reward model (no architecture …ForSequenceClassification)"
        )
    return config


def base_beside(ranker: Path) -> Path | None:
    """The base model's folder of a ranker, None if the ranker is its own."""
    base = ranker.parent / BASE
    return base if base.is_dir() else None


def _weights_hash(manifest: dict) -> str:
    hashes = (hash for name, hash in manifest["files"].items() if name.endswith((".bin", ".safetensors")))
    return next(hashes, "unknown")[:12]
