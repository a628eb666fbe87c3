"""Comparisons of arms: what is read, how pairs are turned, and what is refused."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from dpo_boundary.errors import BadInput
from dpo_boundary.race import decide_race
from dpo_boundary.race_columns import arrays_at, as_arm_comparisons, read_arm_comparisons

FOUR = {
    "prompt_id": ["p", "q", "p", "q"],
    "arm_1": ["on", "off", "off", "off"],
    "arm_2": ["off", "on", "on", "on"],
    "arm_1_preferred": [1.0, 0.25, 0.5, 1.0],
    "run": [1, 1, 2, 2],
    "length_1": [9, 2, 3, 4],
    "length_2": [5, 5, 5, 5],
}


def test_every_pair_is_turned_once():
    table = as_arm_comparisons(FOUR)
    assert (table.arms, table.runs, table.prompt_ids) == (("off", "on"), ("1", "2"), ("p", "q"))
    arrays = arrays_at(table, 1.0, ["off", "on"], seed=0)
    p_first = table.prompt_ids.index("p")
    order = [0, 1] if arrays.scores[0, 0, 0] == 0 else [1, 0]
    assert p_first == 0 and arrays.pairs == (("off", "on"),)
    assert arrays.scores[0][:, order].tolist() == [[0.0, 0.25], [0.5, 1.0]]
    assert arrays.longer[0][:, order].tolist() == [[-4, -3], [-2, -1]]


def without(*rows):
    kept = [number for number in range(4) if number not in rows]
    return {name: [column[number] for number in kept] for name, column in FOUR.items()}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({name: FOUR[name] for name in FOUR if name != "arm_2"}, "lack the column arm_2"),
        ({name: [] for name in FOUR}, "no comparison at all"),
        (FOUR | {"arm_1_preferred": [1, 0, 1.2, 0]}, "arm_1_preferred is 1.2 in 1 of 4"),
        (FOUR | {"arm_1_preferred": [1, 0, float("inf"), 0]}, "arm_1_preferred is inf in 1 of 4"),
        (FOUR | {"arm_1_preferred": [1, 0, None, 0]}, "arm_1_preferred of the comparisons has 1 empty"),
        (FOUR | {"arm_1": ["on", "on", "off", "off"]}, "arm on is compared with itself"),
        (FOUR | {"arm_1": ["on", "", "off", "off"]}, "column arm_1 of the comparisons has 1 empty"),
        (FOUR | {"prompt_id": ["p", None, "p", "q"]}, "column prompt_id of the comparisons has 1 empty"),
        (FOUR | {"run": [1, None, 2, 2]}, "column run of the comparisons has 1 empty"),
        (FOUR | {"run": [1, 1, 1, 2]}, "arms off and on are compared 2 times on prompt p in run 1 after 1 of an epoch"),
        (FOUR | {"share": [0.1, 0.1, 0.1, -1]}, "each is above 0"),
        (FOUR | {"share": [0.1, 0.1, 0.1, float("inf")]}, "each is above 0"),
        (FOUR | {"length_1": [1, 2, 3, float("inf")]}, "a length that is infinite"),
        (FOUR | {"run": [1, 1]}, "differ in length"),
        (without(3), "after 1 of an epoch run 2 of arms off and on lacks prompt q, which another run or pair has"),
        (without(1, 3), "there is one prompt, p; a race needs two at least"),
        (
            FOUR | {"arm_1": ["c", "off", "c", "off"], "arm_2": ["off", "on", "off", "on"]},
            "after 1 of an epoch arms c and on are both in the race, and nothing compares them",
        ),
    ],
)
def test_bad_tables_are_refused_in_one_sentence(table, message):
    with pytest.raises(BadInput, match=message) as refused:
        decide_race(table)
    assert len(str(refused.value).splitlines()) == 1


def test_an_optional_column_with_nothing_in_it_is_not_there_and_one_with_gaps_is_refused():
    rows = [dict(zip(FOUR, row, strict=True)) for row in zip(*FOUR.values(), strict=True)]
    assert as_arm_comparisons([row | {"length_1": None} for row in rows]).longer is None
    del rows[0]["run"]
    with pytest.raises(BadInput, match="run of the comparisons has 1 empty"):
        as_arm_comparisons(rows)


def look_file(folder, name, share=None, prompts=40):
    rows = [{"prompt_id": f"p{i}", "arm_1": "off", "arm_2": "on", "arm_1_preferred": 0.5} for i in range(prompts)]
    pd.DataFrame([row | ({} if share is None else {"share": share}) for row in rows]).to_csv(folder / name, index=False)
    return folder / name


def test_files_of_every_kind_are_one_race(tmp_path):
    frame = pd.DataFrame(FOUR)
    frame.to_csv(tmp_path / "r.csv", index=False)
    frame.to_json(tmp_path / "r.jsonl", orient="records", lines=True)
    frame.astype({"arm_1_preferred": np.float32}).to_parquet(tmp_path / "r.parquet")
    (tmp_path / "r.csv.gz").write_bytes(gzip.compress((tmp_path / "r.csv").read_bytes()))
    read = [read_arm_comparisons([path]) for path in sorted(tmp_path.iterdir())]
    assert len(read) == 4 and len({repr(table) for table in read}) == 1 and len(read[0]) == 4


def test_a_file_without_a_share_is_the_look_of_its_place(tmp_path):
    one, two = look_file(tmp_path, "one.csv"), look_file(tmp_path, "two.csv", share=0.2)
    assert read_arm_comparisons([one], [0.1, 0.05]).shares() == [0.05]
    assert read_arm_comparisons([one, look_file(tmp_path, "x.csv")], [0.05, 0.1]).shares() == [0.05, 0.1]
    assert read_arm_comparisons([one, two], [0.05, 0.1, 0.2]).shares() == [0.05, 0.2]
    assert read_arm_comparisons([one]).shares() == [1.0]
    with pytest.raises(BadInput, match="x.csv: it is file 2 and has no column share; add one, or announce a share"):
        read_arm_comparisons([one, tmp_path / "x.csv"])


def test_single_precision_shares_are_the_announced_ones():
    table = FOUR | {"share": np.full(4, 0.025, np.float32)}
    assert decide_race(table, shares=[0.025, 0.05]).looks[0].share == 0.025


def test_files_with_other_columns_and_repeats_are_refused(tmp_path):
    one = look_file(tmp_path, "one.csv")
    with_run = tmp_path / "run.csv"
    pd.read_csv(one).assign(run=1).to_csv(with_run, index=False)
    with pytest.raises(BadInput, match="one.csv lacks the column run, which another file has"):
        read_arm_comparisons([with_run, one], [0.1, 0.2])
    with pytest.raises(BadInput, match="compared 2 times"):
        read_arm_comparisons([look_file(tmp_path, "a.csv", 0.1), look_file(tmp_path, "b.csv", 0.1)])
    with pytest.raises(BadInput, match="none.csv does not exist"):
        read_arm_comparisons([tmp_path / "none.csv"])
    (tmp_path / "bad.jsonl").write_text(json.dumps({"prompt_id": 1}) + "\n")
    with pytest.raises(BadInput, match="bad.jsonl lacks the column arm_1"):
        read_arm_comparisons([tmp_path / "bad.jsonl"])
