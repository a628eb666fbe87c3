"""Files that are asked for and that nothing makes: what is missing for them, or which others are meant. Standard library only."""

import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from dpo_stages.study.policies import AUTO, BLEND, OFF, ON, PICK, POOL

SECTIONS = ("models", "methods", "sources", "datasets", "preference_models", "tables")
"""Sections of the configuration whose keys are parts of files' names."""


def asked_for(words: Sequence[str]) -> list[str]:
    """The files that a command of Snakemake surely asks for: those after `--`, as the guides write it."""
    return [os.path.normpath(word) for word in words[words.index("--") + 1 :]] if "--" in words else []


def unmade(
    asked: Iterable[str], config: Mapping[str, Any], made: Iterable[str], is_made: Callable[[str], bool]
) -> Iterator[str]:
    """A sentence for each file that no rule makes.

    Args:
        asked: the files.
        config: the study's configuration.
        made: what rules make, with wildcards in braces.
        is_made: whether a rule makes a file.
    """
    names = {part for file in made for part in file.split("/") if "{" not in part}
    names |= {"sft", OFF, ON, AUTO, BLEND, POOL, PICK, *(name for section in SECTIONS for name in config[section])}
    for file in asked:
        if is_made(file):
            continue
        if lacking := _lacking(file, config):
            yield f"nothing makes {file} in this study: {lacking}"
        elif close := difflib.get_close_matches(file, filter(is_made, _with_another_part(file, names)), n=1):
            yield f"nothing makes {file}; did you mean {close[0]}?"
        else:
            yield (
                f"nothing makes {file}: a part of its name is none of the configuration's models, methods, sources, datasets, "
                "preference_models and tables, or it lacks the suffix of preference_data or preference_model; "
                "docs/own.md lists what can be asked for"
            )


def _with_another_part(file: str, names: set[str]) -> Iterator[str]:
    """The file's name with one part replaced by a name that is nearly the same: a folder, a stem, a source of a history."""
    for part in re.finditer(r"[^/]+", file):
        pieces = [part.span()]
        pieces += [(part.start(), part.start() + dot.start()) for dot in re.finditer(r"\.", part[0])]
        pieces += [
            (part.start() + piece.start(), part.start() + piece.end()) for piece in re.finditer(r"[^-+~]+", part[0])
        ]
        for start, end in pieces:
            for name in difflib.get_close_matches(file[start:end], names):
                yield file[:start] + name + file[end:]


def _lacking(file: str, config: Mapping[str, Any]) -> str | None:
    """The key without which there is no such file."""
    for section, key in (("preference_models", "preference_model"), ("datasets", "preference_data")):
        for name, entry in config[section].items():
            suffix = entry["suffix"]
            if (
                suffix
                and name not in (config[key], *config["other_data"])
                and re.search(rf"\+{re.escape(suffix)}[+/.]", file)
            ):
                return f"{suffix} is the suffix of {section}.{name}, which is not chosen; add `--config {key}={name}`"
    kind, *rest = file.removeprefix("results/").split("/")
    name = rest[0].rsplit(".", 1)[0] if rest else ""
    models = config["preference_models"]
    if kind in ("tables", "figures") and name == "data_sets" and not config["other_data"]:
        return "it is about several data sets; name them as `preference_data: [one.jsonl, other.jsonl]`"
    if kind == "held_out" and name in models and not models[name]["held_out"]:
        return f"nobody voted on what {name} is asked; name a file of votes as preference_models.{name}.held_out"
    if kind == "second_opinions" and name in models and name not in config["boundary"]["second_opinions"]:
        return f"{name} is asked for no second opinion; name it in boundary.second_opinions"
    if kind == "audits" and config["yardstick"] is None:
        return "the judge cannot be asked about pairs; name one of preference_models as yardstick"
    if kind == "capabilities" and not config["capabilities"]["tasks"]:
        return "there are no tasks; name some in capabilities.tasks"
    return None
