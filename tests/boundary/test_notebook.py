"""The notebook about responses of one's own runs top to bottom, and what it shows is what comes out."""

import contextlib
import io
import json

import nbformat
import pytest
from conftest import ROOT

NOTEBOOK = ROOT / "examples/your_own_responses.ipynb"


@pytest.fixture(scope="module")
def book():
    found = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(found)
    return found


def test_every_cell_runs_and_prints_what_is_stored(book):
    names, printed = {}, []
    for cell in (cell for cell in book.cells if cell.cell_type == "code"):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(cell.source, NOTEBOOK.name, "exec"), names)
        assert [output["text"] for output in cell.outputs] == [out.getvalue()] * bool(out.getvalue()), cell.source
        printed.append(out.getvalue())
    assert names["result"].recommended_source == "on" and names["fooled"].recommended_source == "off"
    assert names["soon"].prompts < len(names["prompts"]) and names["race"].winner == "on"
    assert all(printed)


def test_it_needs_the_library_alone(book):
    imports = {
        line.split()[1] for cell in book.cells if cell.cell_type == "code" for line in cell.source.splitlines()
        if line.startswith(("import ", "from "))
    }  # fmt: skip
    assert imports == {"dpo_boundary", "re"}


def test_it_is_stored_as_a_run_from_the_top_leaves_it(book):
    counts = [cell.execution_count for cell in book.cells if cell.cell_type == "code"]
    assert counts == [*range(1, len(counts) + 1)]
    assert (
        NOTEBOOK.read_text(encoding="utf-8")
        == json.dumps(json.loads(NOTEBOOK.read_text(encoding="utf-8")), indent=1, ensure_ascii=False) + "\n"
    )
