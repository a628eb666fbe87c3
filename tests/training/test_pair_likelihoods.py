"""Log-probabilities of an audit's drawn pairs: those of training, for the drawn pairs of each source alone."""

import pytest
from tiny import as_flags, preference_rows, reference_flags

from dpo_stages.audit.columns import PAIR_LIKELIHOODS
from dpo_stages.audit.drawing import draw
from dpo_stages.core.files import read_json
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.schemas import PREFERENCES, REFERENCE_LOGPS
from dpo_stages.models.preference_tokens import tokenize_preferences


def test_they_are_the_reference_log_probabilities_of_the_drawn_pairs_with_their_tokens(
    tmp_path, run_here, model, tokenizer, preferences, reference_logps
):
    others = tmp_path / "others.parquet"
    write_table(others, preference_rows(9, seed=5), PREFERENCES)
    flags = as_flags(policy=model, pairs=12, seed=0, max_length=96, dtype="float32", output=tmp_path / "l.parquet")
    run_here("compute_pair_likelihoods", *flags, "--sources", "off", "on", "--preferences", preferences, others)
    rows = read_table(tmp_path / "l.parquet", PAIR_LIKELIHOODS).to_pylist()
    run_here("compute_reference_logps", *reference_flags(model, others, tmp_path / "others_logps.parquet"))
    for source, path, logps, number in (
        ("off", preferences, reference_logps, 12),
        ("on", others, tmp_path / "others_logps.parquet", 9),
    ):
        expected = {row["prompt_id"]: row for row in read_table(logps, REFERENCE_LOGPS).to_pylist()}
        found = [row for row in rows if row["source"] == source]
        assert [row["prompt_id"] for row in found] == draw(expected, 12, 0) and len(found) == number
        tokens = tokenize_preferences(tokenizer, read_table(path, PREFERENCES), 96).table.to_pylist()
        lengths = {row["prompt_id"]: row for row in tokens}
        for row in found:
            for side in ("chosen", "rejected"):
                of = expected[row["prompt_id"]][f"ref_{side}_logps"]
                assert row[f"{side}_logp"] == pytest.approx(of, abs=1e-3)
                assert row[f"{side}_tokens"] == len(lengths[row["prompt_id"]][f"{side}_ids"])
    assert read_json(tmp_path / "l.ledger.json")["rows_out"] == 21


def test_a_prompt_computed_once_for_both_responses_gives_the_same(tmp_path, run_here, model, preferences):
    found = {}
    for name, more in (("twice", []), ("once", ["--prefix-sharing"])):
        path = tmp_path / f"{name}.parquet"
        flags = as_flags(policy=model, sources="off", preferences=preferences, pairs=12, seed=0, max_length=96)
        run_here("compute_pair_likelihoods", *flags, *as_flags(dtype="float32", output=path), *more)
        found[name] = read_table(path, PAIR_LIKELIHOODS).to_pylist()
        assert read_json(tmp_path / f"{name}.ledger.json")["prefix_sharing"] is bool(more)
    assert len(found["once"]) == 12
    for once, twice in zip(*found.values(), strict=True):
        assert once == {key: pytest.approx(value, abs=1e-4) if "logp" in key else value for key, value in twice.items()}
