"""The measurement that samples while it measures: programs started once, blocks reused, the same result as all at once."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import SCRIPTS

from dpo_boundary.blocks import nested_blocks
from dpo_boundary.measurement import measure_boundary
from dpo_boundary.reading import read_comparisons
from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.core.workers import Worker
from dpo_stages.data.schemas import COMPARISONS, PROMPTS

PROMPT_IDS = [f"p{number:03d}" for number in range(200)]
FILES = {
    "off_policy": "prompts.parquet",
    "policy_manifest": "policy.json",
    "preference_model_manifest": "preference_model.json",
}
FLAGS = {
    "temperature": 0.7, "top_p": 1.0, "top_k": 0, "max_new_tokens": 16, "max_length": 96, "dtype": "float32",
    "sampler_env": "vllm-cpu", "comparer_env": "pairrm", "policy": "m/sft", "seed": 0, "name": "m/sft",
}  # fmt: skip

# Stand-ins for the two programs: samples are their prompts, and votes are looked up. Each start and block is noted down.
WORKER = """
import sys
from pathlib import Path

sys.path.insert(0, {scripts!r})
import pyarrow.compute as pc
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.schemas import COMPARISONS, PROMPTS
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import run
from dpo_stages.core.workers import serve

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
    for name in ("policy.json", "preference_model.json"):
        (tmp_path / name).write_text("one")
    notes = tmp_path / "notes.txt"
    text = WORKER.format(scripts=str(SCRIPTS), notes=str(notes), votes=str(tmp_path / "votes.parquet"))
    (tmp_path / "worker.py").write_text(text)

    def noted():
        lines = notes.read_text().splitlines() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return lines

    return tmp_path, noted


@pytest.fixture
def measure(world, run_here, monkeypatch):
    """Measure with the stand-ins."""
    folder, _ = world

    def measure(*options, sampler="sample", confidence=0.95):
        program = importlib.import_module("measure_in_blocks")
        stand_in = [sys.executable, str(folder / "worker.py")]
        monkeypatch.setattr(program, "commands", lambda _: ([*stand_in, sampler], [*stand_in, "compare"]))
        flags = {**FLAGS, "blocks": folder / "blocks", "confidence": confidence, "output": folder / "boundary.json"}
        flags |= {name: folder / file for name, file in FILES.items()}
        words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", value)]
        run_here("measure_in_blocks", *words, *options)
        return read_json(folder / "boundary.json")

    return measure


def test_it_warns_of_a_preference_model_that_counting_characters_beats(world, measure):
    folder, _ = world
    share = {"estimate": 0.5, "low": 0.4, "high": 0.6, "pairs": 80}
    trivial = {
        "longer": {**share, "estimate": 0.6},
        "first": share,
        "ahead": 10,
        "behind": 18,
        "below_longer": "within noise",
    }
    found = {"preference_model": "small", "votes": ["votes.jsonl"], "accuracy": share, "baselines": trivial}
    (folder / "held_out.json").write_text(json.dumps(found))
    plain, warned = measure(), measure("--held-out", folder / "held_out.json")
    assert [*plain["warnings"], *warned["warnings"][-1:]] == warned["warnings"]
    assert "than the preference model small: on 18 of 80 pairs" in warned["warnings"][-1]
    assert "small is right on 50 % (40 to 60) of 80 held-out votes" in (folder / "boundary.md").read_text()


def test_it_stops_where_the_measurement_of_all_prompts_would_and_starts_each_program_once(world, measure):
    folder, noted = world
    measured = measure("--notes", "Labels: its own.")
    expected = measure_boundary(read_comparisons(folder / "votes.parquet"), sequential=True, policy="m/sft")
    assert measured == json.loads(json.dumps(expected.as_json()))
    assert measured["verdict"] == "decided" and measured["prompts"] < measured["budget"] == len(PROMPT_IDS)
    lines = noted()
    assert sorted(line for line in lines if "started" in line) == ["compare started", "sample started"]
    sizes = [int(line.split()[1]) for line in lines if line.startswith("sample") and "started" not in line]
    assert sizes[0] == 32 and sum(sizes) == measured["prompts"]
    assert read_json(folder / "boundary.ledger.json")["prompts_sampled"] == measured["prompts"]
    page = (folder / "boundary.md").read_text()
    assert page.startswith("**m/sft: above 0.5 (decided), preference fine-tuning.") and page.endswith(
        ".\n\nLabels: its own.\n"
    )


def test_a_block_without_a_comparable_prompt_is_passed_over_and_read_again(world, measure):
    folder, noted = world
    first, *_ = nested_blocks(PROMPT_IDS, FLAGS["seed"])
    votes = read_table(folder / "votes.parquet", COMPARISONS).to_pylist()
    write_table(folder / "votes.parquet", [row for row in votes if row["prompt_id"] not in first], COMPARISONS)
    measured = measure()
    assert measured["verdict"] == "decided" and measured["budget"] == len(PROMPT_IDS)
    noted()
    assert measure() == measured and noted() == []


def test_a_higher_confidence_goes_on_from_the_blocks_there_are_and_the_same_one_starts_nothing(world, measure):
    folder, noted = world
    first = measure(confidence=0.8)
    noted()
    second = measure(confidence=0.999)
    assert second["prompts"] > first["prompts"]
    sampled = sum(int(line.split()[1]) for line in noted() if line.startswith("sample") and "started" not in line)
    assert sampled == second["prompts"] - first["prompts"]
    assert measure(confidence=0.999) == second
    assert noted() == []


@pytest.mark.parametrize(
    "other",
    [
        {"policy_manifest": "another"},
        {"preference_model_manifest": "another"},
        {"--temperature": 0.8},
        {"--dtype": "bfloat16"},
        {"--seed": 1},
        {"--name": "m/dpo/on"},
        {"--precision": "bfloat16"},
        {"--comparer-env": "alpaca-eval"},
    ],
)
def test_blocks_are_not_reused_where_anything_differs_that_decides_them(world, measure, other):
    folder, noted = world
    measure()
    noted()
    words = []
    for name, value in other.items():
        if name in FILES:
            (folder / FILES[name]).write_text(value)
        else:
            words += [name, value]
    measure(*words)
    assert "sample started" in noted()


def test_blocks_are_reused_whatever_the_files_are_called(world, measure):
    folder, noted = world
    measure()
    noted()
    (folder / "policy.json").rename(folder / "moved.json")
    measure("--policy-manifest", folder / "moved.json", "--policy", "another name")
    assert noted() == []


def test_what_a_program_finds_wrong_ends_the_measurement_with_nothing_written(world, measure, capfd):
    folder, _ = world
    with pytest.raises(BadInput, match="ended with exit code 2; its message is above"):
        measure(sampler="fail")
    assert "worker: the policy is broken" in capfd.readouterr().err
    assert not (folder / "boundary.json").exists()
    with pytest.raises(BadInput, match=r"nothing\.json does not exist"):
        measure("--policy-manifest", folder / "nothing.json")


@pytest.mark.parametrize("program, env", [("sample_candidates", "vllm-cpu"), ("compare_candidates", "pairrm")])
def test_the_programs_know_the_flags_that_they_are_started_with(world, run_script, monkeypatch, program, env):
    """Each is started as the measurement starts it, for a policy or preference model that it does not get to load."""
    module = importlib.import_module("measure_in_blocks")
    folder, _ = world
    flags = {**FLAGS, **{name: folder / file for name, file in FILES.items()}, "precision": "float32"}
    flags |= {"blocks": folder, "confidence": 0.95, "output": folder / "o.json"}
    words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    monkeypatch.setattr(sys, "argv", ["measure_in_blocks.py", *words])
    run, environment, file, *arguments = {
        Path(words[2]).stem: words for words in module.commands(module.parse_arguments())
    }[program]
    assert (Path(run).name, environment, Path(file).parent) == ("run", env, SCRIPTS)
    done = run_script(program, *arguments, env=env, stdin=subprocess.DEVNULL)
    assert "unrecognized arguments" not in done.stderr and "usage:" not in done.stderr, done.stderr
    assert done.returncode == 2 and done.stderr.startswith(f"{program}: "), done.stderr


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


def test_prompts_of_a_block_are_rows_of_the_prompts(world, measure):
    folder, _ = world
    measure()
    blocks = [read_table(path, PROMPTS) for path in folder.glob("blocks/*/*.prompts.parquet")]
    names = [name for block in blocks for name in block["prompt_id"].to_pylist()]
    assert len(names) == len(set(names)) and set(names) <= set(PROMPT_IDS)
    assert all(row["prompt"][0]["content"] == row["prompt_id"] for block in blocks for row in block.to_pylist())
