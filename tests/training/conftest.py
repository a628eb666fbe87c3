"""Fixtures of training: a tiny policy, preference pairs, and the programs in this very process."""

import math
import os
from pathlib import Path

import pytest
from tiny import as_flags, preference_rows, reference_flags, training_flags, write_model

os.environ["OMP_NUM_THREADS"] = "1"  # the same seed gives the same bytes on one thread
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # as every program sets it


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


@pytest.fixture(scope="session")
def policy_flags(model, preferences, reference_logps):
    """Flags of a training of `model` on `preferences` under a folder."""

    def make(folder: Path, loss: str = "sigmoid", **changes: object) -> list[object]:
        inputs = {"initial": model, "preferences": preferences, "reference_logps": reference_logps, "beta": 0.1}
        inputs |= {name: changes.pop(name) for name in list(changes) if name in inputs}
        return [*as_flags(**inputs, loss=loss), *training_flags(folder, **changes)]

    return make


@pytest.fixture(scope="session")
def pairs(tokenizer, preferences):
    """Tokens of a few preference pairs."""
    from dpo_stages.core.parquet import read_table
    from dpo_stages.data.schemas import PREFERENCES
    from dpo_stages.models.preference_tokens import tokenize_preferences

    return tokenize_preferences(tokenizer, read_table(preferences, PREFERENCES).slice(0, 6), 96).table


@pytest.fixture(scope="session")
def logps(model, tokenizer, pairs) -> dict[str, list[float]]:
    """Log-probabilities of `pairs` under `model`."""
    from dpo_stages.models.weights import load_model
    from dpo_stages.training.logps import response_logps

    return response_logps(load_model(model.parent, 96), pairs, tokenizer.pad_token_id, "float32")


@pytest.fixture(scope="session")
def make_trainer(tmp_path_factory, model, tokenizer, pairs, logps):
    """Trainers of `model` on `pairs` by settings of `DPOConfig`, and a batch of all of them; by default the reference is
    the policy itself."""
    from datasets import Dataset
    from trl import DPOConfig

    from dpo_stages.models.weights import load_model

    def make(kind: type, settings: dict, reference=logps, **more):
        rows = pairs.append_column("ref_chosen_logps", [reference["chosen"]])
        rows = rows.append_column("ref_rejected_logps", [reference["rejected"]])
        config = DPOConfig(
            output_dir=str(tmp_path_factory.mktemp("trainer")),
            **settings,
            precompute_ref_log_probs=True,
            per_device_train_batch_size=pairs.num_rows,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            bf16=False,
        )
        data = Dataset(rows, fingerprint="pairs")
        trainer = kind(
            load_model(model.parent, 96), args=config, train_dataset=data, processing_class=tokenizer, **more
        )
        return trainer, trainer.data_collator(rows.to_pylist())

    return make


@pytest.fixture(scope="session")
def make_ours(make_trainer):
    """Our trainers of an objective, and a batch."""
    from dpo_stages.training.trainers import PreferenceTrainer

    def make(objective, **more):
        more = {"checkpoint_minutes": math.inf, "objective": objective, **more}
        return make_trainer(PreferenceTrainer, objective.trl_arguments(), **more)

    return make


@pytest.fixture
def base(tmp_path) -> Path:
    """Folder of a model, as somebody else has left it: with things in it that nobody here needs."""
    folder = write_model(tmp_path / "base").parent
    (folder / "manifest.json").unlink()
    (folder / "README.md").write_text("a model")
    (folder / "consolidated.safetensors").write_bytes(b"the same weights in another format")
    (folder / "training_args.bin").write_bytes(b"a pickle")
    return folder


@pytest.fixture
def fetch(run_here, tmp_path):
    output = tmp_path / "models/tiny/manifest.json"

    def run(path: object, **flags: object) -> Path:
        run_here("fetch_model", *as_flags(path=path, output=output, **flags))
        return output.parent

    return run
