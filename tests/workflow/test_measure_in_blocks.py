"""The measurement that samples while it measures: programs started once, blocks reused, the same result as all at once."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import SCRIPTS

from dpo_stages.boundary import measure_boundary, read_comparisons
from dpo_stages.files import read_json, read_table, write_table
from dpo_stages.program import BadInput
from dpo_stages.schemas import COMPARISONS, PROMPTS
from dpo_stages.workers import Worker

PROMPT_IDS = [f"p{number:03d}" for number in range(200)]

# Stand-ins for the two programs: samples are their prompts, and votes are looked up. Each start and block is noted down.
WORKER = """
import sys
from pathlib import Path

sys.path.insert(0, {scripts!r})
import pyarrow.compute as pc
from dpo_stages.files import read_table, write_table
from dpo_stages.schemas import COMPARISONS, PROMPTS
from dpo_stages.program import BadInput, run
from dpo_stages.workers import serve

name, notes = sys.argv[1], Path({notes!r})

def note(word):
    with open(notes, "a") as file:
        print(name, word, file=file)

def sample(prompts, output):
    rows = read_table(prompts, PROMPTS)
    note(rows.num_rows)
    print("a library's chatter")
    write_table(output, rows, PROMPTS)

def compare(on_policy, output):
    wanted = read_table(on_policy, PROMPTS)["prompt_id"]
    note(len(wanted))
    votes = read_table({votes!r}, COMPARISONS)
    write_table(output, votes.filter(pc.is_in(votes["prompt_id"], wanted.combine_chunks())), COMPARISONS)

def fail(**arguments):
    raise BadInput("the policy is broken")

note("started")
run(lambda: serve({{"sample": sample, "compare": compare, "fail": fail}}[name]))
"""


@pytest.fixture
def world(tmp_path):
    """Prompts, votes of a policy that wins 62 % of them, and the two programs."""
    draw = np.random.default_rng(0)
    write_table(
        tmp_path / "prompts.parquet",
        [{"prompt_id": name, "prompt": [{"role": "user", "content": name}]} for name in PROMPT_IDS],
        PROMPTS,
    )
    votes = [
        {
            "prompt_id": name, "on_index": on, "off_index": off, "logit": 0.0, "order_flip": False, "on_length": 1,
            "on_policy_preferred": float(draw.random() < 0.62), "off_length": 1,
        }
        for name in PROMPT_IDS for on in (1, 2) for off in (1, 2)
    ]  # fmt: skip
    write_table(tmp_path / "votes.parquet", votes, COMPARISONS)
    notes = tmp_path / "notes.txt"
    text = WORKER.format(scripts=str(SCRIPTS), notes=str(notes), votes=str(tmp_path / "votes.parquet"))
    (tmp_path / "worker.py").write_text(text)

    def noted():
        lines = notes.read_text().splitlines() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return lines

    return tmp_path, noted


def measure(run_here, folder, *options, sampler="sample", confidence=0.95):
    command = f"{sys.executable} {folder / 'worker.py'}"
    run_here(
        "measure_in_blocks", "--prompts", folder / "prompts.parquet", "--sampler", f"{command} {sampler}",
        "--comparer", f"{command} compare", "--blocks", folder / "blocks", "--seed", 0, "--confidence", confidence,
        "--policy", "m/sft", "--output", folder / "boundary.json", *options,
    )  # fmt: skip
    return read_json(folder / "boundary.json")


def test_it_stops_where_the_measurement_of_all_prompts_would_and_starts_each_program_once(world, run_here):
    folder, noted = world
    measured = measure(run_here, folder)
    expected = measure_boundary(read_comparisons(folder / "votes.parquet"), sequential=True, policy="m/sft")
    assert measured == json.loads(json.dumps(expected.as_json()))
    assert measured["verdict"] == "decided" and measured["prompts"] < measured["budget"] == len(PROMPT_IDS)
    lines = noted()
    assert sorted(line for line in lines if "started" in line) == ["compare started", "sample started"]
    sizes = [int(line.split()[1]) for line in lines if line.startswith("sample") and "started" not in line]
    assert sizes[0] == 32 and sum(sizes) == measured["prompts"]
    assert read_json(folder / "boundary.ledger.json")["prompts_sampled"] == measured["prompts"]
    assert (folder / "boundary.md").read_text().startswith("**m/sft: preference fine-tuning")


def test_a_higher_confidence_goes_on_from_the_blocks_there_are_and_the_same_one_starts_nothing(world, run_here):
    folder, noted = world
    first = measure(run_here, folder, confidence=0.8)
    noted()
    second = measure(run_here, folder, confidence=0.999)
    assert second["prompts"] > first["prompts"]
    sampled = sum(int(line.split()[1]) for line in noted() if line.startswith("sample") and "started" not in line)
    assert sampled == second["prompts"] - first["prompts"]
    assert measure(run_here, folder, confidence=0.999) == second
    assert noted() == []


def test_blocks_of_another_policy_are_not_reused(world, run_here):
    folder, noted = world
    policy = folder / "manifest.json"
    for content in ("one", "another"):
        policy.write_text(content)
        measure(run_here, folder, "--keyed-by", policy)
        assert "sample started" in noted()


def test_what_a_program_finds_wrong_ends_the_measurement_with_nothing_written(world, run_here, capfd):
    folder, _ = world
    with pytest.raises(BadInput, match="ended with exit code 2; its message is above"):
        measure(run_here, folder, sampler="fail")
    assert "worker: the policy is broken" in capfd.readouterr().err
    assert not (folder / "boundary.json").exists()
    with pytest.raises(BadInput, match=r"nothing\.json of --keyed-by does not exist"):
        measure(run_here, folder, "--keyed-by", folder / "nothing.json")


def test_a_worker_that_dies_is_no_bad_input_and_leaves_no_process(tmp_path):
    with (
        pytest.raises(RuntimeError, match="ended with exit code 7"),
        Worker([sys.executable, "-c", "import sys; sys.stdin.readline(); sys.exit(7)"]) as worker,
    ):
        worker.ask(prompts="x")
    assert worker.process.returncode == 7
    with pytest.raises(KeyboardInterrupt), Worker([sys.executable, "-c", "import time; time.sleep(600)"]) as worker:
        worker.start()
        raise KeyboardInterrupt
    assert worker.process.returncode not in (None, 0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("compare_candidates", ["--serve", "--output", "x"], "--output comes with the requests of --serve"),
        ("compare_candidates", ["--output", "x"], "--on-policy is required"),
    ],
)
def test_files_of_a_job_come_with_the_job_or_with_the_requests(name, options, message):
    command = [sys.executable, SCRIPTS / f"{name}.py", "--off-policy", "x", "--preference-model", "x", *options]
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, check=False)
    assert done.returncode == 2 and message in done.stderr


def test_prompts_of_a_block_are_rows_of_the_prompts(world, run_here):
    folder, _ = world
    measure(run_here, folder)
    blocks = [read_table(path, PROMPTS) for path in folder.glob("blocks/*/*.prompts.parquet")]
    names = [name for block in blocks for name in block["prompt_id"].to_pylist()]
    assert len(names) == len(set(names)) and set(names) <= set(PROMPT_IDS)
    assert all(row["prompt"][0]["content"] == row["prompt_id"] for block in blocks for row in block.to_pylist())
