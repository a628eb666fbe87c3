"""What is known of sampled responses: their tokens, and whether they were cut, which is counted, or drops them on request."""

import json

import pytest
from rankers import adversarial_pairs

from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import COMPARISONS, OFF_POLICY_CANDIDATES, PREFERENCES, SAMPLED_CANDIDATES


def rows(seed):
    """Candidates of the same twelve prompts for every seed; the texts of each are different ones."""
    prompts = [[{"role": "user", "content": f"question {number}"}] for number in range(12)]
    return [
        {
            "prompt_id": prompt_id(prompt),
            "prompt": prompt,
            "response_1": f"{number} {pair.response_1}",
            "response_2": f"{number}! {pair.response_2}",
        }
        for number, (prompt, pair) in enumerate(zip(prompts, adversarial_pairs(12, seed=seed), strict=True))
    ]


@pytest.fixture
def sampled(tmp_path):
    """Sampled candidates of which 4 + 3 were cut, in 6 pairs."""
    more = [{"truncated_1": n % 3 == 0, "truncated_2": n in (0, 1, 2), "tokens_1": 2, "tokens_2": 1} for n in range(12)]
    table = [{**row, **cut} for row, cut in zip(rows(5), more, strict=True)]
    for number, row in enumerate(table):
        row |= {"ids_1": [number, 1], "ids_2": [number], "vocabulary": "0123456789abcdef"}
        row["opens_thought"] = False
    write_table(tmp_path / "sampled.parquet", table, SAMPLED_CANDIDATES)
    return tmp_path / "sampled.parquet"


@pytest.fixture
def off_policy(tmp_path):
    write_table(tmp_path / "off.parquet", rows(6), OFF_POLICY_CANDIDATES)
    return tmp_path / "off.parquet"


@pytest.fixture
def label(run_here, model_folder, tmp_path):
    """Label a file of candidates; the preferences by prompt, and the ledger."""

    def run(pairs, *flags):
        output = tmp_path / "train.parquet"
        run_here("label_preferences", "--pairs", pairs, "--preference-model", model_folder, "--output", output, *flags)
        labelled = {row["prompt_id"]: row for row in read_table(output, PREFERENCES).to_pylist()}
        return labelled, json.loads((tmp_path / "train.ledger.json").read_text())

    return run


def test_preferences_say_which_response_was_cut(label, sampled):
    labelled, ledger = label(sampled)
    assert len(labelled) == 12 and not all(row["chosen_first"] for row in labelled.values())
    for row in read_table(sampled, SAMPLED_CANDIDATES).to_pylist():
        pair = labelled[row["prompt_id"]]
        cut = {row[f"response_{number}"]: row[f"truncated_{number}"] for number in (1, 2)}
        assert (pair["chosen_truncated"], pair["rejected_truncated"]) == (cut[pair["chosen"]], cut[pair["rejected"]])
    assert ledger["truncated_responses"] == 7 and ledger["dropped"]["cut responses"] == 0


def test_preferences_have_the_tokens_that_were_sampled(label, sampled, off_policy):
    labelled, _ = label(sampled)
    for row in read_table(sampled, SAMPLED_CANDIDATES).to_pylist():
        pair = labelled[row["prompt_id"]]
        ids = {row[f"response_{number}"]: row[f"ids_{number}"] for number in (1, 2)}
        assert (pair["chosen_ids"], pair["rejected_ids"]) == (ids[pair["chosen"]], ids[pair["rejected"]])
        assert pair["vocabulary"] == row["vocabulary"]
    labelled, _ = label(off_policy)
    assert {row[name] for row in labelled.values() for name in ("chosen_ids", "rejected_ids", "vocabulary")} == {None}


def test_pairs_with_a_cut_response_are_dropped_on_request_and_counted(label, sampled):
    kept, _ = label(sampled)
    whole = {name for name, row in kept.items() if not (row["chosen_truncated"] or row["rejected_truncated"])}
    labelled, ledger = label(sampled, "--truncated", "drop")
    assert set(labelled) == whole and len(whole) == 6
    for name, row in labelled.items():
        assert {**row, "logit": None} == {**kept[name], "logit": None}
        assert row["logit"] == pytest.approx(kept[name]["logit"], abs=1e-5)
    assert (ledger["rows_in"], ledger["rows_out"], ledger["pairs"]) == (12, 6, 6)
    assert ledger["dropped"]["cut responses"] == 6 and ledger["truncated_responses"] == 7


def test_of_a_data_set_nobody_knows_what_was_cut(label, off_policy):
    labelled, ledger = label(off_policy, "--truncated", "drop")
    assert len(labelled) == 12 and "truncated_responses" not in ledger
    assert all(row["chosen_truncated"] is row["rejected_truncated"] is None for row in labelled.values())


def test_comparisons_say_whether_the_policys_own_response_was_cut(
    run_here, model_folder, sampled, off_policy, tmp_path
):
    for on_policy, counted in ((sampled, 7), (off_policy, None)):
        run_here(
            "compare_candidates", "--on-policy", on_policy, "--off-policy", off_policy, "--preference-model", model_folder,
            "--output", tmp_path / "test.parquet",
        )  # fmt: skip
        compared = read_table(tmp_path / "test.parquet", COMPARISONS).to_pylist()
        assert len(compared) == 4 * 12
        assert json.loads((tmp_path / "test.ledger.json").read_text()).get("truncated_responses") == counted
        if counted is None:
            assert all(row["on_truncated"] is None for row in compared)
        else:
            cut = {row["prompt_id"]: row for row in read_table(sampled, SAMPLED_CANDIDATES).to_pylist()}
            assert all(row["on_truncated"] == cut[row["prompt_id"]][f"truncated_{row['on_index']}"] for row in compared)
