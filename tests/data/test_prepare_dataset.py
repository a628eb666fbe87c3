"""The program prepare_dataset.py: every source, the same bytes for the same seed, and bad input of every kind."""

import gzip
import json
import time

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpo_stages.core.files import read_json
from dpo_stages.core.parquet import read_table
from dpo_stages.data import schemas


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


PAIRS = [{"prompt": f"Question {i}?", "chosen": f"Yes, {i}.", "rejected": f"No, {i}."} for i in range(20)]
CHATS = [{"messages": [user(f"Question {i}?"), assistant(f"Yes, {i}.")]} for i in range(20)]
INSTRUCTIONS = [{"instruction": f"Do {i}.", "output": f"Done {i}.", "subset": "some"} for i in range(20)]
FEEDBACK = [
    {
        "prompt": pair["prompt"],
        "prompt_id": "theirs",
        "chosen": [user(pair["prompt"]), assistant(pair["chosen"])],
        "rejected": [user(pair["prompt"]), assistant(pair["rejected"])],
        "messages": [user(pair["prompt"]), assistant(pair["chosen"])],
        "score_chosen": 8.0,
        "score_rejected": 6.0,
    }
    for pair in PAIRS
]


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def prepare(run_script, tmp_path):
    """Run the program on a source; the output is `out/train.parquet` in the test's folder."""
    output = tmp_path / "out" / "train.parquet"

    def run(source, kind="preferences", adapter="local", *flags, split="train", seed=0, env="workflow", to=output):
        arguments = ["--kind", kind, "--adapter", adapter, "--source", source, "--split", split, "--seed", seed]
        return run_script("prepare_dataset", *arguments, "--output", to, *flags, env=env)

    run.output = output
    return run


def test_a_local_file_of_each_format_gives_the_same_table(prepare, tmp_path):
    sources = [write_lines(tmp_path / "pairs.jsonl", PAIRS), tmp_path / "pairs.json", tmp_path / "pairs.parquet"]
    sources[1].write_text(json.dumps(PAIRS, indent=1))
    pd.DataFrame(PAIRS).to_parquet(sources[2])
    tables = []
    for source in sources:
        done = prepare(source)
        assert done.returncode == 0, done.stderr
        [line] = done.stderr.splitlines()
        assert line == f"prepare_dataset: 20 rows in, 20 rows out, dropped: none, prompts 20 -> {prepare.output}"
        tables.append(prepare.output.read_bytes())
    assert tables[0] == tables[1] == tables[2]
    table = read_table(prepare.output, schemas.OFF_POLICY_CANDIDATES)
    assert table["response_1"].to_pylist() == [pair["chosen"] for pair in PAIRS]
    assert pq.read_schema(prepare.output).field("prompt_id").metadata[b"meaning"]


def test_nested_columns_of_parquet(prepare, tmp_path):
    source = tmp_path / "feedback.parquet"
    pd.DataFrame(FEEDBACK).to_parquet(source)
    assert prepare(source).returncode == 0
    table = read_table(prepare.output, schemas.OFF_POLICY_CANDIDATES)
    assert table["prompt"][3].as_py() == [user("Question 3?")]


@pytest.mark.parametrize(
    ("kind", "records", "schema"), [("chat", CHATS, schemas.CHAT), ("instructions", INSTRUCTIONS, schemas.INSTRUCTIONS)]
)
def test_conversations_and_instructions(prepare, tmp_path, kind, records, schema):
    done = prepare(write_lines(tmp_path / "some.jsonl", records), kind)
    assert done.returncode == 0, done.stderr
    assert read_table(prepare.output, schema).num_rows == 20


def test_the_ledger_counts_every_record(prepare, tmp_path):
    records = [*PAIRS, PAIRS[0], {**PAIRS[1], "prompt": " "}, {**PAIRS[2], "prompt": "New", "chosen": ""}]
    done = prepare(write_lines(tmp_path / "pairs.jsonl", records), "preferences", "local", "--limit", 5)
    assert done.returncode == 0, done.stderr
    ledger = read_json(prepare.output.with_name("train.ledger.json"))
    assert (ledger["rows_in"], ledger["rows_out"]) == (23, 5)
    counts = {reason: count for reason, count in ledger["dropped"].items() if count}
    assert counts == {"empty prompt": 1, "empty response": 1, "duplicate prompt": 1, "beyond the limit": 15}
    assert "1 duplicate prompt" in done.stderr and ledger["prompts"] == 22


def test_of_two_records_the_last_stays_on_request(prepare, tmp_path):
    source = write_lines(tmp_path / "pairs.jsonl", [*PAIRS, {**PAIRS[0], "chosen": "Better."}])
    assert prepare(source, "preferences", "local", "--duplicates", "last").returncode == 0
    chosen = read_table(prepare.output, schemas.OFF_POLICY_CANDIDATES)["response_1"].to_pylist()
    assert chosen == ["Better.", *(pair["chosen"] for pair in PAIRS[1:])]


def test_same_seed_same_bytes_and_nested_limits(prepare, tmp_path):
    records = [
        {"prompt": f"Question {i}?", "responses": [{"text": f"{i} {j}", "score": j % 3} for j in range(4)]}
        for i in range(40)
    ]
    source = write_lines(tmp_path / "scored.jsonl", records)
    made = {}
    for name, limit, seed in [("a", 10, 0), ("b", 10, 0), ("c", 20, 0), ("d", 10, 1)]:
        to = tmp_path / f"{name}.parquet"
        done = prepare(source, "preferences", "local", "--limit", limit, seed=seed, to=to)
        assert done.returncode == 0, done.stderr
        made[name] = to
    assert made["a"].read_bytes() == made["b"].read_bytes()
    a, c, d = (read_table(made[name], schemas.OFF_POLICY_CANDIDATES).to_pylist() for name in "acd")
    assert len(c) == 20 and [row for row in c if row in a] == a
    assert {row["prompt_id"] for row in a} != {row["prompt_id"] for row in d}


def test_local_files_need_neither_datasets_nor_torch_and_start_fast(prepare, tmp_path, monkeypatch):
    blocked = tmp_path / "blocked"
    for name in ("datasets", "torch", "transformers", "pandas"):
        (blocked / name).mkdir(parents=True)
        (blocked / name / "__init__.py").write_text("raise ImportError('not for local files')\n")
    source = write_lines(tmp_path / "pairs.jsonl", PAIRS)
    monkeypatch.setenv("PYTHONPATH", str(blocked))
    began = time.monotonic()
    done = prepare(source)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 10  # half a second on an idle machine


# Repositories of the hub, as copies in folders


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A machine that has no way to the hub, with a cache of its own."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize(
    ("adapter", "kind", "split", "records", "same"),
    [
        ("ultrafeedback_binarized", "preferences", "train_prefs", FEEDBACK, PAIRS),
        ("ultrachat_200k", "chat", "train_sft", [{"prompt": "", "prompt_id": "", **chat} for chat in CHATS], CHATS),
    ],
)
@pytest.mark.usefixtures("offline")
def test_hub_data_sets_are_read_by_their_split(prepare, tmp_path, adapter, kind, split, records, same):
    folder = tmp_path / "repository" / "data"
    folder.mkdir(parents=True)
    half = len(records) // 2
    pd.DataFrame(records[:half]).to_parquet(folder / f"{split}-00000-of-00002-abc.parquet")
    pd.DataFrame(records[half:]).to_parquet(folder / f"{split}-00001-of-00002-def.parquet")
    pd.DataFrame(records[:1]).to_parquet(folder / "test_gen-00000-of-00001-abc.parquet")
    done = prepare(folder.parent, kind, adapter, "--revision", "main", split=split, env="train")
    assert done.returncode == 0, done.stderr
    from_hub = prepare.output.read_bytes()
    assert prepare(write_lines(tmp_path / "same.jsonl", same), kind).returncode == 0
    assert prepare.output.read_bytes() == from_hub


@pytest.mark.usefixtures("offline")
def test_a_data_set_of_the_hub_is_read_in_any_form(prepare, tmp_path):
    folder = tmp_path / "repository/data"
    folder.mkdir(parents=True)
    records = [
        {"prompt": pair["prompt"], "response": pair[name], "helpfulness": rating}
        for pair in PAIRS
        for name, rating in (("chosen", 4), ("rejected", 1))
    ]
    pd.DataFrame(records).to_parquet(folder / "train-00000-of-00001.parquet")
    done = prepare(folder.parent, "preferences", "auto", "--revision", "main", env="train")
    assert done.returncode == 0, done.stderr
    assert "form prompt, response by helpfulness, the rows of a prompt together" in done.stderr
    from_hub = prepare.output.read_bytes()
    assert prepare(write_lines(tmp_path / "same.jsonl", PAIRS)).returncode == 0
    assert prepare.output.read_bytes() == from_hub


@pytest.mark.usefixtures("offline")
def test_a_split_or_data_set_that_is_not_there(prepare, tmp_path):
    folder = tmp_path / "repository" / "data"
    folder.mkdir(parents=True)
    pd.DataFrame(FEEDBACK).to_parquet(folder / "train_prefs-00000-of-00001.parquet")
    for source, split in [(folder.parent, "train_sft"), ("somebody/nothing-of-that-name", "train_prefs")]:
        done = prepare(source, "preferences", "ultrafeedback_binarized", split=split, env="train")
        assert_refused(done, f"cannot load the split {split} of {source} at revision main", prepare.output)


def test_alpaca_eval_is_read_from_its_file(prepare, tmp_path):
    records = [{**row, "dataset": row["subset"], "generator": "gpt4_1106_preview"} for row in INSTRUCTIONS]
    (tmp_path / "alpaca_eval_gpt4_baseline.json").write_text(json.dumps(records))
    done = prepare(tmp_path, "instructions", "alpaca_eval", split="eval")
    assert done.returncode == 0, done.stderr
    table = read_table(prepare.output, schemas.INSTRUCTIONS)
    assert table["index"].to_pylist() == list(range(20)) and table["subset"][0].as_py() == "some"
    prepare.output.unlink()
    prepare.output.with_name("train.ledger.json").unlink()
    assert_refused(
        prepare(tmp_path, "instructions", "alpaca_eval", split="train"), "AlpacaEval has only eval", prepare.output
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bom.jsonl", b"\xef\xbb\xbf%s\n%s\n"),
        ("bom.json", b"\xef\xbb\xbf[%s, %s]"),
        ("lines.json", b"%s\n\n%s\n"),
        ("lines.ndjson", b"%s\r\n%s\r\n"),
        ("lines.jsonl.gz", b"%s\n%s\n"),
        ("list.json.gz", b"[%s, %s]"),
    ],
)
def test_the_same_records_by_another_name_give_the_same_table(prepare, tmp_path, name, content):
    assert prepare(write_lines(tmp_path / "plain.jsonl", PAIRS[:2]), "preferences").returncode == 0
    expected = prepare.output.read_bytes()
    content %= tuple(json.dumps(record).encode() for record in PAIRS[:2])
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    done = prepare(tmp_path / name, "preferences")
    assert done.returncode == 0, done.stderr
    assert prepare.output.read_bytes() == expected


def test_columns_of_other_names_give_the_same_table(prepare, tmp_path):
    assert prepare(write_lines(tmp_path / "plain.jsonl", PAIRS)).returncode == 0
    expected = prepare.output.read_bytes()
    renamed = [{"my question": pair["prompt"], "chosen": pair["chosen"], "bad": pair["rejected"]} for pair in PAIRS]
    flags = ["--columns", "prompt=my question", "rejected=bad"]
    done = prepare(write_lines(tmp_path / "renamed.jsonl", renamed), "preferences", "local", *flags)
    assert done.returncode == 0, done.stderr
    assert prepare.output.read_bytes() == expected


def test_all_responses_become_groups(prepare, tmp_path):
    records = [{"prompt": f"{n}?", "responses": ["a", "b", "c"], "scores": [1, n, 3]} for n in range(3)]
    done = prepare(write_lines(tmp_path / "a.jsonl", records), "preferences", "local", "--responses", "all")
    assert done.returncode == 0 and "form prompt, responses by scores" in done.stderr, done.stderr
    table = read_table(prepare.output, schemas.OFF_POLICY_GROUPS)
    assert table["responses"].to_pylist() == [["a", "b", "c"]] * 3
    assert table["original_scores"].to_pylist() == [[1, n, 3] for n in range(3)]


def test_a_file_is_shown_with_its_name_alone_and_nothing_is_written(run_script, tmp_path):
    source = write_lines(tmp_path / "pairs.jsonl", PAIRS)
    done = run_script("prepare_dataset", "--show", 2, "--source", source, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Record ") == 2 and "20 records, 20 rows, dropped: none" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]
    done = run_script("prepare_dataset", "--show", 1, "--kind", "chat", "--source", write_lines(source, CHATS))
    assert "assistant: Yes, 0." in done.stdout
    done = run_script("prepare_dataset", "--source", source)
    assert done.returncode == 2 and "are required: --kind, --adapter, --split, --seed, --output" in done.stderr


def test_columns_that_nothing_reads_are_named_in_the_summary(prepare, tmp_path):
    done = prepare(write_lines(tmp_path / "a.jsonl", [{**record, "id": 1} for record in PAIRS]), "preferences")
    assert done.returncode == 0 and 'unused columns ["id"]' in done.stderr


# Bad input


def assert_refused(done, words, output):
    """Exit code 2, one sentence, no traceback, nothing written."""
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stderr.startswith("prepare_dataset: ") and done.stderr.count("\n") == 1, done.stderr
    assert not output.parent.exists() or not list(output.parent.iterdir())


def as_parquet(table):
    def write(path):
        pq.write_table(table, path)

    return write


def cut(path):
    pq.write_table(pa.Table.from_pylist(PAIRS * 100), path)
    path.write_bytes(path.read_bytes()[:-100])


def damaged(path):
    pq.write_table(pa.Table.from_pylist(PAIRS * 100), path, compression="none")
    content = bytearray(path.read_bytes())
    content[4:200] = b"\xff" * 196
    path.write_bytes(content)


def not_utf8_column(path):
    values = pa.array([b"\xff\xfe", b"ok"]).view(pa.string())
    pq.write_table(pa.table({"prompt": values, "chosen": ["a", "b"], "rejected": ["b", "a"]}), path)


LINE = json.dumps(PAIRS[0])
BAD_FILES = {
    "a file that does not exist": ("none.jsonl", None, "does not exist"),
    "an empty file": ("data.jsonl", b"", "is empty"),
    "nothing but blank lines": ("data.jsonl", b"\n \n", "has no record that can be used (it has none at all)"),
    "a folder": ("data.jsonl", "folder", "is a folder; a file is expected"),
    "another kind of file": (
        "data.xlsx",
        b"prompt,chosen,rejected\n",
        "no name that ends in .jsonl, .json or .parquet",
    ),
    "a table of nothing but a header": ("data.csv", b"prompt,chosen,rejected\n", "it has none at all"),
    "a table with a comma too many": ("data.csv", b"prompt,chosen,rejected\na,b,c,d\n", "record 1: more values than"),
    "a quote that is never closed": (
        "data.tsv",
        b'prompt\tchosen\trejected\na\t"b\tc\nd\te\tf\n',
        "not readable as a table",
    ),
    "a column twice": ("data.csv", b"prompt,chosen,chosen\na,b,c\n", "has two columns chosen"),
    "turns written by pandas": (
        "data.csv",
        b"""prompt,chosen,rejected\na,"[{'role': 'assistant', 'content': 'b'}]",c\n""",
        "record 1, chosen is a list that was written as a text",
    ),
    "a name without suffix": ("data", LINE.encode(), "no name that ends in"),
    "a line cut short": ("data.jsonl", f"{LINE}\n{LINE[:40]}\n".encode(), "line 2: not valid JSON"),
    "a line of plain text": ("data.jsonl", f"{LINE}\n\nwhy?\n".encode(), "line 3: not valid JSON"),
    "a line that holds a list": ("data.jsonl", f"{LINE}\n[1]\n".encode(), "line 2: expected a JSON object, found list"),
    "two objects on a line": ("data.jsonl", f"{LINE}{LINE}\n".encode(), "line 1: not valid JSON"),
    "Latin-1": ("data.jsonl", LINE.replace("Yes", "Oui, \xe7a va").encode("latin-1"), "line 1: not UTF-8"),
    "UTF-16": ("data.jsonl", LINE.encode("utf-16"), "line 1: not UTF-8"),
    "a byte order mark in the middle": (
        "data.jsonl",
        LINE.encode() + b"\n\xef\xbb\xbf" + LINE.encode(),
        "line 2: not valid",
    ),
    "half a gzip file": ("data.jsonl.gz", gzip.compress(LINE.encode())[:-9], "is not a whole gzip file"),
    "no gzip file": ("data.json.gz", LINE.encode(), "is not a whole gzip file"),
    "half a surrogate pair": ("data.jsonl", LINE.replace("Yes", "\\ud83d").encode(), "chosen holds half a character"),
    "brackets without end": ("data.jsonl", b'{"prompt": ' + b"[" * 100_000, "line 1: not valid JSON"),
    "a number without end": ("data.jsonl", b'{"prompt": ' + b"1" * 10_000 + b"}", "line 1: not valid JSON"),
    "a long line without end": ("data.jsonl", b'{"prompt": "' + b"x" * 10_000_000, "line 1: not valid JSON"),
    "gzip": ("data.jsonl", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "line 1: not UTF-8"),
    "JSON cut short": ("data.json", json.dumps(PAIRS).encode()[:-20], "is not valid JSON"),
    "JSON that is an object": ("data.json", b'{"data": []}', "is no list of JSON objects"),
    "JSON that is a list of texts": ("data.json", b'["a"]', "is no list of JSON objects"),
    "JSON in Latin-1": ("data.json", b'["\xe9"]', "is not UTF-8 text"),
    "JSON and more called JSON": ("data.json", f"[]\n{LINE}\n".encode(), "line 1: expected a JSON object, found list"),
    "JSON called Parquet": ("data.parquet", LINE.encode(), "is not a whole Parquet file"),
    "Parquet called JSON Lines": ("data.jsonl", b"PAR1\x15\x04\xff", "line 1: not UTF-8"),
    "Parquet cut short": ("data.parquet", cut, "is not a whole Parquet file"),
    "damaged Parquet": ("data.parquet", damaged, "is not a whole Parquet file"),
    "Parquet with text that is not UTF-8": ("data.parquet", not_utf8_column, "is not a whole Parquet file"),
    "Parquet without rows": (
        "data.parquet",
        as_parquet(pa.table({"prompt": pa.array([], pa.string())})),
        "it has none at all",
    ),
    "Parquet without the columns": ("data.parquet", as_parquet(pa.table({"question": ["a"]})), "it has question"),
    "Parquet with empty values": (
        "data.parquet",
        as_parquet(pa.table({"prompt": ["a", "b"], "chosen": ["a", None], "rejected": ["b", "c"]})),
        "record 2: chosen is empty",
    ),
    "Parquet with numbers": (
        "data.parquet",
        as_parquet(pa.table({"prompt": ["a"], "chosen": [1.5], "rejected": ["b"]})),
        "record 1: chosen is a number",
    ),
    "a missing column": ("data.jsonl", b'{"prompt": "a", "chosen": "b"}', "record 1: has neither chosen and rejected"),
    "a record of another kind": ("data.jsonl", json.dumps(CHATS[0]).encode(), "it has messages"),
    "a score that is NaN": (
        "data.jsonl",
        b'{"prompt": "a", "responses": [{"text": "b", "score": NaN}, {"text": "c", "score": 1}]}',
        "responses, number 1, score is nan",
    ),
    "no usable record": ("data.jsonl", b'{"prompt": "a", "chosen": "b", "rejected": "b"}', "(1 identical responses)"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused_in_one_sentence(prepare, tmp_path, name):
    file, content, words = BAD_FILES[name]
    source = tmp_path / file
    if content == "folder":
        source.mkdir()
    elif callable(content):
        content(source)
    elif content is not None:
        source.write_bytes(content)
    assert_refused(prepare(source), words, prepare.output)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--limit", "0"], "--limit is 0"),
        (["--limit", "-5"], "--limit is -5"),
        (["--limit", "all"], "--limit is all"),
        (["--limit", "2.5"], "--limit is 2.5"),
        (["--limit", "\u00b2"], "--limit is \u00b2"),
        (["--adapter", "ultrachat_200k"], "the adapter ultrachat_200k reads chat, not preferences"),
        (
            ["--adapter", "ultrafeedback_binarized", "--columns", "prompt=x"],
            "--columns is for the adapters local and auto",
        ),
        (["--columns", "prompt=question"], "record 1: lacks question, which `columns` names for prompt"),
        (["--kind", "chat", "--responses", "all"], "--responses all is for preferences, not for chat"),
    ],
)
def test_bad_flags_are_refused_in_one_sentence(prepare, tmp_path, flags, words):
    source = write_lines(tmp_path / "pairs.jsonl", PAIRS)
    assert_refused(prepare(source, "preferences", "local", *flags), words, prepare.output)


@pytest.mark.parametrize(
    "flags",
    [["--kind", "pairs"], ["--adapter", "hub"], ["--seed", "zero"], ["--columns", "x"], ["--no-such-flag"]],
    ids=lambda flags: flags[0],
)
def test_flags_that_do_not_exist_exit_with_2(prepare, tmp_path, flags):
    done = prepare(write_lines(tmp_path / "pairs.jsonl", PAIRS), "preferences", "local", *flags)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert not prepare.output.exists()


def test_a_long_line_is_no_trouble(prepare, tmp_path):
    records = [{"prompt": "Long?", "chosen": "x" * 10_000_000, "rejected": "short"}, *PAIRS]
    done = prepare(write_lines(tmp_path / "pairs.jsonl", records))
    assert done.returncode == 0, done.stderr
    lengths = [
        len(text) for text in read_table(prepare.output, schemas.OFF_POLICY_CANDIDATES)["response_1"].to_pylist()
    ]
    assert max(lengths) == 10_000_000 and len(lengths) == 21


def test_a_failed_run_leaves_the_earlier_output_as_it_was(prepare, tmp_path):
    assert prepare(write_lines(tmp_path / "pairs.jsonl", PAIRS)).returncode == 0
    before = {path.name: path.read_bytes() for path in prepare.output.parent.iterdir()}
    assert prepare(write_lines(tmp_path / "bad.jsonl", [{"prompt": 1}])).returncode == 2
    assert {path.name: path.read_bytes() for path in prepare.output.parent.iterdir()} == before


def test_help_is_fast_and_explains_the_formats(run_script):
    done = run_script("prepare_dataset", "--help")
    assert done.returncode == 0
    for word in ("prompt, chosen, rejected", "responses", "ultrafeedback_binarized", "--limit"):
        assert word in done.stdout
