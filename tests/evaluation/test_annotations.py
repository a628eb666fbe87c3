"""Outputs beside references, and annotations that are whole or refused."""

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json
from dpo_stages.evaluation import annotations
from dpo_stages.judges.record import judge_record

JUDGE = judge_record("judge", "judge-v1", "prompt", "served")


def test_pairs_are_put_together_by_index_whatever_the_order(make_evaluation):
    outputs, instructions, rows = make_evaluation()
    write_json(outputs, read_json(outputs)[::-1])
    pairs = annotations.read_output_pairs(outputs, instructions)
    assert [pair["index"] for pair in pairs] == list(range(12))
    assert [pair["output_2"] for pair in pairs] == [row["output"] for row in rows]
    assert [pair["output_1"] for pair in pairs] == [row["reference"] for row in rows]
    assert {pair["generator_1"] for pair in pairs} == {"reference"}


def test_a_judge_is_shown_answers_unless_the_study_shows_thoughts(make_evaluation):
    outputs, instructions, rows = make_evaluation()
    whole = annotations.read_output_pairs(outputs, instructions)
    thinks = [{**row, "output": f"<think>hm</think>\n{row['output']}"} for row in read_json(outputs)]
    write_json(outputs, [{**thinks[0], "output": "<think>h"}, *thinks[1:]])
    pairs = annotations.read_output_pairs(outputs, instructions)
    shown, counts = annotations.show_pairs(pairs, "hide")
    assert shown == [{**whole[0], "output_2": ""}, *whole[1:]] and counts == {"thoughts": 12, "empty_answers": 1}
    assert annotations.show_pairs(pairs, "show") == (pairs, {"thoughts": 12, "empty_answers": 0})
    assert annotations.show_pairs(whole, "hide") == (whole, {"thoughts": 0, "empty_answers": 0})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-2], r"no output for 2 rows \(index 10, 11\)"),
        (lambda rows: [*rows, rows[4]], r"1 row \(index 4\) more than once"),
        (lambda rows: [*rows[:-1], {**rows[-1], "index": 99}], r"no output for 1 row \(index 11\)"),
        (lambda rows: [*rows, {**rows[-1], "index": 99}], r"outputs for 1 row \(index 99\), which"),
        (lambda rows: [{**rows[0], "instruction": "Other"}, *rows[1:]], r"differ in the text of 1 row \(index 0\)"),
        (lambda rows: [{**rows[0], "generator": "b"}, *rows[1:]], "2 generators"),
        (lambda rows: [{**rows[0], "output": None}, *rows[1:]], "row 1: output should be text"),
        (lambda rows: [{key: row[key] for key in row if key != "output"} for row in rows], "row 1: lacks output"),
        (lambda rows: [{**rows[0], "index": "0"}, *rows[1:]], "is not a whole number"),
        (lambda rows: [], "should hold a list of rows"),
    ],
)
def test_outputs_that_do_not_fit_are_refused_by_name(make_evaluation, change, message):
    outputs, instructions, _ = make_evaluation()
    write_json(outputs, change(read_json(outputs)))
    with pytest.raises(BadInput, match=message):
        annotations.read_output_pairs(outputs, instructions)


def test_annotations_are_read_as_written(make_evaluation, tmp_path):
    outputs, instructions, _ = make_evaluation()
    pairs = annotations.read_output_pairs(outputs, instructions)
    path, preferences = tmp_path / "annotations.json", [None, *[1.25] * (len(pairs) - 1)]
    annotations.write_annotations(path, pairs, preferences, JUDGE)
    rows = annotations.read_annotations(path)
    expected = zip(pairs, preferences, strict=True)
    assert rows == [{**pair, "annotator": "prompt", "preference": value, "judge": JUDGE} for pair, value in expected]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preference": 0}, r"no preference in \[1, 2\] in 1 row \(index 2\)"),
        ({"preference": "1.5"}, r"index 2"),
        ({"preference": True}, r"index 2"),
        ({"preference": 2.0001}, r"index 2"),
        ({"index": 1}, r"index 1\) more than once"),
        ({"generator_2": "other"}, "several policies"),
        ({"judge": {**JUDGE, "version": "judge-v2"}}, "several judges"),
    ],
)
def test_annotations_that_are_not_whole_are_refused(make_evaluation, tmp_path, change, message):
    outputs, instructions, _ = make_evaluation()
    pairs = annotations.read_output_pairs(outputs, instructions)
    path = tmp_path / "annotations.json"
    annotations.write_annotations(path, pairs, [1.25] * len(pairs), JUDGE)
    rows = read_json(path)
    rows[2].update(change)
    write_json(path, rows)
    with pytest.raises(BadInput, match=message):
        annotations.read_annotations(path)


def test_what_is_no_preference_is_never_written(make_evaluation, tmp_path):
    outputs, instructions, _ = make_evaluation()
    pairs = annotations.read_output_pairs(outputs, instructions)
    for preferences in ([1.5] * 11, [1.5] * 11 + [float("nan")], [1.5] * 11 + [2.5]):
        with pytest.raises(ValueError):
            annotations.write_annotations(tmp_path / "annotations.json", pairs, preferences, JUDGE)
    assert not (tmp_path / "annotations.json").exists()
