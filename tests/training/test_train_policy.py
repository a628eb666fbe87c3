"""Preference optimisation end to end on a tiny model: what it writes, what stops it, and what it survives."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import contents, preference_rows, reference_flags, write_model

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.core.manifests import read_manifest, write_manifest
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.schemas import PREFERENCES, REFERENCE_LOGPS
from dpo_stages.study.objectives import ORIGINAL_SLIC

LN_2 = 0.69314718


@pytest.fixture(scope="module")
def flags(policy_flags):
    return policy_flags


@pytest.fixture(scope="module")
def trained(tmp_path_factory, run_here, flags) -> Path:
    """Folder of a policy trained without any interruption."""
    folder = tmp_path_factory.mktemp("trained")
    run_here("train_policy", *flags(folder))
    return folder / "policy"


def largest_difference(folder: Path, other: Path) -> float:
    from safetensors.torch import load_file

    weights, others = load_file(folder / "model.safetensors"), load_file(other / "model.safetensors")
    assert weights.keys() == others.keys()
    return max((weights[name].float() - others[name].float()).abs().max().item() for name in weights)


def test_with_prompts_computed_once_it_trains_the_same(tmp_path, run_here, flags, trained):
    run_here("train_policy", *flags(tmp_path), "--prefix-sharing")
    ledger, manifest = (read_json(tmp_path / f"policy/manifest{end}") for end in (".ledger.json", ".json"))
    assert ledger["prefix_sharing"] is True and manifest["arguments"]["prefix_sharing"] is True
    assert read_json(trained / "manifest.ledger.json")["prefix_sharing"] is False
    assert largest_difference(tmp_path / "policy", trained) < 1e-5


def test_the_folder_holds_a_policy(trained, model):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    manifest = read_manifest(trained / "manifest.json")
    assert manifest["policy"] == "tiny/dpo/off"
    assert manifest["initial_policy"] == "tiny/sft"
    assert manifest["arguments"]["beta"] == 0.1
    assert not manifest["arguments"].keys() & {"lora", "rounding", "label_smoothing", "use_weighting", "report_to"}
    assert set(manifest["files"]) == {*read_manifest(model)["files"], "training_log.jsonl"}
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (trained / name).samefile(model.parent / name)
    AutoModelForCausalLM.from_pretrained(trained)
    assert AutoTokenizer.from_pretrained(trained).chat_template
    assert (trained / "model.safetensors").stat().st_mode == (trained / "config.json").stat().st_mode
    assert not (trained.parent / "checkpoints").exists()


def test_the_log_has_one_row_a_step(trained, reference_logps):
    rows = [json.loads(line) for line in (trained / "training_log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0]["loss"] == pytest.approx(LN_2, abs=1e-6)
    assert rows[0]["rewards_margin"] == pytest.approx(0, abs=1e-5)
    assert rows[-1]["learning_rate"] < max(row["learning_rate"] for row in rows)
    assert all(row["logps_difference"] == pytest.approx(row["logps_chosen"] - row["logps_rejected"]) for row in rows)
    assert not any("time" in key or "second" in key for row in rows for key in row)
    # The first step's mean over pairs is of the order of the whole set's, which the reference model gave.
    reference = read_table(reference_logps, REFERENCE_LOGPS)["ref_chosen_logps"].to_pylist()
    assert min(reference) < rows[0]["logps_chosen"] < max(reference)


def test_the_ledger_accounts_for_every_row(trained):
    ledger = read_json(trained / "manifest.ledger.json")
    assert ledger["rows_in"] == ledger["rows_out"] == 48
    assert ledger["steps"] == 6


def test_the_same_inputs_give_the_same_bytes(tmp_path, run_here, flags, trained, capsys):
    run_here("train_policy", *flags(tmp_path))
    assert "training batches: 12/12 in" in capsys.readouterr().err  # two a step
    assert contents(tmp_path / "policy") == contents(trained)


def test_another_seed_gives_other_weights(tmp_path, run_here, flags, trained):
    run_here("train_policy", *flags(tmp_path, seed=1))
    assert largest_difference(tmp_path / "policy", trained) > 0


def test_the_per_device_batch_does_not_change_the_step(tmp_path, run_here, flags, trained):
    run_here("train_policy", *flags(tmp_path, per_device_batch_size=8))
    assert 0 < largest_difference(tmp_path / "policy", trained) < 1e-4


KILLED = """
import os, signal, sys
from dpo_stages.training import trainers

def closing(checkpoint, close=trainers.close_checkpoint):
    if checkpoint.name == "checkpoint-4":
        os.kill(os.getpid(), signal.SIGKILL)
    close(checkpoint)

trainers.close_checkpoint = closing
import train_policy
train_policy.main()
"""


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path, root, run_here, flags, trained, capsys):
    arguments = list(map(str, flags(tmp_path, checkpoint_minutes=0)))
    environment = {**os.environ, "PYTHONPATH": str(root / "workflow_scripts")}
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not (tmp_path / "policy").exists()
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {
        "fingerprint.json",
        "checkpoint-3",
        "checkpoint-4",  # not whole
    }
    run_here("train_policy", *flags(tmp_path))
    assert "going on from" in (said := capsys.readouterr().out) and "checkpoint-3" in said
    assert contents(tmp_path / "policy") == contents(trained)
    assert not (tmp_path / "checkpoints").exists()


def test_a_terminated_run_leaves_a_checkpoint_and_goes_on(tmp_path, run_here, flags, trained, monkeypatch, capsys):
    from dpo_stages.training.trainers import ProgressLines

    def terminating(self, args, state, control, **kwargs):
        if state.global_step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(ProgressLines, "on_step_end", terminating)
        run_here("train_policy", *flags(tmp_path))
    assert stopped.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    assert "terminated after step 2" in capsys.readouterr().out
    assert (tmp_path / "checkpoints/checkpoint-2/whole.json").exists()
    run_here("train_policy", *flags(tmp_path))
    assert contents(tmp_path / "policy") == contents(trained)


def test_a_paused_training_goes_on_and_ends_as_it_would_have(tmp_path, run_here, flags, trained, capsys):
    paused = {}
    for share, step in ((0.3, 2), (0.5, 3)):  # of 6 steps
        run_here("train_policy", "--until", share, *flags(tmp_path, output=tmp_path / f"{share}/manifest.json"))
        paused[share] = read_manifest(tmp_path / f"{share}/manifest.json")
        assert (paused[share]["until"], paused[share]["steps"]) == (share, step)
        assert (tmp_path / f"checkpoints/checkpoint-{step}/whole.json").exists()
    assert "checkpoint-2" in capsys.readouterr().out  # from where the second went on
    run_here("train_policy", *flags(tmp_path))
    assert "checkpoint-3" in capsys.readouterr().out
    assert contents(tmp_path / "policy") == contents(trained)
    assert not (tmp_path / "checkpoints").exists()
    log = (trained / "training_log.jsonl").read_text().splitlines()
    assert (tmp_path / "0.5/training_log.jsonl").read_text().splitlines() == log[:3]
    assert (
        paused[0.5]["files"]["model.safetensors"]
        != read_manifest(trained / "manifest.json")["files"]["model.safetensors"]
    )


def test_a_pause_before_the_checkpoint_starts_again(tmp_path, run_here, flags, capsys):
    for share in (0.5, 0.3, 0.5):
        run_here("train_policy", "--until", share, *flags(tmp_path, output=tmp_path / f"{share}/manifest.json"))
        said = capsys.readouterr().out
        made = read_manifest(tmp_path / f"{share}/manifest.json")
        assert made["steps"] == (3 if share == 0.5 else 2)
        if share == 0.3:
            assert "going on from" not in said
    assert "checkpoint-2" in said


def test_another_training_does_not_go_on_from_these_checkpoints(tmp_path, run_here, flags, monkeypatch, capsys):
    from dpo_stages.training.trainers import ProgressLines

    def terminating(self, args, state, control, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(ProgressLines, "on_step_end", terminating)
        run_here("train_policy", *flags(tmp_path))
    run_here("train_policy", *flags(tmp_path, beta=0.2))
    assert "going on from" not in capsys.readouterr().out
    assert read_manifest(tmp_path / "policy/manifest.json")["arguments"]["beta"] == 0.2


def logged(folder, name):
    return [json.loads(line)[name] for line in (folder / "policy/training_log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("sharded", [False, True], ids=["replicated", "sharded"])
def test_two_processes_give_the_one_process_result(tmp_path, root, flags, trained, sharded):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    if sharded:
        command += [
            Path(__file__).with_name("sharded_on_cpu.py"),
            root / "workflow_scripts/dpo_stages/training/fsdp.yaml",
        ]
    command += [root / "workflow_scripts/train_policy.py", *flags(tmp_path)]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("parameters: {'DTensor'}") == (2 if sharded else 0)
    assert largest_difference(tmp_path / "policy", trained) < 1e-5
    assert len((tmp_path / "policy/training_log.jsonl").read_text().splitlines()) == 6
    assert result.stderr.count("train_policy: 48 rows in") == 1


def test_two_processes_go_on_in_the_second_epoch_as_if_nothing_had_happened(tmp_path, root, flags):
    def train(folder, *more):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
        command += [root / "workflow_scripts/train_policy.py", *flags(folder, epochs=2, per_device_batch_size=2), *more]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr
        return result.stdout

    train(tmp_path / "whole")
    train(tmp_path / "paused", "--until", 1.5)
    assert "going on from" in train(tmp_path / "paused")
    assert largest_difference(tmp_path / "paused/policy", tmp_path / "whole/policy") == 0.0


@pytest.mark.parametrize("change", [{"attention_dropout": 0.1}, {"_attn_implementation": "flash_attention_2"}])
def test_what_a_configuration_asks_for_and_training_has_not_changes_nothing(
    tmp_path, run_here, model, flags, trained, change
):
    initial = tmp_path / "initial/manifest.json"
    shutil.copytree(model.parent, initial.parent)
    config = initial.with_name("config.json")
    config.write_text(json.dumps({**read_json(config), **change}))
    write_manifest(initial.parent, {"policy": "tiny/sft"})
    run_here("train_policy", *flags(tmp_path, initial=initial))
    assert largest_difference(tmp_path / "policy", trained) == 0.0
    assert read_json(tmp_path / "policy/config.json")[next(iter(change))] == next(iter(change.values()))


def test_a_mixture_of_experts_has_no_other_loss(tmp_path, run_here, preferences, flags):
    import torch
    from transformers import MixtralConfig, MixtralForCausalLM

    initial = write_model(tmp_path / "initial")
    torch.manual_seed(0)
    known = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    sizes = {name: read_json(initial.with_name("config.json"))[name] for name in known}
    config = MixtralConfig(**sizes, num_key_value_heads=4, num_local_experts=4, output_router_logits=True)
    MixtralForCausalLM(config).save_pretrained(initial.parent)
    write_manifest(initial.parent, {"policy": "tiny/sft"})
    run_here("compute_reference_logps", *reference_flags(initial, preferences, tmp_path / "r.parquet"))
    run_here("train_policy", *flags(tmp_path, initial=initial, reference_logps=tmp_path / "r.parquet"))
    assert logged(tmp_path, "loss")[0] == pytest.approx(LN_2, abs=1e-5)


def test_a_constant_learning_rate_warms_up(tmp_path, run_here, flags):
    run_here("train_policy", *flags(tmp_path, scheduler="constant", warmup_ratio=0.5, learning_rate=1e-3))
    assert logged(tmp_path, "learning_rate") == pytest.approx([0, 1e-3 / 3, 2e-3 / 3, 1e-3, 1e-3, 1e-3])


def test_bfloat16_is_mixed_precision_saved_narrow(tmp_path, run_here, model, preferences, flags, trained):
    import torch
    from safetensors.torch import load_file

    run_here("compute_reference_logps", *reference_flags(model, preferences, tmp_path / "r.parquet", dtype="bfloat16"))
    run_here(
        "train_policy", *flags(tmp_path, dtype="bfloat16", rounding="nearest", reference_logps=tmp_path / "r.parquet")
    )
    assert {tensor.dtype for tensor in load_file(tmp_path / "policy/model.safetensors").values()} == {torch.bfloat16}
    assert read_json(tmp_path / "policy/config.json")["dtype"] == "bfloat16"
    assert largest_difference(tmp_path / "policy", trained) < 2e-2


@pytest.mark.parametrize(
    ("loss", "more", "first"),
    [
        ("sigmoid", {}, LN_2),
        ("hinge", {}, 1.0),
        ("sigmoid", {"sft_weight": 0.1}, None),
        (ORIGINAL_SLIC, {"delta": 1.0, "sft_weight": 0.1}, None),
    ],
)
def test_it_learns(tmp_path, run_here, flags, loss, more, first):
    run_here("train_policy", *flags(tmp_path, loss=loss, epochs=4, **more))
    losses = logged(tmp_path, "loss")
    assert first is None or losses[0] == pytest.approx(first, abs=1e-5)
    assert len(losses) == 4 * 6
    assert sum(losses[-6:]) < 0.8 * sum(losses[:6])


def test_log_probabilities_of_another_model_stop_the_run(tmp_path, run_here, preferences, flags):
    other = write_model(tmp_path / "other", seed=1)
    run_here("compute_reference_logps", *reference_flags(other, preferences, tmp_path / "r.parquet"))
    with pytest.raises(BadInput, match="the first step's loss is .* where sigmoid starts at 0.693147"):
        run_here("train_policy", *flags(tmp_path, reference_logps=tmp_path / "r.parquet"))
    assert not (tmp_path / "policy").exists()


def test_log_probabilities_off_by_a_constant_stop_the_run_though_the_loss_does_not_show_it(
    tmp_path, run_here, reference_logps, flags
):
    table = read_table(reference_logps, REFERENCE_LOGPS).to_pandas()
    table[["ref_chosen_logps", "ref_rejected_logps"]] -= 0.1
    write_table(tmp_path / "r.parquet", table.to_dict("records"), REFERENCE_LOGPS)
    with pytest.raises(BadInput, match=r"log-probabilities are 0\.1 nats off their reference"):
        run_here("train_policy", *flags(tmp_path, reference_logps=tmp_path / "r.parquet"))


def test_a_pair_without_reference_is_an_error(tmp_path, run_here, reference_logps, flags):
    table = read_table(reference_logps, REFERENCE_LOGPS)
    write_table(tmp_path / "r.parquet", table.slice(2), REFERENCE_LOGPS)
    with pytest.raises(BadInput, match=f"for 2 of 48 pairs, the first of them {table['prompt_id'][0]}"):
        run_here("train_policy", *flags(tmp_path, reference_logps=tmp_path / "r.parquet"))


def test_prompts_that_leave_no_room_are_dropped_visibly(tmp_path, run_here, model, preferences, flags):
    run_here("compute_reference_logps", *reference_flags(model, preferences, tmp_path / "r.parquet", max_length=14))
    run_here("train_policy", *flags(tmp_path, max_length=14, reference_logps=tmp_path / "r.parquet"))
    ledger = read_json(tmp_path / "policy/manifest.ledger.json")
    assert ledger["dropped"]["prompt leaves no room for a response"] > 0
    assert ledger["rows_in"] == ledger["rows_out"] + sum(ledger["dropped"].values())
    assert ledger["truncated"] > 0


def test_a_policy_that_did_not_change_is_an_error(tmp_path, run_here, flags):
    with pytest.raises(BadInput, match="the trained policy equals"):
        run_here("train_policy", *flags(tmp_path, learning_rate=1e-30))
    assert not (tmp_path / "policy").exists()


def test_a_model_with_a_shorter_context_is_an_error(tmp_path, run_here, flags):
    with pytest.raises(
        BadInput, match="the context of .* is 512 tokens, and --max-length 513 is longer; set max_length"
    ):
        run_here("train_policy", *flags(tmp_path, max_length=513))
    assert not (tmp_path / "policy").exists()


def test_a_broken_training_stops(tmp_path, run_here, flags):
    with pytest.raises(BadInput, match=r"the (loss|gradient) is (nan|inf) at step \d"):
        run_here("train_policy", *flags(tmp_path, loss="ipo", learning_rate=1e30))
    assert not (tmp_path / "policy").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"per_device_batch_size": 3}, "the batch size 8 is no multiple of 3 rows a device on 1 device"),
        ({"policy": "tiny/sft"}, "the name of the policy that this program makes is MODEL/METHOD/SOURCE-SOURCE"),
        ({"loss": ORIGINAL_SLIC}, "needs delta and sft_weight"),
        ({"delta": 1.0}, "delta belongs to slic-original alone"),
        ({"output": "elsewhere/policy.json"}, "--output must end in manifest.json"),
    ],
)
def test_flags_that_do_not_fit_together(tmp_path, run_here, flags, changes, message):
    with pytest.raises(BadInput, match=message):
        run_here("train_policy", *flags(tmp_path, **changes))


def test_checkpoints_inside_the_output_folder_are_refused(tmp_path, run_here, flags):
    with pytest.raises(BadInput, match="must lie outside the folder of --output"):
        run_here("train_policy", *flags(tmp_path, checkpoints=tmp_path / "policy/checkpoints"))


def test_a_preference_file_of_another_kind_is_one_sentence(tmp_path, run_script, flags):
    write_table(tmp_path / "p.parquet", preference_rows(1), PREFERENCES)
    missing = flags(tmp_path, reference_logps=tmp_path / "p.parquet")
    result = run_script("train_policy", *missing, env="train")
    assert result.returncode == 2
    assert result.stderr.startswith("train_policy: ") and "lacks the column ref_chosen_logps" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_help_is_quick(run_script):
    result = run_script("train_policy", "--help", env="train", timeout=20)
    assert result.returncode == 0
    assert "slic-original" in result.stdout
