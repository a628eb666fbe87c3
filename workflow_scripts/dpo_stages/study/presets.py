"""A study of one's own: a short file that names a `preset`, completed to a whole configuration.

The paper's study gives the settings that do not say what is studied; the preset those that fit a machine; the file the rest:

    preset: laptop
    models: {my-model: checkpoints/my-model}
    preference_data: pairs.jsonl

What else a study needs follows from these: one table of both arms of each model, judged by what the file names, and a report
of nothing else. Standard library only.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from dpo_stages.core.errors import BadInput
from dpo_stages.study.policies import OFF, ON, of_data
from dpo_stages.study.shorthand import write_out

PRESETS = ("laptop", "one-gpu", "paper")
TABLE = "gains"
"""The table of a study that names none."""

OF_THE_PAPER = (
    "models",
    "datasets",
    "preference_data",
    "sources",
    "judges",
    "evaluation",
    "tables",
    "analyses",
    "responses",
    "quality",
)
"""What the paper studies, which is no part of another study."""

INSTRUCTIONS = "alpaca_eval"


def study_of_ones_own(given: Mapping[str, Any], read: Callable[[str], Mapping[str, Any]]) -> dict[str, Any]:
    """The whole configuration that a short file stands for.

    Args:
        given: what the user's file and command line say, `preset` among it.
        read: gives what a YAML file of the workflow holds.

    Raises:
        BadInput: there is no such preset, or something is missing that nothing can be taken for.
    """
    if given["preset"] not in PRESETS:
        raise BadInput(f"configuration: preset is {given['preset']!r}; allowed are {', '.join(PRESETS)}")
    for key, meaning in (
        ("models", "a model's folder or hub id, by a name of yours"),
        ("preference_data", "a file of pairs"),
    ):
        if not given.get(key):
            raise BadInput(f"configuration: a study with a preset lacks the key {key} ({meaning})")
    given = {key: value for key, value in given.items() if value is not None}  # a key without a value says nothing
    write_out(given)
    paper = read("config.yaml")
    settings = {key: value for key, value in paper.items() if key not in OF_THE_PAPER}
    preset = {} if given["preset"] == "paper" else read(f"presets/{given['preset']}.yaml")
    config = merged({"sources": {}, "evaluation": {}, "tables": {}}, merged(merged(settings, preset), given))
    if "instructions" not in config["evaluation"]:
        config = merged({"datasets": {INSTRUCTIONS: paper["datasets"][INSTRUCTIONS]}}, config)
        config["evaluation"]["instructions"] = INSTRUCTIONS
    _who_judges(config)
    write_out(config)
    if "split" not in given.get("boundary", {}):
        _measure(config)
    _what_is_shown(config)
    return config


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Dictionaries merged key by key; lists and values are replaced, as Snakemake does with configuration files."""
    found = copy.deepcopy(dict(base))
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = merged(found[key], value) if both else copy.deepcopy(value)
    return found


def _measure(config: dict[str, Any]) -> None:
    """Boundaries are measured on prompts of their own where there are any."""
    sets = [config["datasets"].get(name, {}) for name in (config["preference_data"], *config.get("other_data", []))]
    config["boundary"]["split"] = "test" if all("test" in data.get("splits", {}) for data in sets) else "train"


def _who_judges(config: dict[str, Any]) -> None:
    """The preference model judges where nobody else is named; results then carry the caution that labeller and judge are one.

    Where somebody else does, or is the yardstick, the sources are audited for the report.
    """
    if "judge" in config["evaluation"] or config.get("yardstick"):
        config.setdefault("audit", {}).setdefault("tables", list(config["tables"] or [TABLE]))
    config["evaluation"].setdefault("judge", config["preference_model"])


def _what_is_shown(config: dict[str, Any]) -> None:
    """All arms of every model in one table, unless tables are named; all models and the first method in those that say none."""
    everything = {"models": list(config["models"]), "methods": [next(iter(config["methods"]))]}
    if not config["tables"]:
        config["tables"] = {
            TABLE: {"sources": [OFF, ON, *(of_data(OFF, name) for name in config.get("other_data", []))]}
        }
    tables = {name: {**everything, **table} for name, table in config["tables"].items() if isinstance(table, Mapping)}
    config["tables"] = {**config["tables"], **tables}
    if "responses" not in config and tables:
        first = next(iter(tables))
        config["responses"] = {"table": first, "model": tables[first]["models"][0]}
