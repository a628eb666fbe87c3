"""Quality of candidates: which prompts and candidates are drawn, and the table."""

import csv
import json

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import write_table
from dpo_stages.data.prompts import instruction_text
from dpo_stages.data.schemas import CANDIDATES, PREFERENCES
from dpo_stages.evaluation.annotations import read_output_pairs
from dpo_stages.evaluation.quality_pairs import draw_pairs
from dpo_stages.report.tables.quality import table_rows


def sources(size, shared=None):
    prompts = [[{"role": "user", "content": f"question {n}"}] for n in range(size)]
    candidates = [
        {"prompt_id": f"p{n}", "prompt": prompt, "response_1": f"first {n}", "response_2": f"second {n}"}
        | {"opens_thought": None}
        for n, prompt in enumerate(prompts)
    ]
    chosen = [
        {
            "prompt_id": f"p{n}", "prompt": prompt, "chosen": f"chosen {n}", "rejected": "no", "logit": 1.0,
            "chosen_first": True, "order_flip": False, "original_agrees": None, "opens_thought": False,
        }
        for n, prompt in enumerate(prompts[:shared])
    ]  # fmt: skip
    return candidates, chosen


def test_each_prompt_has_one_of_its_candidates_and_its_own_chosen_response():
    candidates, chosen = sources(200)
    instructions, outputs = draw_pairs(candidates, chosen, 120, 0, "m/sft")
    assert [row["index"] for row in instructions] == [row["index"] for row in outputs] == list(range(120))
    numbers = [int(row["prompt_id"][1:]) for row in instructions]
    assert len(set(numbers)) == 120
    for number, asked, answered in zip(numbers, instructions, outputs, strict=True):
        assert asked["reference"] == f"chosen {number}" and asked["instruction"] == f"question {number}"
        assert answered["output"] in (f"first {number}", f"second {number}")
    firsts = sum(row["output"].startswith("first") for row in outputs)
    assert 40 < firsts < 80  # a fair coin


def test_what_a_prompt_opened_stands_in_front_of_what_is_judged():
    candidates, chosen = sources(20)
    for row in candidates:
        row["opens_thought"] = True
    instructions, outputs = draw_pairs(candidates, chosen, 10, 0, "m/sft")
    assert all(row["output"].startswith("<think>\n") for row in outputs)
    assert not any(row["reference"].startswith("<think>") for row in instructions)
    instructions, _ = draw_pairs(candidates, [{**row, "opens_thought": True} for row in chosen], 10, 0, "m/sft")
    assert all(row["reference"].startswith("<think>\nchosen ") for row in instructions)


def test_the_draw_depends_on_seed_and_prompt_alone():
    candidates, chosen = sources(200)
    drawn = draw_pairs(candidates, chosen, 50, 0, "m/sft")
    assert draw_pairs(candidates[::-1], chosen[::-1], 50, 0, "m/sft") == drawn
    other = draw_pairs(candidates, chosen, 50, 1, "m/sft")
    assert {row["prompt_id"] for row in other[0]} != {row["prompt_id"] for row in drawn[0]}


def test_only_shared_prompts_are_drawn_and_too_few_are_refused():
    candidates, chosen = sources(20, shared=8)
    instructions, _ = draw_pairs(candidates, chosen, 8, 0, "x")
    assert {row["prompt_id"] for row in instructions} == {f"p{n}" for n in range(8)}
    with pytest.raises(BadInput, match=r"9 prompts .* share 8; lower quality.prompts"):
        draw_pairs(candidates, chosen, 9, 0, "x")


def test_a_conversation_keeps_its_roles():
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    assert instruction_text(turns) == "User: a\n\nAssistant: b\n\nUser: c"
    assert instruction_text(turns[:1]) == "a"


def test_what_the_program_writes_can_be_judged_like_an_evaluation(tmp_path, run_script):
    candidates, chosen = sources(30)
    write_table(tmp_path / "c.parquet", candidates, CANDIDATES)
    write_table(tmp_path / "p.parquet", chosen, PREFERENCES)
    asked, answered = tmp_path / "instructions.parquet", tmp_path / "model_outputs.json"
    arguments = [
        "--candidates",
        tmp_path / "c.parquet",
        "--preferences",
        tmp_path / "p.parquet",
        "--generator",
        "m/sft",
    ]
    arguments += ["--prompts", 10, "--seed", 0, "--instructions", asked, "--output", answered]
    done = run_script("draw_quality_pairs", *arguments)
    assert done.returncode == 0, done.stderr
    pairs = read_output_pairs(answered, asked)
    assert len(pairs) == 10 and all(pair["output_1"].startswith("chosen") for pair in pairs)


def win_rate(version="1", lc=40.0):
    judge = {"model": "j", "version": version, "prompt": "p", "endpoint": "served"}
    return {
        "win_rate": 41.0, "win_rate_interval": [38.0, 44.0], "lc_win_rate": lc, "lc_interval": [37.0, 43.0],
        "average_length": 10.0, "reference_length": 12.0, "instructions": 805, "judge": judge,
        "lc_kind": "length alone",
    }  # fmt: skip


def test_the_papers_figures_stand_beside_its_own_models(tmp_path, run_script):
    pairs = ["zephyr-7b/dpo/on=off-data", "llama-3-8b-instruct/sft=other", "tiny/sft=off-data"]
    files = [tmp_path / f"{n}.json" for n in range(3)]
    for path in files:
        path.write_text(json.dumps(win_rate()))
    arguments = ["--pairs", *pairs, "--win-rates", *files, "--preference-data", "off-data"]
    arguments += ["--csv", tmp_path / "q.csv"]
    done = run_script("make_quality_table", *arguments)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "q.csv").open()))
    assert [row["paper_lc_win_rate"] for row in rows] == ["46.0", "", ""]
    text = (tmp_path / "q.md").read_text()
    assert "controlled for length alone" in text and "805 prompts" in text
    assert "j (version 1, prompt p, served) prefers" in text
    assert {(row["judge"], row["judge_version"], row["judge_endpoint"]) for row in rows} == {("j", "1", "served")}
    files[0].write_text(json.dumps(win_rate(version="2")))
    done = run_script("make_quality_table", *arguments)
    assert done.returncode == 2 and "different judges cannot be shown together: j (version 1" in done.stderr


def test_suffixes_make_no_other_model_of_it():
    paper = [{"candidate_model": "zephyr-7b", "lc_win_rate": "46.0"}]
    pairs = [("zephyr-7b+hh+judge@1/dpo/on", "hh+judge"), ("zephyr-7b+hh/sft", "other+judge"), ("hh", "hh+judge")]
    rows = table_rows(pairs, [win_rate()] * 3, paper, "hh+judge")
    assert [row["paper_lc_win_rate"] for row in rows] == [46.0, None, None]


def test_a_row_has_every_figure():
    (row,) = table_rows([("tiny/sft", "d")], [win_rate()], [], "d")
    assert (row["lc_win_rate"], row["lc_low"], row["win_rate_high"], row["against_length"]) == (40.0, 37.0, 44.0, 12.0)
