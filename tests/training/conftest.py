"""Fixtures of training: a tiny policy, preference pairs, and the programs in this very process."""

import os
from pathlib import Path

import pytest
from tiny import preference_rows, reference_flags, write_model

os.environ["OMP_NUM_THREADS"] = "1"  # the same seed gives the same bytes on one thread


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """Manifest of a random Llama."""
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tokenizer(model):
    from dpo_stages.models.chat_tokens import load_tokenizer

    return load_tokenizer(model.parent)


@pytest.fixture(scope="session")
def preferences(tmp_path_factory) -> Path:
    """Preference pairs of several lengths."""
    from dpo_stages.core.parquet import write_table
    from dpo_stages.data.schemas import PREFERENCES

    path = tmp_path_factory.mktemp("preferences") / "train.parquet"
    write_table(path, preference_rows(48), PREFERENCES)
    return path


@pytest.fixture(scope="session")
def reference_logps(tmp_path_factory, run_here, model, preferences) -> Path:
    """Log-probabilities of `preferences` under `model`."""
    path = tmp_path_factory.mktemp("reference_logps") / "off.parquet"
    run_here("compute_reference_logps", *reference_flags(model, preferences, path))
    return path
