"""The table of pairs, from ledgers of the programs that drop rows."""

import csv
import json

import numpy as np
import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.data.schemas import CANDIDATES
from dpo_stages.preferences.pair_tables import WorkflowCandidates
from dpo_stages.preferences.pairs import Verdicts, report

RECORDS = [
    ("A", "a1", "a2"),
    ("A", "a3", "a4"),  # a duplicate, in which the last record wins
    ("B", "same", "same"),
    ("B", "b1", "b2"),  # usable, and no duplicate of what was dropped
    ("C", "same", "same"),
    ("D", "", "d2"),
    ("E", "e1", "e2"),
    ("F", "f1", "f2"),
    ("G", "g1", "g2"),
]


def ledger(path, **counts):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.stem}.ledger.json").write_text(json.dumps(counts))
    return path


def labelled(path, responses, logits, drop_ties=True, own=None):
    """Labels of pairs as label_preferences.py counts them, where the preference model says `logits`, and the data `own` labels."""
    unknown = {field.name: None for field in CANDIDATES if field.nullable}
    rows = [
        unknown | {"prompt_id": str(n), "prompt": [], "response_1": one, "response_2": two, "truncated_1": n == 0}
        for n, (one, two) in enumerate(responses)
    ]
    rows = [row | {"original_preference": label} for row, label in zip(rows, own or [None] * len(rows), strict=True)]
    table = WorkflowCandidates(rows, True, drop_ties, drop_disputed=bool(own), thoughts="hide")
    verdicts = Verdicts(np.array([[logit, logit] for logit in logits], dtype=np.float32))
    kept, dropped, _ = table.label(verdicts)
    counts = report(table.pairs, verdicts, 1.0)
    return ledger(path, rows_in=len(rows), rows_out=len(kept), dropped=dropped, **counts)


@pytest.fixture
def files(tmp_path, run_here):
    """The preference data as it is prepared, samples for its prompts, and the labels of both."""
    source = tmp_path / "pairs.jsonl"
    source.write_text("".join(json.dumps({"prompt": p, "chosen": c, "rejected": r}) + "\n" for p, c, r in RECORDS))
    data = tmp_path / "data/train.parquet"
    run_here("prepare_dataset", "--kind", "preferences", "--adapter", "local", "--source", source, "--revision", "main", "--split", "train",
             "--limit", 4, "--seed", 0, "--output", data)  # fmt: skip
    from dpo_stages.models.chat_tokens import NO_ROOM

    sampled = ledger(tmp_path / "sampled/train.parquet", rows_in=4, rows_out=3, dropped={NO_ROOM: 1})
    off = labelled(tmp_path / "off/train.parquet", [("whole", "cut")] + [("a", "b")] * 3, [0.0, 1.0, -1.0])
    on = labelled(tmp_path / "on/train.parquet", [("whole", "cut"), ("b", "b"), ("c", "d")], [0.0, 1.0])
    return data, sampled, off, on


def make(run_here, tmp_path, files, names=("off", "on")):
    data, sampled, off, on = files
    run_here("make_pairs_table", "--data", data, data, "--candidates", data, sampled, "--preferences", off, on, "--names", *names,
             "--csv", tmp_path / "pairs.csv")  # fmt: skip
    with (tmp_path / "pairs.csv").open(newline="") as file:
        return {row.pop("candidates"): row for row in csv.DictReader(file)}


def test_every_row_that_is_lost_has_its_column(run_here, tmp_path, files):
    rows = make(run_here, tmp_path, files)
    whole = {"rows": 9, "duplicate_prompts": 1, "empty_records": 1, "identical_records": 2, "beyond_limit": 1}
    off = {"no_room": 0, "cut_responses": 1, "identical_responses": 0, "ties": 1, "own_labels": 0, "pairs": 2}
    on = {"no_room": 1, "cut_responses": 1, "identical_responses": 1, "ties": 0, "own_labels": 0, "pairs": 1}
    # 7 prompts, of which the limit leaves out one. Two data records and a tie; a prompt without room and equal samples.
    assert rows["off"] == {name: str(n) for name, n in {**whole, **off, "authors_pairs": 6, "authors_ties": 3}.items()}
    assert rows["on"] == {name: str(n) for name, n in {**whole, **on, "authors_pairs": 6, "authors_ties": 2}.items()}
    for row in rows.values():
        counts = [int(count) for name, count in row.items() if not name.startswith("authors")]
        assert counts[0] - sum(counts[1:-1]) == counts[-1] > 0


def test_kept_ties_are_pairs_and_the_authors_count_stays(run_here, tmp_path, files):
    on = labelled(files[3], [("whole", "cut"), ("b", "b"), ("c", "d")], [0.0, 1.0], drop_ties=False)
    row = make(run_here, tmp_path, [*files[:3], on])["on"]
    assert (row["identical_responses"], row["pairs"], row["authors_ties"]) == ("0", "2", "2")


def test_pairs_that_are_left_out_for_their_own_label_have_a_column(run_here, tmp_path, files):
    """Of four one was cut, one has no label, one another; the model is not asked about the first two."""
    responses = [("whole", "cut"), ("a", "b"), ("c", "d"), ("e", "f")]
    off = labelled(files[2], responses, [1.0, -1.0], own=[1, None, 2, 2])
    row = make(run_here, tmp_path, [*files[:2], off, files[3]])["off"]
    assert (row["cut_responses"], row["ties"], row["own_labels"], row["pairs"]) == ("1", "0", "2", "1")
    assert "| Own label" in (tmp_path / "pairs.md").read_text()


def test_data_whose_prompts_nobody_counted_have_no_figures_of_the_authors(run_here, tmp_path, files):
    path = files[0].with_name("train.ledger.json")
    path.write_text(
        json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != "prompts"})
    )
    row = make(run_here, tmp_path, files)["off"]
    assert (row["pairs"], row["authors_pairs"], row["authors_ties"]) == ("2", "", "")
    assert (tmp_path / "pairs.md").read_text().count("| –") == 4


def test_one_file_of_each_for_every_source(run_here, tmp_path, files):
    with pytest.raises(BadInput, match="2 --data, 2 --candidates, 2 --preferences, 1 --names; give one of each"):
        make(run_here, tmp_path, files, names=["off"])
