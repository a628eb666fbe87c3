"""The chat templates of published models, and what the guide says of them."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def published(root):
    """The program that tries the templates that TRL ships."""
    found = importlib.util.spec_from_file_location("published", root / "benchmarks/templates.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_guide_has_the_table_of_the_templates_that_trl_ships(published, root, capsys):
    published.main()
    table = capsys.readouterr().out
    assert (root / "docs/templates.md").read_text(encoding="utf-8").endswith(table)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("qwen2_5", "exact but for white space"),
        ("qwen3", "refused: the chat template alters a plain answer"),
        ("deepseek_r1_distill", "refused: the chat template alters a plain answer"),
        ("gptoss", "refused: the chat template alters a plain answer"),
        ("llama3", "exact but for white space"),
        ("gemma", "exact but for white space at both ends; system turns refused: System role not supported"),
    ],
)
def test_published_templates(published, name, words):
    texts, samples = published.verdict(name, (published.TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8"))
    assert texts.startswith(words) and samples == "exact"


def test_the_templates_that_the_study_brings_along_are_exact_but_for_white_space(published, root):
    """A line break before a response merges with the one that ends the prompt."""
    for path in Path(root, "workflow_scripts/dpo_stages/models/chat_templates").glob("*.jinja"):
        assert published.verdict(path.stem, path.read_text()) == ("exact but for white space at both ends", "exact")
