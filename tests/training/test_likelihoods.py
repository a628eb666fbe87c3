"""Log-probabilities of a policy's own candidates and of off-policy ones: those of training, joined by prompt."""

import json

import pytest
import torch
from tiny import as_flags, preference_rows

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.schemas import CANDIDATES, LIKELIHOODS, PREFERENCES, REFERENCE_LOGPS
from dpo_stages.models.weights import load_model


def candidate_rows(count, seed):
    """Candidates of prompts that depend on the seed."""
    names = {"prompt_id": "prompt_id", "prompt": "prompt", "chosen": "response_1", "rejected": "response_2"}
    return [{new: row[old] for old, new in names.items()} for row in preference_rows(count, seed)]


def write(path, rows):
    write_table(path, rows, CANDIDATES)
    return path


def flags(model, on_policy, off_policy, output, **changes):
    settings = {"max_length": 96, "dtype": "float32", **changes}
    return as_flags(policy=model, on_policy=on_policy, off_policy=off_policy, output=output, **settings)


@pytest.fixture
def own():
    return candidate_rows(12, seed=3)


@pytest.fixture
def others(own):
    """Other responses to the same prompts."""
    changed = candidate_rows(12, seed=4)
    return [{**mine, **{key: other[key] for key in ("response_1", "response_2")}}
            for mine, other in zip(own, changed, strict=True)]  # fmt: skip


def likelihoods(path):
    rows = read_table(path, LIKELIHOODS).to_pylist()
    found = {(row["prompt_id"], row["on_policy"], row["index"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_each_is_the_sum_over_the_responses_tokens_under_the_policy(tmp_path, run_here, model, tokenizer, own, others):
    paths = write(tmp_path / "on.parquet", own), write(tmp_path / "off.parquet", others)
    run_here("compute_likelihoods", *flags(model, *paths, tmp_path / "l.parquet"))
    found = likelihoods(tmp_path / "l.parquet")
    assert len(found) == 4 * 12
    policy = load_model(model.parent, 96)
    for on_policy, rows in ((True, own), (False, others)):
        for row in rows:
            for index in (1, 2):
                turns = [*row["prompt"], {"role": "assistant", "content": row[f"response_{index}"]}]
                ids = tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"]
                prompt = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=True)
                start = len(prompt["input_ids"])
                with torch.inference_mode():
                    logps = policy(torch.tensor([ids])).logits[0].log_softmax(-1)
                expected = sum(logps[at - 1, ids[at]].item() for at in range(start, len(ids)))
                one = found[row["prompt_id"], on_policy, index]
                assert one["logp"] == pytest.approx(expected, abs=1e-3)
                assert one["tokens"] == len(ids) - start


def test_they_are_the_reference_log_probabilities_of_training(tmp_path, run_here, model, preferences, reference_logps):
    """The pairs of training, cut as there, as if they were candidates."""
    rows = read_table(preferences, PREFERENCES).to_pylist()
    path = write(
        tmp_path / "pairs.parquet",
        [
            {
                "prompt_id": row["prompt_id"],
                "prompt": row["prompt"],
                "response_1": row["chosen"],
                "response_2": row["rejected"],
            }
            for row in rows
        ],
    )
    run_here("compute_likelihoods", *flags(model, path, path, tmp_path / "l.parquet"))
    found = likelihoods(tmp_path / "l.parquet")
    reference = read_table(reference_logps, REFERENCE_LOGPS).to_pylist()
    assert len(reference) == len(rows)
    for row in reference:
        for index, name in ((1, "ref_chosen_logps"), (2, "ref_rejected_logps")):
            for on_policy in (True, False):
                assert found[row["prompt_id"], on_policy, index]["logp"] == pytest.approx(row[name], abs=1e-4)


def test_a_prompt_computed_once_for_two_candidates_gives_the_same(tmp_path, run_here, model, own, others):
    paths = write(tmp_path / "on.parquet", own), write(tmp_path / "off.parquet", others)
    run_here("compute_likelihoods", *flags(model, *paths, tmp_path / "twice.parquet"))
    run_here("compute_likelihoods", *flags(model, *paths, tmp_path / "once.parquet"), "--prefix-sharing")
    twice, once = (likelihoods(tmp_path / f"{name}.parquet") for name in ("twice", "once"))
    assert once.keys() == twice.keys()
    for key, row in once.items():
        assert row["tokens"] == twice[key]["tokens"] and row["logp"] == pytest.approx(twice[key]["logp"], abs=1e-4)
    ledgers = [json.loads((tmp_path / f"{name}.ledger.json").read_text()) for name in ("twice", "once")]
    assert [ledger["prefix_sharing"] for ledger in ledgers] == [False, True]


def test_prompts_of_one_file_alone_and_prompts_without_room_are_counted(tmp_path, run_here, model, own, others):
    long = [{"role": "user", "content": "the cat sleeps under the red tree " * 30}]
    for rows in (own, others):
        rows[0] = {**rows[0], "prompt": long}
    paths = write(tmp_path / "on.parquet", own[:10]), write(tmp_path / "off.parquet", others[:7] + others[10:])
    run_here("compute_likelihoods", *flags(model, *paths, tmp_path / "l.parquet"))
    assert {key[0] for key in likelihoods(tmp_path / "l.parquet")} == {row["prompt_id"] for row in own[1:7]}
    ledger = json.loads((tmp_path / "l.ledger.json").read_text())
    assert (ledger["rows_in"], ledger["rows_out"]) == (12, 6)
    assert ledger["dropped"] == {
        "prompts without off-policy candidates": 3,
        "prompts without on-policy candidates": 2,
        "cut response without a token": 0,
        "prompt leaves no room for a response": 1,
    }


def test_responses_are_cut_where_training_cuts_them(tmp_path, run_here, model, own, others):
    paths = write(tmp_path / "on.parquet", own), write(tmp_path / "off.parquet", others)
    run_here("compute_likelihoods", *flags(model, *paths, tmp_path / "whole.parquet"))
    run_here("compute_likelihoods", *flags(model, *paths, tmp_path / "cut.parquet", max_length=24))
    whole, cut = likelihoods(tmp_path / "whole.parquet"), likelihoods(tmp_path / "cut.parquet")
    shorter = {key for key in cut if cut[key]["tokens"] < whole[key]["tokens"]}
    assert shorter and all(cut[key]["logp"] > whole[key]["logp"] for key in shorter)
    assert json.loads((tmp_path / "cut.ledger.json").read_text())["truncated"] > 0


def test_a_response_that_was_cut_when_it_was_sampled_has_no_end_of_turn(tmp_path, run_here, model, own, others):
    for row in own:
        row |= {"truncated_1": True, "truncated_2": False}
    own[0]["response_1"] = ""
    paths = write(tmp_path / "on.parquet", own), write(tmp_path / "off.parquet", others)
    run_here("compute_likelihoods", *flags(model, *paths, tmp_path / "cut.parquet"))
    for row in own:
        row |= {"truncated_1": None, "truncated_2": None}
    run_here("compute_likelihoods", *flags(model, write(paths[0], own), paths[1], tmp_path / "whole.parquet"))
    cut, whole = likelihoods(tmp_path / "cut.parquet"), likelihoods(tmp_path / "whole.parquet")
    assert {key[0] for key in cut} == {row["prompt_id"] for row in own[1:]}
    for key, row in cut.items():
        if key[1:] == (True, 1):
            assert row["tokens"] == whole[key]["tokens"] - 1 and row["logp"] > whole[key]["logp"]
        else:
            assert row["tokens"] == whole[key]["tokens"] and row["logp"] == pytest.approx(whole[key]["logp"], abs=1e-4)
    dropped = json.loads((tmp_path / "cut.ledger.json").read_text())["dropped"]
    assert dropped["cut response without a token"] == 1 == sum(dropped.values())


def test_what_cannot_be_compared_is_refused(tmp_path, run_here, model, own, others):
    on, off = write(tmp_path / "on.parquet", own[:5]), write(tmp_path / "off.parquet", others[5:])
    with pytest.raises(BadInput, match="share no prompt"):
        run_here("compute_likelihoods", *flags(model, on, off, tmp_path / "l.parquet"))
    with pytest.raises(BadInput, match="no prompt of .* fits into --max-length 2 tokens"):
        run_here("compute_likelihoods", *flags(model, on, on, tmp_path / "l.parquet", max_length=2))
    assert not (tmp_path / "l.parquet").exists()
