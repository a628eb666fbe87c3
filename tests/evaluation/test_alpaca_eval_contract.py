"""What `judges.alpaca_eval` relies on inside alpaca-eval when it leaves parts out; a failure names what changed."""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpo_stages.judges import alpaca_eval

PACKAGE = Path(importlib.util.find_spec("alpaca_eval").origin).parent
SOURCES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in PACKAGE.rglob("*.py")}


def read_while_importing(node: ast.AST) -> Iterator[str]:
    """Names that a module takes from the package datasets outside the bodies of its functions."""
    if isinstance(node, ast.FunctionDef):
        parts = [node.args, *node.decorator_list]
    else:
        parts = ast.iter_child_nodes(node)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "datasets":
            yield node.attr
    for part in parts:
        yield from read_while_importing(part)


def test_nothing_of_datasets_is_used_but_a_type():
    used = {name for source in SOURCES.values() for name in read_while_importing(source)}
    assert used == {"Dataset"}, f"importing alpaca-eval uses {sorted(used)} of datasets, where it was the name Dataset"


def test_nothing_is_taken_from_the_package_that_is_left_out():
    taken = {
        alias.name
        for source in SOURCES.values()
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and node.module == "alpaca_eval"
        for alias in node.names
    }
    own = sorted(name for name in taken if not (PACKAGE / f"{name}.py").is_file())
    assert not own, f"modules of alpaca-eval import {own} from the package's own __init__, which is left out"


@pytest.mark.parametrize("name", ["annotators.PairwiseAnnotator", "constants.EVALUATORS_CONFIG_DIR"])
def test_what_is_used_is_there(name):
    module, _, attribute = name.rpartition(".")
    assert hasattr(alpaca_eval.load(module)[0], attribute), f"alpaca-eval has no {name} any more"
