"""The foundation of every program: whole files or none, readers that refuse in one sentence, manifests, seeds."""

import gzip
import json
import os
import re
import stat
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import SCRIPTS
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dpo_stages.core import program
from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import (
    fingerprint,
    read_csv,
    read_json,
    read_json_lines,
    read_text,
    replacing,
    replacing_folder,
    sha256,
    write_json,
    write_text,
)
from dpo_stages.core.manifests import read_manifest, write_manifest
from dpo_stages.core.parquet import read_parquet, read_table, write_table
from dpo_stages.data import schemas
from dpo_stages.data.candidates import read_candidates
from dpo_stages.data.prompts import prompt_id, request_seed

fuzz = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# Writing


def test_a_file_appears_whole_and_with_the_rights_of_any_other_file(tmp_path):
    target = tmp_path / "new" / "file.txt"
    write_text(target, "été\n")
    assert target.read_bytes() == "été\n".encode()
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


@pytest.mark.parametrize("earlier", [None, "earlier"])
def test_a_failed_write_leaves_what_was_there(tmp_path, earlier):
    target = tmp_path / "file.txt"
    if earlier:
        target.write_text(earlier)
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("half")
        assert not target.exists() or target.read_text() == earlier
        raise RuntimeError
    assert names(tmp_path) == (["file.txt"] if earlier else [])
    assert not earlier or target.read_text() == earlier


def test_a_folder_is_replaced_at_once_and_only_on_success(tmp_path):
    target = tmp_path / "checkpoint"
    with replacing_folder(target) as temporary:
        (temporary / "old").write_text("1")
    with pytest.raises(RuntimeError), replacing_folder(target) as temporary:
        (temporary / "new").write_text("2")
        raise RuntimeError
    assert names(target) == ["old"]
    with replacing_folder(target) as temporary:
        (temporary / "new").write_text("2")
        assert names(target) == ["old"]
    assert names(target) == ["new"]
    assert names(tmp_path) == ["checkpoint"]


@pytest.mark.parametrize("replace", [replacing, replacing_folder])
def test_what_a_killed_process_left_is_deleted_by_the_next_and_what_another_writes_is_not(tmp_path, replace):
    target = tmp_path / "[a].json"
    kill_in_the_middle = (
        "import os, signal, sys\n"
        f"from dpo_stages.core.files import {replace.__name__} as replace\n"
        "with replace(sys.argv[1]) as temporary:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", kill_in_the_middle, target], cwd=SCRIPTS, check=False)
    assert len(names(tmp_path)) == (1 if replace is replacing else 2)  # a folder's earlier content has a place, too
    with replace(target) as first, replace(target) as second:
        assert first.exists() and second.exists()
        for temporary in (first, second):
            if temporary.is_dir():
                (temporary / "content").touch()
    assert names(tmp_path) == ["[a].json"]


def test_json_is_stable_and_refuses_what_json_has_not(tmp_path):
    target = tmp_path / "value.json"
    write_json(target, {"b": 1, "a": "é"})
    assert target.read_text(encoding="utf-8") == '{\n  "b": 1,\n  "a": "é"\n}\n'
    with pytest.raises(ValueError):
        write_json(target, {"score": float("nan")})
    assert read_json(target) == {"b": 1, "a": "é"}


def test_candidates_of_any_source_are_read_with_what_the_source_knows(tmp_path):
    path = tmp_path / "table.parquet"
    row = {"prompt_id": "a", "prompt": [{"role": "user", "content": "Hi"}], "response_1": "1", "response_2": "2"}
    unknown = {field.name: None for field in schemas.CANDIDATES if field.nullable}
    sampled = {"tokens_1": 3, "tokens_2": 4, "truncated_1": True, "truncated_2": False}
    sampled |= {"ids_1": [5, 6, 7], "ids_2": [5, 5, 6, 1], "vocabulary": "0123456789abcdef"}
    sampled |= {"opens_thought": True}
    for schema, more in (
        (schemas.OFF_POLICY_CANDIDATES, {"original_preference": 2}),
        (schemas.SAMPLED_CANDIDATES, sampled),
        (pa.schema([field for field in schemas.CANDIDATES if not field.nullable]), {}),
    ):
        write_table(path, [{**row, **more}], schema)
        known = {name: value for name, value in more.items() if name in unknown}
        assert read_candidates(path).to_pylist() == [{**row, **unknown, **known}]
        assert read_candidates(path).schema.names == schemas.CANDIDATES.names
    write_table(path, [row], schemas.PROMPTS)
    with pytest.raises(BadInput, match="lacks the column response_1, response_2"):
        read_candidates(path)
    path.write_text("no table")
    with pytest.raises(BadInput, match="not a whole Parquet file"):
        read_candidates(path)


def test_preferences_without_a_word_on_cut_responses_are_named(tmp_path):
    old = pa.schema([field for field in schemas.PREFERENCES if not field.name.endswith("_truncated")])
    write_table(tmp_path / "train.parquet", old.empty_table(), old)
    with pytest.raises(BadInput, match="lacks the column chosen_truncated, rejected_truncated; it has prompt_id"):
        read_table(tmp_path / "train.parquet", schemas.PREFERENCES)


def test_tables_have_exactly_the_schema(tmp_path):
    target = tmp_path / "table.parquet"
    row = {"prompt_id": "a", "prompt": [{"role": "user", "content": "Hi"}], "response_1": "1", "response_2": "2"}
    write_table(target, [{**row, "extra": 1}], schemas.CANDIDATES)
    nothing = {field.name: None for field in schemas.CANDIDATES if field.nullable}
    assert read_table(target, schemas.CANDIDATES).to_pylist() == [{**row, **nothing}]
    assert pq.read_schema(target).names == schemas.CANDIDATES.names
    with pytest.raises((pa.ArrowInvalid, ValueError)):
        write_table(target, [{**row, "prompt_id": None}], schemas.CANDIDATES)
    assert read_table(target, schemas.CANDIDATES).num_rows == 1
    assert names(tmp_path) == ["table.parquet"]


def test_equal_tables_are_equal_bytes(tmp_path):
    rows = [{"prompt_id": str(i), "prompt": [{"role": "user", "content": "x" * i}]} for i in range(100)]
    for name in "ab":
        write_table(tmp_path / name, rows, schemas.PROMPTS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# Reading


def read_columns(path):
    return read_csv(path, ("a", "b"))


@pytest.mark.parametrize("read", [read_text, read_json, read_json_lines, read_parquet, read_columns])
def test_what_is_no_file_is_refused(tmp_path, read):
    with pytest.raises(BadInput, match="does not exist"):
        read(tmp_path / "none")
    with pytest.raises(BadInput, match="is a folder"):
        read(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(BadInput, match="is empty"):
        read(tmp_path / "empty")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pa.table({"prompt_id": ["a"]}), "lacks the column prompt; it has prompt_id"),
        (pa.table({"prompt_id": ["a"], "prompt": ["text"]}), "column prompt should hold list"),
        (
            pa.table({"prompt_id": [None, "a"], "prompt": pa.nulls(2, schemas.CONVERSATION)}),
            "prompt_id has 1 empty values",
        ),
        (pa.table({"prompt_id": ["a"], "prompt": [[1]]}), "column prompt should hold list"),
    ],
)
def test_tables_of_another_schema_are_refused(tmp_path, table, words):
    pq.write_table(table, tmp_path / "table.parquet")
    with pytest.raises(BadInput, match=words):
        read_table(tmp_path / "table.parquet", schemas.PROMPTS)


def test_columns_of_a_wider_table_are_cast_and_put_in_order(tmp_path):
    table = pa.table(
        {"extra": [1], "index": pa.array([3], pa.int64()), "prompt_id": pa.array(["a"], pa.large_string())}
    )
    pq.write_table(table, tmp_path / "table.parquet")
    schema = pa.schema([schemas.PROMPT_ID, pa.field("index", pa.int32(), nullable=False)])
    assert read_table(tmp_path / "table.parquet", schema).schema.equals(schema)
    pq.write_table(table.set_column(1, "index", pa.array([2**40])), tmp_path / "table.parquet")
    with pytest.raises(BadInput, match="column index should hold int32"):
        read_table(tmp_path / "table.parquet", schema)


def test_text_that_is_not_utf8_in_a_table_is_refused(tmp_path):
    pq.write_table(pa.table({"prompt_id": pa.array([b"\xff"]).view(pa.string())}), tmp_path / "table.parquet")
    for read in (lambda path: read_table(path, pa.schema([schemas.PROMPT_ID])), read_parquet):
        with pytest.raises(BadInput, match="not a whole Parquet file"):
            read(tmp_path / "table.parquet")


def assert_read_or_refused(read, path):
    try:
        return read(path)
    except BadInput as refused:
        assert str(path) in str(refused) and "\n" not in str(refused)
        return None


@fuzz
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(content=b"{}\n[]")
@example(content=b"9" * 5000)
@example(content=b"[" * 100_000)
@example(content=b'{"a": NaN, "b": 1e999}')
@example(content=b"\xef\xbb\xbf{}")
def test_any_bytes_are_read_as_json_or_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "any"
    path.write_bytes(content)
    for read in (read_json, read_json_lines, read_text, read_manifest):
        assert_read_or_refused(read, path)


CSV = b'\xef\xbb\xbfa,b,c\r\n1,"x, y",\r\n2\r\n'


def test_a_csv_file_is_read_as_text_gzipped_or_not(tmp_path):
    (tmp_path / "t.csv").write_bytes(CSV)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(CSV))
    for name in ("t.csv", "t.csv.gz"):
        assert read_columns(tmp_path / name) == [{"a": "1", "b": "x, y", "c": ""}, {"a": "2", "b": "", "c": ""}]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", b"a,c\n1,2\n", "lacks the column b"),
        ("t.csv", b"a,b\n", "has no rows"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", "line 3: more values than columns"),
        ("t.csv", b"a,b\n\xff,2\n", "is not a whole CSV file"),
        ("t.csv.gz", CSV, "is not a whole CSV file"),
        ("t.csv.gz", gzip.compress(CSV)[:-12], "is not a whole CSV file"),
        ("t.csv.gz", gzip.compress(CSV)[:10] + b"\xff" * 20, "is not a whole CSV file"),
    ],
)
def test_a_csv_file_that_is_not_whole_is_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=words):
        read_columns(tmp_path / name)


@fuzz
@given(rows=st.lists(st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5)), max_size=5))
def test_json_lines_come_back_as_they_were(tmp_path, rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    assert read_json_lines(path) == rows


@pytest.fixture(scope="module")
def parquet_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "table.parquet"
    rows = [{"prompt_id": str(i), "prompt": [{"role": "user", "content": f"Question {i}"}]} for i in range(50)]
    write_table(path, rows, schemas.PROMPTS)
    return path.read_bytes()


@fuzz
@given(data=st.data())
def test_any_damage_to_a_table_is_survived(tmp_path, parquet_bytes, data):
    content = bytearray(parquet_bytes)
    positions = st.integers(0, len(content) - 1)
    for position, byte in data.draw(st.lists(st.tuples(positions, st.integers(0, 255)), min_size=1, max_size=8)):
        content[position] = byte
    path = tmp_path / "table.parquet"
    path.write_bytes(content[: data.draw(st.just(len(content)) | positions)])
    table = (
        assert_read_or_refused(lambda file: read_table(file, schemas.PROMPTS), path) if path.stat().st_size else None
    )
    if table is not None:
        assert table.schema.equals(schemas.PROMPTS)
        table.to_pylist()


# Manifests


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "checkpoint"
    (folder / "nested").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "nested" / "tokenizer.json").write_text("{}")
    (folder / "manifest.ledger.json").write_text("{}")
    write_manifest(folder, {"policy": "m/sft"})
    return folder


def test_a_manifest_lists_every_file_but_itself_and_ledgers(checkpoint):
    manifest = read_manifest(checkpoint / "manifest.json")
    assert manifest["policy"] == "m/sft"
    assert list(manifest["files"]) == ["model.safetensors", "nested/tokenizer.json"]
    assert manifest["files"]["model.safetensors"] == sha256(checkpoint / "model.safetensors")
    before = (checkpoint / "manifest.json").read_bytes()
    write_manifest(checkpoint, {"policy": "m/sft"})
    assert (checkpoint / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "model.safetensors").write_bytes(b"other"), "is not the file that .* lists"),
        (lambda folder: (folder / "nested" / "tokenizer.json").unlink(), "is listed in .* but missing"),
        (lambda folder: write_json(folder / "manifest.json", {"policy": "m/sft"}), "is not a manifest"),
        (lambda folder: write_json(folder / "manifest.json", []), "is not a manifest"),
        (lambda folder: (folder / "manifest.json").unlink(), "does not exist"),
    ],
)
def test_a_checkpoint_that_changed_is_noticed(checkpoint, change, words):
    change(checkpoint)
    with pytest.raises(BadInput, match=words):
        read_manifest(checkpoint / "manifest.json")


# Programs


PROGRAM = """
import sys
sys.path.insert(0, {scripts!r})
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, progress, run
def main():
    {body}
run(main)
"""


@pytest.mark.parametrize(
    ("body", "code", "error"),
    [
        ("pass", 0, ""),
        ("raise BadInput('data.jsonl is empty')", 2, "task: data.jsonl is empty\n"),
        ("raise KeyboardInterrupt", 130, "task: interrupted, nothing unfinished was left behind\n"),
        ("sys.exit(3)", 3, ""),
        ("list(progress(range(3), 'counting'))", 0, "counting: 3/3 in 0.0 s\n"),
        ("finish('x.parquet', 3, 1, {'empty': 2, 'odd': 0}, rate=1/3, n=7, cut=0, flips=0.0, valid=False)", 0,
         "task: 3 rows in, 1 rows out, dropped: 2 empty, rate 0.3333, n 7, flips 0, valid false -> x.parquet\n"),
    ],
)  # fmt: skip
def test_exit_codes_and_the_last_line(tmp_path, root, body, code, error):
    script = tmp_path / "task.py"
    script.write_text(PROGRAM.format(scripts=str(root / "workflow_scripts"), body=body))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (code, error)
    if "finish" in body:
        ledger = read_json(tmp_path / "x.ledger.json")
        assert ledger.pop("provenance")["program"] == "task.py"
        assert ledger == {
            "output": "x.parquet",
            "rows_in": 3,
            "rows_out": 1,
            "dropped": {"empty": 2, "odd": 0},
            "rate": 1 / 3,
            "n": 7,
            "cut": 0,
            "flips": 0.0,
            "valid": False,
        }


def test_an_error_of_ours_is_exit_code_1_with_its_traceback(tmp_path, root):
    script = tmp_path / "task.py"
    script.write_text(PROGRAM.format(scripts=str(root / "workflow_scripts"), body="1 / 0"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr


def test_progress_lines_are_rare_and_tell_what_is_left(monkeypatch, capsys):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(program.time, "monotonic", lambda: next(clock))
    assert list(program.progress("abcdef", "labelling")) == list("abcdef")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["labelling: 3/6, 12 s left", "labelling: 6/6 in 28.0 s"]


# Identifiers and seeds


def test_a_prompt_has_one_identifier_whatever_else_its_turns_carry():
    prompt = [{"role": "user", "content": "Hi \U0001f600"}]
    assert prompt_id(prompt) == prompt_id([{"content": "Hi \U0001f600", "role": "user", "name": "x"}])
    assert re.fullmatch("[0-9a-f]{16}", prompt_id(prompt))
    assert prompt_id([{"role": "user", "content": "Hi"}]) == "d7760b4ba3077c46"


def test_different_conversations_have_different_identifiers():
    a, b = {"role": "user", "content": "a"}, {"role": "assistant", "content": "a"}
    joined = {"role": "user", "content": "aa"}
    conversations = [[a], [b], [a, b], [b, a], [a, a], [joined]]
    assert len({prompt_id(conversation) for conversation in conversations}) == len(conversations)


def test_seeds_are_of_the_study_the_prompt_the_candidate_and_the_policy(root):
    names = (None, "m/sft", "m/dpo/on")
    seeds = {request_seed(s, p, i, n) for s in (0, 1) for p in ("a", "b", "1/a") for i in (1, 2, 11) for n in names}
    assert len(seeds) == 54
    assert all(0 <= seed < 2**31 for seed in seeds)
    command = [sys.executable, "-c", "from dpo_stages.data.prompts import request_seed; print(request_seed(0, 'a', 1))"]
    environment = {**os.environ, "PYTHONHASHSEED": "5"}
    other = subprocess.run(command, capture_output=True, text=True, cwd=root / "workflow_scripts", env=environment)
    assert int(other.stdout) == request_seed(0, "a", 1)


def test_the_fingerprint_of_a_folder_is_of_its_content(tmp_path):
    def written(name, files):
        for file, content in files.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_bytes(content)
        return fingerprint(tmp_path / name, ["*.json", "*.bin"])

    weights = bytes(range(256)) * 40_000
    base = written("base", {"config.json": b"{}", "model.bin": weights})
    os.utime(tmp_path / "base/model.bin", (0, 0))
    assert written("base", {"README.md": b"other", ".cache/config.json": b"1", "sub/config.json": b"1"}) == base
    assert written("copy", {"config.json": b"{}", "model.bin": weights}) == base
    others = [
        {"config.json": b"{ }", "model.bin": weights},
        {"config.json": b"{}", "model.bin": weights + b"1"},
        {"config.json": b"{}", "model.bin": bytes(255 - one for one in weights)},
        {"config.json": b"{}", "model2.bin": weights},
        {"config.json": b"{}", "model.bin": b"1" + weights[1:]},
    ]
    found = [written(f"other{number}", files) for number, files in enumerate(others)]
    assert base not in found
    assert len(set(found)) == len(others)
