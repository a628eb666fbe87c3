"""The check of a GPU: its programs run in tiny shapes on a CPU, and its page says what ran, what failed and what was left out."""

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def gpu(root):
    sys.path.insert(0, str(root / "benchmarks"))
    from gpu import card, inputs, meter

    yield {"card": card, "inputs": inputs, "meter": meter}
    sys.path.remove(str(root / "benchmarks"))


@pytest.fixture
def check(root, tmp_path):
    def run(*words: str, **environment: str) -> subprocess.CompletedProcess:
        command = [sys.executable, root / "benchmarks/gpu/check.py", *words, "--tiny", "--folder", tmp_path]
        own = {"DPO_STAGES_PYTHON_TRAIN": sys.executable, **environment}
        return subprocess.run(command, env={**os.environ, **own}, text=True, capture_output=True, check=False)

    return run


def test_programs_run_and_what_is_missing_is_skipped(check, tmp_path):
    done = check("logps", "sft", "ranker", DPO_STAGES_PYTHON_PAIRRM="false")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report.md").read_text()
    assert "| reference log-probabilities, tiny | 32 |" in page
    assert "| reference log-probabilities, tiny, prompts shared | 32 |" in page and "| SFT, tiny | 16 |" in page
    assert "## Skipped\n\n- ranker: there is no llm_blender in pairrm" in page
    assert json.loads((tmp_path / "parts/sft.json").read_text())["status"] == "done"


def test_a_part_that_fails_says_so_in_a_sentence(check, tmp_path):
    manifest = tmp_path / "models/tiny/manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text('{"files": {}}')
    done = check("logps")
    assert done.returncode == 1
    assert "logps: failed, compute_reference_logps ended with exit code 2: compute_reference_logps: " in done.stdout
    assert "## Failed\n\n- logps: compute_reference_logps ended" in (tmp_path / "report.md").read_text()


def test_an_unknown_part_is_refused(check):
    done = check("sftt")
    assert done.returncode == 2 and "there is no part sftt; parts are agreement, logps, sft" in done.stderr


def test_the_page_has_rates_and_shares_of_the_peak(gpu):
    run = {"status": 0, "seconds": 30.0, "memory": 2.0**31, "energy": 1.5}
    measure = {"what": "DPO, 1B", "rows": 8, "tokens": 1000, "operations": 2e14, "rate": ["training", 4e13], "working": 2.0, "run": run}  # fmt: skip
    slower = {**measure, "rate": ["training", 3e13]}
    card = gpu["card"].Card(
        "NVIDIA H100 80GB HBM3", 80 * 2.0**30, gpu["card"].peak_of("NVIDIA H100 80GB HBM3"), 8e14, "PyTorch"
    )
    assert card.file_name == "H100-80GB-HBM3.md"
    page = gpu["card"].report(card, {"dpo": {"status": "done", "measures": [measure, slower]}})
    assert "800 TFLOP/s, 81% of what its maker promises" in page
    assert "| DPO, 1B | 8 | 1,000 | 2.0 | 30 | 500 | 100.0 | 10% | 2.0 | 1.50 |" in page
    assert "    training: 3.0e+13" in page


def test_what_a_program_says_of_its_work(gpu):
    run = gpu["meter"].Run(1, 9.0, None, None, "tokenising: 4/4 in 0.0 s\ntraining batches: 8/8 in 2.5 s\nBadInput\n\n")
    assert (run.working("training batches"), run.working("tokenising")) == (2.5, 0.1)
    assert run.sentence == "BadInput"
    assert run.working("sampling") != run.working("sampling")  # not a number


def test_texts_have_the_lengths_that_are_asked_for(gpu):
    rows = gpu["inputs"].REAL.rows(2000)
    for place, mean in enumerate((250, 400, 400)):
        assert sum(len(row[place]) for row in rows) / len(rows) == pytest.approx(mean, rel=0.1)
