"""Configuration files as they are written: what is lost once they are read. Standard library only."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from dpo_stages.core.errors import BadInput

MERGE = "tag:yaml.org,2002:merge"
"""The tag of `<<`, which may stand twice."""


def refuse_repeated_keys(files: Iterable[str | os.PathLike], compose: Callable[[str], Any]) -> None:
    """Refuse files in which a key stands twice, of which YAML keeps the last and drops the others without a word.

    Args:
        files: paths of configuration files.
        compose: gives the nodes of a YAML document, as `yaml.compose` does.

    Raises:
        BadInput: a key stands twice, with the file and both lines.
    """
    for file in map(Path, files):
        for key, first, second in _repeated(compose(file.read_text(encoding="utf-8")), ()):
            name = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else file
            raise BadInput(
                f"configuration: the key {'.'.join(key)} stands twice in {name}, in lines {first} and {second}, and only the last "
                "would count; put what belongs to it under one of them"
            )


def _repeated(node: Any, where: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Keys that stand twice in the same mapping, each with both of its lines."""
    if node is None or node.id == "scalar":
        return
    if node.id == "sequence":
        for number, item in enumerate(node.value):
            yield from _repeated(item, (*where, str(number)))
        return
    lines: dict[tuple[str, str], int] = {}
    for key, value in node.value:
        if key.id != "scalar" or key.tag == MERGE:
            continue
        path, line, name = (*where, key.value), key.start_mark.line + 1, (key.tag, key.value)
        if name in lines:
            yield path, lines[name], line
        lines[name] = line
        yield from _repeated(value, path)
