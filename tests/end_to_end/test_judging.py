"""The judge's key in a run of the workflow: sent to the endpoint, and kept nowhere."""

import json
import shutil
import sys

import pytest
from clones import ROOT
from conftest import Clone

sys.path.insert(0, str(ROOT / "tests" / "evaluation"))
from fake_judge import FakeJudge, expected_preference

KEY = "sk-secret-0123456789"
TARGET = "results/evaluations/tiny-mistral/sft/annotations.json"


@pytest.fixture
def judged(demo, tmp_path):
    """A copy of the finished run."""
    shutil.copytree(demo.folder, tmp_path / "judged", symlinks=True)
    return Clone(tmp_path / "judged")


def test_the_key_is_in_no_file_and_in_no_output_of_the_workflow(judged, monkeypatch):
    judge = FakeJudge()
    settings = f"kind: endpoint, model: fake, base_url: '{judge.url}', api_key_variable: TEST_JUDGE_KEY"
    options = ("--config", f"judges={{remote: {{{settings}}}}}", "evaluation={judge: remote}", "--quiet", "host")
    unset = judged.snakemake(TARGET, options=options)
    assert unset.returncode == 2 and "the environment variable TEST_JUDGE_KEY is not set" in unset.stdout
    assert judge.asked == 0
    monkeypatch.setenv("TEST_JUDGE_KEY", KEY)
    judge.behave = lambda attempt, prompt: "wrong key"  # whose message repeats the header
    refused = judged.snakemake(TARGET, options=options)
    assert refused.returncode == 1 and "nothing for Bearer (key)" in refused.stdout
    judge.behave = lambda attempt, prompt: "ok"
    done = judged.snakemake(TARGET, options=(*options, "--printshellcmds", "--verbose"))
    assert done.returncode == 0, done.stdout
    judge.close()
    assert {headers["Authorization"] for headers in judge.headers} == {f"Bearer {KEY}"}
    rows = json.loads((judged / TARGET).read_text())
    assert [row["preference"] for row in rows] == pytest.approx([expected_preference(row) for row in rows])
    assert KEY not in unset.stdout + refused.stdout + done.stdout
    written = [path for path in judged.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.is_relative_to(judged / ".snakemake/metadata") for path in written)
    assert any(path.is_relative_to(judged / ".snakemake/log") for path in written)
    assert any(path.is_relative_to(judged / "results/judge_cache") for path in written)
    leaking = [path for path in written if KEY.encode() in path.read_bytes()]
    assert not leaking
