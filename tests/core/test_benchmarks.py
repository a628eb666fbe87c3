"""Benchmarks run by hand, and seldom: what they import of the workflow must still be there."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "workflow_scripts"


def defined(module: str) -> set[str]:
    """Names that a module of the workflow defines or imports at its top, without importing it."""
    path = PROGRAMS / Path(*module.split("."))
    submodules = {file.stem for file in path.glob("*.py")}
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {name.asname or name.name for name in node.names}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            names |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return names | submodules


@pytest.mark.parametrize("benchmark", sorted((ROOT / "benchmarks").rglob("*.py")), ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(benchmark):
    for node in ast.walk(ast.parse(benchmark.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in ("dpo_stages", "dpo_boundary"):
            missing = {name.name for name in node.names} - defined(node.module)
            assert not missing, f"{node.module} has no {', '.join(missing)}"
