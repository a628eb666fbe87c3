"""Faults in a finished demo, part of which is made again: kills, a full disk, a read-only one, two runs at once, no environment.

kill_loop.py kills every stage of a whole run, again and again; here are a few kills, which take a minute.
"""

import random
import re
import shutil
import subprocess
import time

import pytest
from clones import ROOT
from conftest import SMALL, TABLE
from kill_loop import LOCKED, everything_of, files_of, kill_once, leftovers, printed, run_to_the_end, start

SECONDS = {"train_policy": 3.0, "make_table": 0.2}  # after the program has started: it is still at work then
OVERLAYS = ("demo/config.yaml", SMALL)


@pytest.fixture
def half(demo, tmp_path):
    """A copy of the demo in which one policy, and with it the table, is yet to be made."""
    folder = tmp_path / "half"
    shutil.copytree(demo.folder, folder, symlinks=True)
    for made in ("policies", "evaluations"):
        shutil.rmtree(folder / f"results/{made}/tiny-mistral/dpo/on")
    (folder / TABLE).unlink()
    return folder


def test_a_killed_run_is_started_again_and_ends_with_the_same_bytes(demo, half):
    right, dice, report = files_of(demo.folder), random.Random(0), {"unlocked": 0}
    for way, program in (("job", "train_policy"), ("everything", "train_policy"), ("snakemake", "make_table")):
        killed = kill_once(half, [program], SECONDS, way, dice, OVERLAYS, (TABLE,))
        assert killed == program
        made = files_of(half)
        assert {name: made[name] for name in made if made[name] != right[name]} == {}, way
        if LOCKED in printed(half).read_text() or way != "job":
            assert start(half, "--unlock", overlays=OVERLAYS, targets=(TABLE,)).wait() == 0
            report["unlocked"] += 1
    while everything_of(half):
        time.sleep(0.1)
    run_to_the_end(half, report, OVERLAYS, (TABLE,))
    made = files_of(half)
    assert made == {name: right[name] for name in made}
    assert TABLE.removeprefix("results/") in made and "policies/tiny-mistral/dpo/on/manifest.json" in made
    assert leftovers(half) == []


@pytest.mark.parametrize("target", [TABLE, "results/policies/tiny-mistral/dpo/on/manifest.json"])
def test_what_an_earlier_run_made_does_not_pass_for_what_a_failed_job_was_to_make(demo, tmp_path, target):
    """Left to itself, Snakemake calls the old table up to date once a job with new settings has failed."""
    folder = tmp_path / "changed"
    shutil.copytree(demo.folder, folder, symlinks=True)
    overlay = tmp_path / "beta.yaml"
    overlay.write_text("methods: {dpo: {beta: 0.5}}\n")
    changed = (*OVERLAYS, overlay)
    assert kill_once(folder, ["train_policy"], SECONDS, "job", random.Random(0), changed, (target,)) == "train_policy"
    policies = folder / "results/policies/tiny-mistral/dpo"
    lost = {name for name in ("off", "on") if not (policies / name / "manifest.json").exists()}
    assert lost and (folder / TABLE).exists()
    assert start(folder, "-n", "--quiet", "host", overlays=changed, targets=(TABLE,)).wait() == 0
    plan = printed(folder).read_text()
    made = set(re.findall(r"output: results/policies/tiny-mistral/dpo/(\w+)/manifest.json", plan))
    assert lost <= made and "make_table" in plan, plan[-3000:]


def test_a_run_ends_with_the_last_words_of_the_program_that_failed(make_clone):
    lacking = make_clone("lacking")
    (lacking / ".venvs").unlink()
    (lacking / ".venvs").mkdir()
    (lacking / ".venvs/workflow").symlink_to(ROOT / ".venvs/workflow")
    done = lacking.snakemake("results/models/tiny-mistral/manifest.json")
    assert done.returncode == 1
    assert (
        "make_demo_model failed, see results/logs/make_demo_model/tiny-mistral.log:\n"
        "    envs/run: the environment train is not there or not whole: make it with envs/create train\n"
    ) in done.stdout


def test_a_second_run_in_the_same_folder_stops_and_the_first_goes_on(half):
    first = start(half, overlays=OVERLAYS, targets=(TABLE,))
    locks = half / ".snakemake/locks"
    while first.poll() is None and not list(locks.glob("*.lock")):
        time.sleep(0.02)
    second = subprocess.run(
        ["envs/run", "workflow", "-m", "snakemake", "--profile", "demo", "--configfile", *map(str, OVERLAYS), "--", TABLE],
        cwd=half, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert second.returncode == 1 and LOCKED in second.stdout, second.stdout
    assert first.wait() == 0, printed(half).read_text()[-4000:]
    assert (half / TABLE).is_file()


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ("mount -t tmpfs -o size=8k tmpfs out", "No space left on device"),
        ("mount --bind out out && mount -o remount,ro,bind out", "Read-only file system"),
    ],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_nothing_is_one_sentence_and_leaves_nothing(demo, tmp_path, mount, words):
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", tmp_path], check=False).returncode:
        pytest.skip("this machine lets no one mount")
    (tmp_path / "out").mkdir()
    program = [ROOT / "envs/run", "workflow", ROOT / "workflow_scripts/prepare_dataset.py"]
    flags = ["--kind", "chat", "--adapter", "local", "--source", demo / "results/demo/world/chat_fair.jsonl"]
    flags += ["--split", "train", "--seed", "0", "--output", "out/chat.parquet"]
    shell = f'{mount} && "$@"; code=$?; ls -A out >&2; exit $code'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", shell, "sh", *program, *flags],
        cwd=tmp_path, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"prepare_dataset: {words}") and done.stderr.count("\n") == 1, done.stderr
