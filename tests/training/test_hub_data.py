"""Data sets of the hub are read at the commit that their revision means, and stop what stands on another one."""

import json
from types import SimpleNamespace

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json

FIRST, SECOND = "1" * 40, "2" * 40
TURNS = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A stub of the hub, whose branch `main` is at `commit`; `loaded` are the revisions that were read."""
    import datasets
    import huggingface_hub

    hub = SimpleNamespace(commit=FIRST, loaded=[])

    def load_dataset(source, revision, split):
        hub.loaded.append(revision)
        return [{"messages": TURNS}]

    def download(source, name, repo_type, revision):
        file = tmp_path / f"cache/snapshots/{hub.commit}/{name}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([{"instruction": "Do.", "output": "Done.", "dataset": "some"}]))
        return str(file)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(
        huggingface_hub.HfApi, "dataset_info", lambda self, path, revision: SimpleNamespace(sha=hub.commit)
    )
    return hub


@pytest.mark.parametrize(
    ("kind", "adapter", "split"), [("chat", "ultrachat_200k", "train_sft"), ("instructions", "alpaca_eval", "eval")]
)
def test_a_data_set_that_has_moved_stops_what_stands_on_it(run_here, tmp_path, hub, kind, adapter, split):
    pin, output = tmp_path / "pins/data.json", tmp_path / "train.parquet"
    flags = ["--kind", kind, "--adapter", adapter, "--source", "our/data", "--split", split, "--seed", 0]
    flags += ["--pin", pin, "--output", output]
    run_here("prepare_dataset", *flags)
    assert read_json(pin) == {"our/data@main": FIRST}
    assert read_json(tmp_path / "train.ledger.json")["revision"] == FIRST
    before = output.read_bytes()
    hub.commit = SECOND
    with pytest.raises(BadInput, match=f"our/data: the revision main was {FIRST[:10]} .* set `revision: {FIRST}`"):
        run_here("prepare_dataset", *flags)
    assert output.read_bytes() == before and read_json(pin) == {"our/data@main": FIRST}
    pin.unlink()
    run_here("prepare_dataset", *flags)
    assert read_json(tmp_path / "train.ledger.json")["revision"] == SECOND
    if adapter == "ultrachat_200k":
        assert hub.loaded == [FIRST, SECOND, SECOND]


def test_without_a_way_to_the_hub_the_revision_is_taken_as_it_is(run_here, tmp_path, hub, monkeypatch):
    import huggingface_hub

    def refuse(self, path, revision):
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    flags = ["--kind", "chat", "--adapter", "ultrachat_200k", "--source", "our/data", "--split", "train_sft"]
    run_here("prepare_dataset", *flags, "--seed", 0, "--pin", tmp_path / "pin", "--output", tmp_path / "train.parquet")
    assert hub.loaded == ["main"] and not (tmp_path / "pin").exists()
