"""Trainings that can be watched, and are the same whether anybody does."""

import json
import struct
import time
from pathlib import Path

import pytest
from tiny import as_flags, chat_rows, contents, training_flags

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import write_table
from dpo_stages.data.schemas import CHAT
from dpo_stages.training import watching


@pytest.fixture
def flags(monkeypatch, policy_flags):
    for variable in ("TENSORBOARD_LOGGING_DIR", "WANDB_DIR", "TRACKIO_DIR", "WANDB_PROJECT"):
        monkeypatch.setenv(variable, "")  # whatever is set here is taken back
        monkeypatch.delenv(variable)
    return policy_flags


def scalars(folder: Path) -> dict[str, list[float]]:
    """What TensorBoard's event files of a folder hold, by name, in the order of steps."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, dict[int, float]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, place = path.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            event = Event.FromString(content[place + 12 : place + 12 + length])
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(value.tag, {})[event.step] = value.simple_value
            place += 12 + length + 4
    return {name: [values[step] for step in sorted(values)] for name, values in found.items()}


def test_tensorboard_has_the_curves_of_the_log_and_the_policy_is_the_same(tmp_path, run_here, flags):
    run_here("train_policy", *flags(tmp_path / "alone"))
    run_here("train_policy", *flags(tmp_path / "watched", report_to="tensorboard", curves=tmp_path / "curves"))
    assert contents(tmp_path / "watched/policy") == contents(tmp_path / "alone/policy")
    log = [json.loads(line) for line in (tmp_path / "watched/policy/training_log.jsonl").read_text().splitlines()]
    curves = scalars(tmp_path / "curves")
    for name in ("loss", "learning_rate", "rewards_margin", "accuracy", "logps_chosen"):
        assert curves[f"train/{name}"] == pytest.approx([row[name] for row in log], rel=1e-6), name


def test_a_training_that_goes_on_goes_on_in_the_same_folder(tmp_path, run_here, flags):
    more = {"report_to": "tensorboard", "curves": tmp_path / "curves"}
    run_here("train_policy", "--until", 0.5, *flags(tmp_path, output=tmp_path / "half/manifest.json", **more))
    assert len(scalars(tmp_path / "curves")["train/loss"]) == 3
    time.sleep(1.1)  # files are named after the second in which they begin, and two processes are further apart
    run_here("train_policy", *flags(tmp_path, **more))
    assert len(scalars(tmp_path / "curves")["train/loss"]) == 6


def test_supervised_fine_tuning_can_be_watched(tmp_path, run_here, model, flags):
    write_table(tmp_path / "chat.parquet", chat_rows(16), CHAT)
    more = {"policy": "tiny/sft", "max_length": 128, "report_to": "tensorboard", "curves": tmp_path / "curves"}
    run_here("train_sft", *as_flags(base=model, dataset=tmp_path / "chat.parquet"), *training_flags(tmp_path, **more))
    assert len(scalars(tmp_path / "curves")["train/loss"]) == 2


def test_a_package_that_is_not_there_is_named_before_anything_is_loaded(tmp_path, run_here, flags, monkeypatch):
    monkeypatch.setattr(watching.importlib.util, "find_spec", lambda name: None)
    words = "report_to wandb needs the package wandb, .* install it with 'python3 -m pip --python .* install wandb'"
    with pytest.raises(BadInput, match=words):
        run_here("train_policy", *flags(tmp_path, report_to="wandb", curves=tmp_path / "curves"))
    assert not (tmp_path / "curves").exists() and not (tmp_path / "policy").exists()


@pytest.mark.parametrize(
    ("watcher", "variable"),
    [("wandb", "WANDB_DIR"), ("trackio", "TRACKIO_DIR"), ("tensorboard", "TENSORBOARD_LOGGING_DIR")],
)
def test_what_is_kept_here_is_kept_in_one_folder(tmp_path, monkeypatch, flags, watcher, variable):
    monkeypatch.setattr(watching.importlib.util, "find_spec", lambda name: name)
    watching.prepare(watcher, tmp_path / "curves")
    assert watching.os.environ[variable] == str(tmp_path / "curves") and (tmp_path / "curves").is_dir()
    assert watching.os.environ["WANDB_PROJECT"] == "dpo-stages"
