"""What saving in bfloat16 keeps of a training: rounding by its setting, what the ledger says of it, and when it warns."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import as_flags, chat_rows, reference_flags, training_flags, write_model

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.core.manifests import read_manifest, write_manifest
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.schemas import CHAT, PREFERENCES
from dpo_stages.models.rounding import narrow_weights
from dpo_stages.models.weights import load_model, write_config
from dpo_stages.training import margins
from dpo_stages.training.margins import MarginSample, kept_margin

TINY_RATE = 2e-6  # moves a weight by a few thousandths of what bfloat16 can tell


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> Path:
    """Manifest of a policy in bfloat16, as published models are."""
    manifest = write_model(tmp_path_factory.mktemp("bfloat16") / "tiny")
    narrow_weights(manifest.parent, "nearest", "")
    write_config(manifest.parent, manifest.parent, "bfloat16")
    write_manifest(manifest.parent, {"policy": "tiny/sft"})
    return manifest


@pytest.fixture(scope="module")
def flags(tmp_path_factory, run_here, policy, preferences):
    """Flags of a training in mixed precision under a folder."""
    reference = tmp_path_factory.mktemp("reference") / "r.parquet"
    run_here("compute_reference_logps", *reference_flags(policy, preferences, reference, dtype="bfloat16"))
    inputs = as_flags(initial=policy, preferences=preferences, reference_logps=reference, beta=0.1, loss="sigmoid")
    return lambda folder, **changes: [*inputs, *training_flags(folder, dtype="bfloat16", **changes)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, run_here, flags):
    """Folder of a policy trained at a tiny learning rate, by its rounding; each is trained once."""
    made: dict[str, Path] = {}

    def train(rounding: str) -> Path:
        if rounding not in made:
            folder = tmp_path_factory.mktemp(rounding)
            run_here("train_policy", *flags(folder, rounding=rounding, learning_rate=TINY_RATE))
            made[rounding] = folder / "policy"
        return made[rounding]

    return train


def weights_of(folder: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def margins_by_hand(folder: Path, tokens: list[dict]) -> float:
    """Mean log pi(chosen) - log pi(rejected), one sequence at a time."""
    import torch

    model, sums = load_model(folder, 96), {"chosen": 0.0, "rejected": 0.0}
    with torch.no_grad():
        for row in tokens:
            for name in sums:
                ids = torch.tensor(row["prompt_ids"] + row[f"{name}_ids"])
                logps = model(ids[None]).logits[0, :-1].log_softmax(dim=-1).gather(1, ids[1:, None])
                sums[name] += logps[len(row["prompt_ids"]) - 1 :].sum().item()
    return (sums["chosen"] - sums["rejected"]) / len(tokens)


def test_the_ledger_tells_what_was_kept(trained, policy, preferences, tokenizer):
    from dpo_stages.models.preference_tokens import tokenize_preferences

    folder = trained("nearest")
    tokens = tokenize_preferences(tokenizer, read_table(preferences, PREFERENCES), 96).table.to_pylist()
    tokens = [tokens[row] for row in sorted(random.Random(0).sample(range(48), 32))]
    reference, before, after = (
        margins_by_hand(one, tokens) for one in (policy.parent, trained("none"), folder)
    )  # the trainings take the same steps, so "none" has the weights before rounding
    ledger = read_json(folder / "manifest.ledger.json")
    assert ledger["margin_before"] == pytest.approx(before - reference, abs=1e-4)
    assert ledger["margin_after"] == pytest.approx(after - reference, abs=1e-4)
    assert ledger["margin_kept"] == pytest.approx(ledger["margin_after"] / ledger["margin_before"])
    initial, saved = weights_of(policy.parent), weights_of(folder)
    same = sum((initial[name] == saved[name]).sum().item() for name in initial)
    assert ledger["unchanged_weights"] == pytest.approx(same / sum(tensor.numel() for tensor in saved.values()))
    assert 0.5 < ledger["unchanged_weights"] < 1


def test_rounding_is_what_the_setting_says(trained):
    import torch

    from dpo_stages.models.rounding import rounded_at_random

    masters, nearest, stochastic = (weights_of(trained(one)) for one in ("none", "nearest", "stochastic"))
    assert {tensor.dtype for tensor in masters.values()} == {torch.float32}
    for name, tensor in masters.items():
        assert nearest[name].equal(tensor.bfloat16())
        assert stochastic[name].equal(rounded_at_random(tensor, f"0/1/{name}"))  # seed and iteration
    for rounding, dtype in (("none", "float32"), ("nearest", "bfloat16"), ("stochastic", "bfloat16")):
        assert read_json(trained(rounding) / "config.json")["dtype"] == dtype
        assert read_manifest(trained(rounding) / "manifest.json")["arguments"]["rounding"] == rounding


def test_nothing_is_measured_where_nothing_is_rounded(trained, tmp_path, run_here, model, preferences, reference_logps):
    ledger = read_json(trained("none") / "manifest.ledger.json")
    assert "margin_kept" not in ledger and ledger["unchanged_weights"] < 0.5
    inputs = as_flags(initial=model, preferences=preferences, reference_logps=reference_logps, beta=0.1, loss="sigmoid")
    run_here("train_policy", *inputs, *training_flags(tmp_path))
    ledger = read_json(tmp_path / "policy/manifest.ledger.json")
    assert "margin_kept" not in ledger and 0 < ledger["unchanged_weights"] < 0.5  # rows of tokens that never occur
    assert "rounding" not in read_manifest(tmp_path / "policy/manifest.json")["arguments"]


def test_a_lost_margin_is_warned_of_with_what_helps(tmp_path, run_here, flags, capsys):
    run_here("train_policy", *flags(tmp_path, rounding="nearest", learning_rate=TINY_RATE))
    said = capsys.readouterr().err
    assert "warning: saving in bfloat16 (rounding: nearest) kept " in said
    assert "`rounding: stochastic` or `none`" in said and "a higher learning_rate" in said
    run_here("train_policy", *flags(tmp_path, rounding="nearest", learning_rate=1e-3))
    assert "warning: saving" not in capsys.readouterr().err
    assert 0.8 < read_json(tmp_path / "policy/manifest.ledger.json")["margin_kept"] < 1.2


@pytest.mark.parametrize(
    ("differences", "rounding", "words"),
    [
        ((-1.0, 3.0, 0.9), "nearest", "kept 48% of the margin between chosen and rejected responses, 1.9 of 4 nats"),
        ((-1.0, 3.0, 0.9), "stochastic", "can tell; `rounding: none` in the method's section"),
        ((-1.0, 3.0, 1.1), "nearest", None),
        ((-1.0, -1.0, 0.0), "nearest", None),
        ((-1.0, -3.0, -1.0), "nearest", None),
    ],
    ids=["lost", "what helps then", "kept", "no margin", "a margin the other way round"],
)
def test_when_it_warns(differences, rounding, words, capsys):
    margins.warn_of_lost_margin(**kept_margin(*differences), rounding=rounding)
    said = capsys.readouterr().err
    assert words in said if words else not said


def test_no_margin_has_no_share():
    assert kept_margin(1.0, 1.0, 1.5) == {"margin_before": 0.0, "margin_after": 0.5, "margin_kept": None}


def test_the_sample_is_small_and_always_the_same(pairs):
    import pyarrow as pa

    many = pa.concat_tables([pairs] * 20)
    sample = MarginSample.of(many, 0, 96)
    assert sample.tokens.num_rows == margins.PAIRS < many.num_rows
    assert sample.tokens.equals(MarginSample.of(many, 0, 96).tokens)
    assert MarginSample.of(pairs, 0, 96).tokens.equals(pairs)


def test_a_margin_is_the_same_with_prompts_computed_once(policy, pairs):
    twice, once = (
        MarginSample.of(pairs, 2, 96, prefix_sharing).difference(policy.parent) for prefix_sharing in (False, True)
    )
    assert once == pytest.approx(twice, abs=1e-4)


def test_two_processes_that_share_a_model_save_the_same(tmp_path, root, flags, trained):
    """One of them measures, while the other waits."""
    scripts = root / "workflow_scripts"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [Path(__file__).with_name("sharded_on_cpu.py"), scripts / "dpo_stages/training/fsdp.yaml"]
    command += [scripts / "train_policy.py", *flags(tmp_path, rounding="stochastic", learning_rate=TINY_RATE)]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    ledger, alone = (
        read_json(folder / "manifest.ledger.json") for folder in (tmp_path / "policy", trained("stochastic"))
    )
    assert ledger["margin_after"] == pytest.approx(alone["margin_after"], rel=0.2)
    assert ledger["unchanged_weights"] == pytest.approx(alone["unchanged_weights"], abs=0.01)


def test_a_policy_that_did_not_change_is_an_error_in_bfloat16(tmp_path, run_here, flags):
    with pytest.raises(BadInput, match="the trained policy equals .*: the learning rate 1e-30 is too low"):
        run_here("train_policy", *flags(tmp_path, rounding="nearest", learning_rate=1e-30))
    assert not (tmp_path / "policy").exists()


@pytest.mark.parametrize("changes", [{"dtype": "float32", "rounding": "nearest"}, {"dtype": "bfloat16"}])
def test_rounding_belongs_to_bfloat16(tmp_path, run_here, policy, preferences, changes):
    inputs = as_flags(initial=policy, preferences=preferences, reference_logps=preferences, beta=0.1, loss="sigmoid")
    with pytest.raises(BadInput, match="--rounding belongs to --dtype bfloat16, which needs it"):
        run_here("train_policy", *inputs, *training_flags(tmp_path, **changes))


def test_supervised_fine_tuning_tells_the_share_of_unchanged_weights(tmp_path, run_here, policy):
    write_table(tmp_path / "chat.parquet", chat_rows(40), CHAT)
    inputs = as_flags(base=policy, dataset=tmp_path / "chat.parquet")
    changes = {"policy": "tiny/sft", "max_length": 128, "dtype": "bfloat16", "rounding": "stochastic"}
    run_here("train_sft", *inputs, *training_flags(tmp_path, **changes))
    ledger = read_json(tmp_path / "policy/manifest.ledger.json")
    assert 0 < ledger["unchanged_weights"] < 1 and "margin_kept" not in ledger


def test_the_memory_of_the_model_is_free_when_margins_are_measured(make_ours):
    """Otherwise a GPU would have to hold the sharded training and a whole policy."""
    import weakref

    from dpo_stages.training.losses import Objective

    trainer, _ = make_ours(Objective("sigmoid", 0.1))
    trainer.train()
    held = [weakref.ref(trainer.model), weakref.ref(next(trainer.model.parameters()))]
    trainer.release_model()
    assert [one() for one in held] == [None, None], "transformers.Trainer or accelerate holds the model elsewhere, too"


@pytest.mark.parametrize(("free", "room"), [(1e9, True), (1e5, False)])
def test_margins_are_measured_where_the_policy_has_room(policy, monkeypatch, capsys, free, room):
    import torch

    assert margins.room_for(policy.parent)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda: (int(free), int(1e9)))
    assert margins.room_for(policy.parent) == room
    assert ("margins before and after rounding are not measured" in capsys.readouterr().err) != room
