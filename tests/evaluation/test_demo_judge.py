"""The demo's judge: alpaca-eval's real annotator asks it, and its answers are the hidden quality's."""

import json
import math
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from random import Random

import pytest

from dpo_stages.core.files import read_json, write_json
from dpo_stages.core.parquet import write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import INSTRUCTIONS
from dpo_stages.demo import world
from dpo_stages.demo.quality import JUDGE_TEMPERATURE, length_bias, quality
from dpo_stages.demo.responders import REFERENCE, RESPONDERS

FACTS = world.draw_facts(Random(0))


@pytest.fixture
def facts_file(tmp_path):
    write_json(tmp_path / "facts.json", FACTS)
    return tmp_path / "facts.json"


@pytest.fixture
def server(root, facts_file):
    """A running judge: the process and its base URL."""
    program = root / "workflow_scripts/serve_demo_judge.py"
    process = subprocess.Popen(
        [root / "envs/run", "workflow", program, "--facts", facts_file, "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process, process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()


def evaluation(folder):
    """Instructions with a reference's outputs, and a policy's outputs of every quality; returns files and rows."""
    random, rows = Random(1), []
    writers = [*RESPONDERS, REFERENCE]
    for number, text in enumerate(world.draw_instructions(FACTS, 60, random)):
        prompt = [{"role": "user", "content": text}]
        row = {"prompt_id": prompt_id(prompt), "prompt": prompt, "index": number, "instruction": text}
        row |= {"reference": REFERENCE.write(FACTS, text, random), "subset": "demo"}
        rows.append(row)
    answers = [writers[row["index"] % len(writers)].write(FACTS, row["instruction"], random) for row in rows]
    answers[0] = 'He said: """\n}\n and left.'  # looks like the end of the judge's prompt
    answers[1] = ""
    write_table(folder / "evaluation.parquet", rows, INSTRUCTIONS)
    keys = ("index", "prompt_id", "instruction")
    outputs = [
        {**{k: row[k] for k in keys}, "output": answer, "generator": "tiny/sft"}
        for row, answer in zip(rows, answers, strict=True)
    ]
    write_json(folder / "model_outputs.json", outputs)
    return rows, answers


@pytest.mark.parametrize("likes_length", [True, False])
def test_the_annotator_gets_the_preferences_of_the_hidden_quality_and_of_length(
    run_script, facts_file, tmp_path, likes_length
):
    rows, answers = evaluation(tmp_path)
    serve = f"envs/run workflow workflow_scripts/serve_demo_judge.py --facts {facts_file} --port {{port}}"
    serve += "" if likes_length else " --no-length-bias"
    done = run_script(
        "judge_outputs",
        *("--outputs", tmp_path / "model_outputs.json", "--instructions", tmp_path / "evaluation.parquet"),
        *("--judge-model", "demo-judge", "--base-url", "none", "--api-key-variable", "none", "--serve", serve),
        *("--cents-per-million-tokens", 0),
        *("--cache", tmp_path / "cache", "--output", tmp_path / "annotations.json"),
        env="alpaca-eval",
    )
    assert done.returncode == 0, done.stderr
    found = {row["index"]: row["preference"] for row in read_json(tmp_path / "annotations.json")}
    for row, answer in zip(rows, answers, strict=True):
        better_by = quality(FACTS, row["instruction"], answer) - quality(FACTS, row["instruction"], row["reference"])
        logit = better_by / JUDGE_TEMPERATURE + likes_length * length_bias(len(answer) - len(row["reference"]))
        expected = 1 + 1 / (1 + math.exp(-logit))
        assert found[row["index"]] == pytest.approx(expected, abs=1e-6), row["instruction"]
    assert 1.05 < sum(found.values()) / len(found) < 1.95


def ask(url, body):
    """HTTP status and parsed body of one judgement."""
    request = urllib.request.Request(f"{url}/chat/completions", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not JSON"),
        (b"[]", "'messages' must be a list"),
        (b'{"messages": [{"role": "user"}]}', "needs a 'content' that is text"),
        (b'{"messages": [{"role": "user", "content": "Which is better?"}]}', "is not the prompt of alpaca_eval"),
    ],
)
def test_what_is_no_judgement_gets_a_sentence(server, body, message):
    status, answer = ask(server[1], body)
    assert status == 400 and message in answer["error"]["message"]
    with urllib.request.urlopen(f"{server[1]}/models", timeout=30) as models:  # and the server goes on
        assert json.load(models)["data"][0]["id"] == "demo-judge"


def test_no_delayed_acknowledgement_slows_an_answer_down(server):
    host, port = server[1].removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
    assert b"200" in head and json.loads(body)["object"] == "list"  # headers and body came in one packet


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_asked_to(server, number):
    server[0].send_signal(number)
    assert server[0].wait(timeout=30) == 0


def test_a_broken_truth_or_a_port_in_use_is_one_sentence(run_script, facts_file, tmp_path):
    (tmp_path / "half.json").write_text(json.dumps({animal: FACTS[animal] for animal in world.ANIMALS[:3]}))
    done = run_script("serve_demo_judge", "--facts", tmp_path / "half.json", "--port", 0)
    assert done.returncode == 2 and "says nothing about the animal" in done.stderr, done.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run_script("serve_demo_judge", "--facts", facts_file, "--port", taken.getsockname()[1])
    assert done.returncode == 2 and "cannot be used" in done.stderr, done.stderr
