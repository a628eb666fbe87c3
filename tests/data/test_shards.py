"""Shards: slices that follow each other, and their outputs joined to what one job would have written."""

import json

import pytest
from conftest import ROOT
from dry_runs import snakemake

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.schemas import COMPARISONS
from dpo_stages.data.shards import Shard, parse_shard


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 100])
@pytest.mark.parametrize("total", [1, 2, 8])
def test_shards_are_all_rows_in_order_and_of_like_size(rows, total):
    everything = list(range(rows))
    slices = [Shard(number, total)(everything) for number in range(1, total + 1)]
    assert [row for part in slices for row in part] == everything
    assert max(map(len, slices)) - min(map(len, slices)) <= 1


def test_the_name_of_a_shard_is_snakemakes():
    assert parse_shard("2-of-8") == Shard(2, 8)
    for wrong in ("0-of-2", "3-of-2", "2/8", "", "1-of-0", "a-of-b"):
        with pytest.raises(BadInput, match="write K-of-N"):
            parse_shard(wrong)


def comparisons(number):
    return [
        {
            "prompt_id": f"{row:032d}", "on_index": 1, "off_index": 2, "logit": row / 7, "on_policy_preferred": 1.0,
            "order_flip": False, "on_length": row, "off_length": 3,
        }
        for row in range(number)
    ]  # fmt: skip


def write_shard(path, rows, **counts):
    write_table(path, rows, COMPARISONS)
    ledger = {"output": path.name, "rows_in": len(rows) + 1, "rows_out": len(rows), "dropped": {"empty": 1}, **counts}
    write_json(path.with_name(f"{path.stem}.ledger.json"), ledger)


def test_joined_tables_are_the_bytes_of_the_whole_and_ledgers_add_up(tmp_path, run_here):
    rows = comparisons(10)
    write_table(tmp_path / "expected.parquet", rows, COMPARISONS)
    parts = [tmp_path / f"{number}-of-3.parquet" for number in (1, 2, 3)]
    slices = [rows[:2], rows[2:10], []]
    for part, content, share in zip(parts, slices, (0.5, 0.25, 0.0), strict=True):
        write_shard(part, content, ties=len(content), order_flip_rate=share, preference_model="pairrm")
    run_here("gather_shards", "--shards", *parts, "--output", tmp_path / "whole.parquet")
    assert (tmp_path / "whole.parquet").read_bytes() == (tmp_path / "expected.parquet").read_bytes()
    whole = read_json(tmp_path / "whole.ledger.json")
    assert whole["provenance"]["arguments"][0] == "--shards"
    assert {name: value for name, value in whole.items() if name != "provenance"} == {
        "output": "whole.parquet", "rows_in": 13, "rows_out": 10, "dropped": {"empty": 3}, "shards": 3, "ties": 10,
        "order_flip_rate": pytest.approx(0.3), "preference_model": "pairrm",
    }  # fmt: skip
    assert read_table(tmp_path / "whole.parquet", COMPARISONS).num_rows == 10


def test_lists_are_joined_and_anything_else_is_refused(tmp_path, run_here):
    parts = [tmp_path / f"{number}-of-2.json" for number in (1, 2)]
    for part, content in zip(parts, ([{"index": 0}], [{"index": 1}, {"index": 2}]), strict=True):
        write_json(part, content)
        ledger = {"output": part.name, "rows_in": len(content), "rows_out": len(content), "dropped": {}, "context": 64}
        write_json(part.with_name(f"{part.stem}.ledger.json"), ledger)
    run_here("gather_shards", "--shards", *parts, "--output", tmp_path / "model_outputs.json")
    assert [row["index"] for row in read_json(tmp_path / "model_outputs.json")] == [0, 1, 2]
    assert read_json(tmp_path / "model_outputs.ledger.json")["context"] == 64
    write_json(parts[1], {"index": 1})
    with pytest.raises(BadInput, match="holds no list"):
        run_here("gather_shards", "--shards", *parts, "--output", tmp_path / "other.json")
    assert not (tmp_path / "other.json").exists()


def test_every_wide_stage_can_be_cut(tmp_path):
    """The demo with three shards a stage: as many jobs, joined again for whoever reads the whole."""
    overlay = tmp_path / "shards.yaml"
    stages = ("sampling", "labelling", "comparison", "reference", "evaluation")
    overlay.write_text(json.dumps({"resources": {"shards": dict.fromkeys(stages, 3)}}))
    demo = ["--profile", "demo", "--configfile", "demo/config.yaml", overlay]
    done = snakemake(*demo, "--forceall", "--d3dag", "--", "results/tables/table3.csv", folder=ROOT)
    assert done.returncode == 0, done.stderr
    rules = [node["value"]["rule"] for node in json.loads(done.stdout)["nodes"]]
    wide = {
        "sample_candidates": 18,
        "label_preferences": 10,
        "compare_candidates": 9,
        "ask_second_opinion": 9,
        "compute_reference_logps": 18,
        "generate_evaluation_outputs": 21,
    }
    assert {rule: rules.count(rule) for rule in wide} == {rule: 3 * count for rule, count in wide.items()}
    assert rules.count("gather_shards") == sum(wide.values())
