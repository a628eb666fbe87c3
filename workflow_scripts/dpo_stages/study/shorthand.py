"""Paths and hub ids where a configuration expects a name: each becomes an entry of the section that the name is of.

    models: {my-model: checkpoints/my-model}     ->  models: {my-model: {path: checkpoints/my-model}}
    preference_data: pairs.jsonl                 ->  datasets: {pairs: {kind: preferences, adapter: local, splits: {train: pairs.jsonl}}}
    preference_data: [pairs.jsonl, old.jsonl]    ->  the same of both, and other_data: [old]
    preference_model: reward-models/mine         ->  preference_models: {mine: {path: reward-models/mine}}

So that a study of one's own is a few lines. Standard library only.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dpo_stages.core.errors import BadInput

ENDINGS = (".jsonl", ".json", ".ndjson", ".parquet", ".csv", ".tsv", ".gz")
"""Of files that hold data."""

SECTIONS = ("datasets", "preference_models", "judges", "evaluation", "boundary", "tables")


def write_out(config: dict[str, Any]) -> None:
    """Replace, in place, every path or hub id that stands for an entry by the entry's name. What is written out already stays.

    Raises:
        BadInput: an entry cannot be made of what stands there.
    """
    for key in SECTIONS:
        if key in config and not isinstance(config[key], dict):
            raise BadInput(f"configuration: {key} is {config[key]!r}; expected is object")
    _models(config)
    for name, data in config.get("datasets", {}).items():
        if isinstance(data, str):
            raise BadInput(
                f"configuration: datasets.{name} is {data!r}, and what a row of it is cannot be seen; name the file where it is "
                "used (preference_data, evaluation.instructions, the model's sft), or give it kind, adapter and splits"
            )
    _preference_data(config)
    for name, model in config.get("models", {}).items():
        if isinstance(model, dict):
            key = f"models.{name}.sft"
            _replace(model, "sft", config, lambda value, key=key: _dataset(config, key, value, "chat", "train"))
    evaluation = config.get("evaluation", {})
    key = "evaluation.instructions"
    _replace(
        evaluation, "instructions", config, lambda value: _dataset(config, key, value, "instructions", "evaluation")
    )
    for section, key in ((config, "preference_model"), (config, "yardstick"), (evaluation, "length_witness")):
        _replace(section, key, config, lambda value: _preference_model(config, value))
    _replace(evaluation, "judge", config, lambda value: _judge(config, value))


def _replace(section: Any, key: str, config: dict, entry: Callable[[Any], str]) -> None:
    if isinstance(section, dict) and section.get(key) is not None:
        section[key] = entry(section[key])


def _models(config: dict) -> None:
    models = config.get("models")
    if isinstance(models, str):
        models = [models]
    if isinstance(models, list) and all(isinstance(path, str) for path in models):
        models = by_name(models)
    if isinstance(models, dict):
        config["models"] = {
            name: {"path": value} if isinstance(value, str) else value for name, value in models.items()
        }


def _preference_data(config: dict) -> None:
    """The first of several is the preference data, and the others are so besides, under names that have no dash."""
    if isinstance(config.get("preference_data"), list) and config["preference_data"]:
        config["preference_data"], *others = config["preference_data"]
        config["other_data"] = [*others, *config.get("other_data", [])]
    key = "preference_data"
    _replace(config, key, config, lambda value: _dataset(config, key, value, "preferences", "train"))
    if isinstance(config.get("other_data"), list):
        config["other_data"] = [
            _dataset(config, f"other_data.{number}", value, "preferences", "train", named_as_source=True)
            for number, value in enumerate(config["other_data"])
        ]


def _dataset(config: dict, key: str, value: Any, kind: str, split: str, named_as_source: bool = False) -> Any:
    """The name of the data set that a file, or files by split, stand for."""
    datasets = config.setdefault("datasets", {})
    if isinstance(value, str) and (value in datasets or not is_path(value)):
        return value  # a name, or a wrong one, which is refused with the names that there are
    splits = value if isinstance(value, dict) else {split: value}
    if not splits or not all(isinstance(file, str) for file in splits.values()):
        return value
    for file in splits.values():
        if not file.endswith(ENDINGS) and not Path(file).expanduser().exists():
            raise BadInput(
                f"configuration: {key} names {file}, which is no file here that ends in {', '.join(ENDINGS)}; correct the path, or "
                f"describe a data set of the hub under `datasets` with kind, adapter (auto), path and splits"
            )
    file, entry = splits.get(split) or next(iter(splits.values())), {"kind": kind, "adapter": "local", "splits": splits}
    return (
        _enter(datasets, source_name_of(file), entry, "_")
        if named_as_source
        else _enter(datasets, name_of(file), entry)
    )


def _preference_model(config: dict, value: Any) -> Any:
    models = config.setdefault("preference_models", {})
    if not isinstance(value, str) or value in models or not is_path(value):
        return value
    return _enter(models, name_of(value), {"path": value})


def _judge(config: dict, value: Any) -> Any:
    """A judge, or a preference model that judges, as a judge."""
    judges = config.setdefault("judges", {})
    if not isinstance(value, str) or value in judges:
        return value
    name = _preference_model(config, value)
    model = config.get("preference_models", {}).get(name)
    if model is None:
        return value
    if isinstance(model, dict) and model.get("judge"):
        return model["judge"]
    return _enter(judges, name, {"kind": "preference_model", "model": name})


def _enter(section: dict, name: str, entry: dict | str, joint: str = "-") -> str:
    """Make an entry under a free name, which is the name and a number behind a joint; an equal one that is there will do."""
    free, number = name, 2
    while free in section and section[free] != entry:
        free, number = f"{name}{joint}{number}", number + 1
    section.setdefault(free, entry)
    return free


def by_name(paths: Iterable[str]) -> dict[str, str]:
    """Paths by names for what lies there; of two that would have the same name the second has a number."""
    named: dict[str, str] = {}
    for path in paths:
        _enter(named, name_of(path), path)
    return named


def is_path(text: str) -> bool:
    """Whether a text is a path or a hub id and no name of an entry."""
    return "/" in text or text.startswith(("~", ".")) or text.endswith(ENDINGS) or Path(text).exists()


def name_of(path: str) -> str:
    """A name for what lies at a path: its last part, in lower case, without what no name may have."""
    last = re.split(r"[/\\]", path.rstrip("/"))[-1].lower()
    while last.endswith(ENDINGS):
        last = last.rsplit(".", 1)[0]
    return re.sub(r"[^a-z0-9._-]+", "-", last).lstrip("._-") or "mine"


def source_name_of(path: str) -> str:
    """The same for what sources are named after, whose names have no dash: that joins the sources of a history."""
    return name_of(path).replace("-", "_")
