"""Rows of local files, by which jobs are sized."""

import gzip

import pytest

from dpo_stages.study.sizes import lines_of


@pytest.mark.parametrize(
    ("name", "rows"), [("a.jsonl", 3), ("b.ndjson", 3), ("c.jsonl.gz", 3), ("d.json", None), ("none.jsonl", None)]
)
def test_rows_are_counted_where_each_is_a_line(tmp_path, name, rows):
    path = tmp_path / name
    if not name.startswith("none"):
        with gzip.open(path, "wb") if name.endswith(".gz") else path.open("wb") as file:
            file.write(b'{"a": 1}\n\n{"a": 2}\n{"a": 3}')
    assert lines_of(str(path)) == rows


def test_jobs_of_a_local_file_are_sized_by_its_rows(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from dpo_stages.study.resources import Needs

    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.jsonl").write_text("{}\n" * 40)
    data = {"path": None, "splits": {"train": "pairs.jsonl", "test": "hidden.csv"}, "rows": {}, "limit": None}
    needs = object.__new__(Needs)
    needs.config = {
        "datasets": {"mine": data, "few": {**data, "limit": 7}, "hub": {**data, "path": "a/b"}},
        "resources": {"rows": 500},
    }
    needs.study = SimpleNamespace(file=str)
    assert [needs.rows(name, "train") for name in ("mine", "few", "hub")] == [40, 7, 500]
    assert needs.rows("mine", "test") == 500
