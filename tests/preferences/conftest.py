"""Fixtures of the preference model: tiny rankers in both layouts, the library itself, programs in this process."""

import os
from pathlib import Path

import pytest
from rankers import as_published, write_ranker

os.environ["OMP_NUM_THREADS"] = "1"  # the same seed gives the same bytes on one thread


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """Folder of a random ranker as it is written here."""
    folder = tmp_path_factory.mktemp("preference_models") / "tiny"
    write_ranker(folder)
    return folder


@pytest.fixture(scope="session")
def published(model_folder) -> Path:
    """The same ranker as PairRM is published: two folders, a pickle, a tokenizer to be converted."""
    folder = model_folder.parent / "published"
    as_published(folder, model_folder / "ranker")
    return folder


@pytest.fixture(scope="session")
def blender(model_folder):
    """llm-blender with the ranker."""
    from dpo_stages.preferences.pairrm.llm_blender import load_blender

    return load_blender(model_folder / "ranker", None, "cpu")


@pytest.fixture
def model(model_folder):
    """The ranker, read directly, with fresh counts."""
    from dpo_stages.preferences.opening import open_preference_model

    return open_preference_model(model_folder / "manifest.json")
