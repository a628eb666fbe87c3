"""Checkpoints: only whole ones, only of the same training."""

from pathlib import Path

from dpo_stages.training.checkpoints import close_checkpoint, delete_checkpoints, newest_checkpoint, open_checkpoints


def write_checkpoint(folder: Path, step: int) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    (checkpoint / "shard").mkdir(parents=True)
    (checkpoint / "model.safetensors").write_bytes(b"weights")
    (checkpoint / "shard/optimizer").write_bytes(b"moments")
    return checkpoint


def test_a_fresh_folder_has_nothing_to_go_on_from(tmp_path):
    assert open_checkpoints(tmp_path / "new", {"seed": 0}) is None
    assert open_checkpoints(tmp_path / "new", {"seed": 0}) is None


def test_the_newest_whole_checkpoint_is_gone_on_from(tmp_path):
    open_checkpoints(tmp_path, {"seed": 0})
    close_checkpoint(write_checkpoint(tmp_path, 9))
    newest = write_checkpoint(tmp_path, 10)
    assert open_checkpoints(tmp_path, {"seed": 0}).name == "checkpoint-9"
    close_checkpoint(newest)
    assert open_checkpoints(tmp_path, {"seed": 0}) == newest
    assert not (tmp_path / "checkpoint-9").exists()


def test_an_older_one_stays_until_the_newer_is_whole(tmp_path):
    open_checkpoints(tmp_path, {})
    older = write_checkpoint(tmp_path, 1)
    close_checkpoint(older)
    write_checkpoint(tmp_path, 2)
    assert newest_checkpoint(tmp_path) == older


def test_a_file_that_is_cut_or_missing_makes_a_checkpoint_count_for_nothing(tmp_path):
    open_checkpoints(tmp_path, {})
    checkpoint = write_checkpoint(tmp_path, 1)
    close_checkpoint(checkpoint)
    (checkpoint / "shard/optimizer").write_bytes(b"mom")
    assert newest_checkpoint(tmp_path) is None
    (checkpoint / "shard/optimizer").unlink()
    assert newest_checkpoint(tmp_path) is None


def test_another_training_starts_afresh(tmp_path):
    open_checkpoints(tmp_path, {"seed": 0})
    checkpoint = write_checkpoint(tmp_path, 1)
    close_checkpoint(checkpoint)
    assert open_checkpoints(tmp_path, {"seed": 1}) is None
    assert not checkpoint.exists()


def test_checkpoints_of_unknown_origin_are_not_used(tmp_path):
    close_checkpoint(write_checkpoint(tmp_path, 1))
    assert open_checkpoints(tmp_path, {"seed": 0}) is None


def test_deleting(tmp_path):
    open_checkpoints(tmp_path / "training", {})
    delete_checkpoints(tmp_path / "training")
    delete_checkpoints(tmp_path / "training")
    assert not (tmp_path / "training").exists()
