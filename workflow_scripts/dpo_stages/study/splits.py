"""Splits that a data set has not, and how it gets one. Standard library only."""

from collections.abc import Mapping
from typing import Any

_POINTS = {"test": ", the prompts that nothing is trained on, as a race needs them"}
_OF_PAIRS = ("train", "test")


def lacking(config: Mapping[str, Any], name: str, split: str) -> str:
    """The sentence about a data set that has no such split, and what to write to give it one.

    Args:
        config: the study's configuration, written out.
        name: of the data set.
        split: that it has not.
    """
    dataset = config["datasets"][name]
    splits = dataset["splits"]
    needed = f"no split {split}{_POINTS.get(split, '')} (datasets.{name}.splits has {', '.join(splits)})"
    if dataset["kind"] == "preferences" and split not in _OF_PAIRS:
        return f"{needed}; ask for one that it has"
    files = ", ".join(f"{one}: {file}" for one, file in {**splits, split: "FILE"}.items())
    if dataset["adapter"] == "local" and name == config["preference_data"]:
        return f"{needed}; give `preference_data: {{{files}}}`"
    if dataset["adapter"] == "local" and name in config["other_data"]:
        return f"{needed}; give `{{{files}}}` in other_data"
    return f"{needed}; name it as datasets.{name}.splits.{split}"
