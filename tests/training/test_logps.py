"""Log-probabilities are those that TRL computes itself, whatever the batches."""

import math
import uuid

import pyarrow as pa
import pytest
import torch
from tiny import as_flags, preference_rows, reference_flags, small_config, write_model

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.schemas import PREFERENCES, REFERENCE_LOGPS
from dpo_stages.models.preference_tokens import tokenize_preferences
from dpo_stages.models.weights import load_model
from dpo_stages.training.logps import response_logps


@pytest.fixture(scope="module")
def tokens(tokenizer):
    table = pa.Table.from_pylist(preference_rows(40, seed=1), schema=PREFERENCES)
    return tokenize_preferences(tokenizer, table, 64).table


def trl_logps(folder, policy, tokens, tokenizer, narrow: bool):
    """What TRL computes before training by itself."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    class Tokenized(DPOTrainer):
        def _prepare_dataset(self, dataset, *args, **kwargs):
            return dataset

    config = DPOConfig(
        output_dir=str(folder), report_to="none", use_cpu=True, bf16=narrow, precompute_ref_log_probs=True
    )
    # A fingerprint of its own: TRL keeps what it computed in a file named after the data and the weights.
    dataset = Dataset(tokens, fingerprint=uuid.uuid4().hex)
    dataset = Tokenized(policy, args=config, train_dataset=dataset, processing_class=tokenizer).train_dataset
    return {"chosen": dataset["ref_chosen_logps"], "rejected": dataset["ref_rejected_logps"]}


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 1e-1)])
def test_they_are_those_of_trl(tmp_path, model, tokenizer, tokens, dtype, tolerance):
    theirs = trl_logps(tmp_path, load_model(model.parent, 96), tokens, tokenizer, dtype == "bfloat16")
    ours = response_logps(load_model(model.parent, 96), tokens, tokenizer.pad_token_id, dtype)
    for name in ours:
        assert ours[name] == pytest.approx(theirs[name], abs=tolerance)


@pytest.mark.parametrize("architecture", ["Llama", "Mistral", "Phi", "Qwen2", "Qwen3", "GPTNeoX"])
def test_every_architecture_of_the_study(tmp_path, tokenizer, tokens, architecture):
    import transformers

    torch.manual_seed(0)
    tied, grouped = architecture in ("Llama", "Qwen2"), architecture in ("Mistral", "Qwen2", "Qwen3")
    config = small_config(architecture, len(tokenizer), tied, grouped)
    policy = transformers.AutoModelForCausalLM.from_config(config).eval()
    tokens = tokens.slice(0, 10)
    ours = response_logps(policy, tokens, tokenizer.pad_token_id, "float32")
    theirs = trl_logps(tmp_path, policy, tokens, tokenizer, narrow=False)
    for name in ours:
        assert ours[name] == pytest.approx(theirs[name], abs=1e-4)


def test_batches_do_not_matter(model, tokenizer, tokens, monkeypatch):
    def computed(batch_size: int) -> dict[str, list[float]]:
        monkeypatch.setattr("dpo_stages.training.logps.BATCH_SIZE", batch_size)
        return response_logps(load_model(model.parent, 96), tokens, tokenizer.pad_token_id, "float32")

    alone, together = computed(1), computed(80)
    for name in alone:
        assert alone[name] == pytest.approx(together[name], abs=1e-4)


def test_uniform_policy(model, tokenizer, tokens):
    policy = load_model(model.parent, 96)
    with torch.no_grad():
        policy.lm_head.weight.zero_()
    logps = response_logps(policy, tokens, tokenizer.pad_token_id, "float32")
    expected = [-len(ids) * math.log(len(tokenizer)) for ids in tokens["chosen_ids"].to_pylist()]
    assert logps["chosen"] == pytest.approx(expected, rel=1e-5)


def test_broken_weights_are_an_error(model, tokenizer, tokens):
    policy = load_model(model.parent, 96)
    with torch.no_grad():
        policy.lm_head.weight.fill_(math.nan)
    with pytest.raises(BadInput, match="is nan: the policy's weights are broken"):
        response_logps(policy, tokens, tokenizer.pad_token_id, "float32")


def test_one_at_a_time_they_are_the_models_own_to_the_bit(model, tokenizer, tokens, monkeypatch):
    monkeypatch.setattr("dpo_stages.training.logps.BATCH_SIZE", 1)
    policy = load_model(model.parent, 96)
    found = response_logps(policy, tokens, tokenizer.pad_token_id, "float32")
    for row, pair in enumerate(tokens.to_pylist()):
        for side in found:
            ids, length = torch.tensor([pair["prompt_ids"] + pair[f"{side}_ids"]]), len(pair[f"{side}_ids"])
            with torch.inference_mode():
                logits = policy(input_ids=ids, logits_to_keep=length + 1).logits[0, :-1]
                loss = torch.nn.functional.cross_entropy(logits, ids[0, -length:], reduction="sum")
            assert found[side][row] == -loss.item()


def test_the_program_computes_a_prompt_once_where_the_model_can(
    tmp_path, run_here, model, preferences, reference_logps, capsys
):
    def computed(manifest, name, *more):
        run_here(
            "compute_reference_logps", *reference_flags(manifest, preferences, tmp_path / f"{name}.parquet"), *more
        )
        return tmp_path / f"{name}.parquet", read_json(tmp_path / f"{name}.ledger.json")["prefix_sharing"]

    once, shared = computed(model, "once", "--prefix-sharing")
    assert shared is True and once.read_bytes() != reference_logps.read_bytes()
    found, expected = read_table(once, REFERENCE_LOGPS), read_table(reference_logps, REFERENCE_LOGPS)
    assert found["prompt_id"].equals(expected["prompt_id"])
    for name in REFERENCE_LOGPS.names[1:]:
        assert found[name].to_pylist() == pytest.approx(expected[name].to_pylist(), abs=1e-4)
    narrow = write_model(tmp_path / "narrow", sliding_window=95)  # which a Llama does not heed
    twice, shared = computed(narrow, "twice", "--prefix-sharing")
    assert shared is False
    assert "prompts are computed twice, once for each response: its attention sees 95" in capsys.readouterr().err
    assert twice.read_bytes() == reference_logps.read_bytes() == computed(model, "again")[0].read_bytes()


def test_the_program_keeps_the_order_and_counts_what_it_drops(tmp_path, run_here, model, preferences):
    output = tmp_path / "off.parquet"
    run_here("compute_reference_logps", *reference_flags(model, preferences, output, max_length=14))
    rows = read_table(output, REFERENCE_LOGPS)
    everything = read_table(preferences, PREFERENCES)["prompt_id"].to_pylist()
    kept = rows["prompt_id"].to_pylist()
    assert 0 < len(kept) < len(everything)
    assert kept == [identifier for identifier in everything if identifier in kept]
    ledger = (tmp_path / "off.ledger.json").read_text()
    assert f'"rows_out": {len(kept)}' in ledger
    assert f'"prompt leaves no room for a response": {len(everything) - len(kept)}' in ledger


def test_shards_are_slices_of_the_whole_and_may_be_empty(tmp_path, run_here, model, preferences):
    flags = {"model": model, "preferences": preferences, "max_length": 14}
    run_here("compute_reference_logps", *reference_flags(**flags, output=tmp_path / "whole.parquet"))
    whole = read_table(tmp_path / "whole.parquet", REFERENCE_LOGPS)
    number = read_table(preferences, PREFERENCES).num_rows  # a shard a row, of which some do not fit
    parts = []
    for shard in range(1, number + 1):
        output = tmp_path / f"{shard}.parquet"
        run_here("compute_reference_logps", *reference_flags(**flags, output=output), "--shard", f"{shard}-of-{number}")
        parts.append(read_table(output, REFERENCE_LOGPS))
    assert {part.num_rows for part in parts} == {0, 1}
    joined = pa.concat_tables(parts)
    assert joined["prompt_id"].to_pylist() == whole["prompt_id"].to_pylist()
    for name in REFERENCE_LOGPS.names[1:]:
        assert joined[name].to_pylist() == pytest.approx(whole[name].to_pylist(), abs=1e-4)


def test_the_program_says_when_nothing_fits(tmp_path, run_here, model, preferences):
    with pytest.raises(BadInput, match="no pair that fits into --max-length 2"):
        run_here(
            "compute_reference_logps", *reference_flags(model, preferences, tmp_path / "off.parquet", max_length=2)
        )
    assert not (tmp_path / "off.parquet").exists()


def test_the_program_runs_by_hand(tmp_path, run_script):
    model = write_model(tmp_path / "model")
    write_table(tmp_path / "train.parquet", preference_rows(3), PREFERENCES)
    output = tmp_path / "off.parquet"
    flags = as_flags(
        policy=model,
        preferences=tmp_path / "train.parquet",
        max_length=64,
        dtype="float32",
        output=output,
    )
    result = run_script("compute_reference_logps", *flags, env="train")
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1].startswith("compute_reference_logps: 3 rows in, 3 rows out, dropped: none")
    assert result.stdout == ""
    (model.parent / "config.json").unlink()
    result = run_script("compute_reference_logps", *flags, env="train")
    assert result.returncode == 2
    assert "config.json is listed in" in result.stderr
