"""One clone, several studies: each in a folder of its own, or as a module of another Snakefile."""

import os
import subprocess
from pathlib import Path

import pytest
from clones import ROOT

PREPARED = (
    "results/datasets/demo-preferences/train.parquet"  # of a world that is made first, in the workflow's folder or not
)
CONFIGURATION = [ROOT / "demo/config.yaml", Path(__file__).with_name("small.yaml")]
MODULE = """
configfile: "{root}/config.yaml"
configfile: "{root}/demo/config.yaml"
configfile: "{root}/tests/end_to_end/small.yaml"


module dpo:
    snakefile:
        "{root}/Snakefile"
    config:
        config


use rule * from dpo as dpo_*


rule mine:
    default_target: True
    input:
        "{prepared}",
    output:
        "mine.txt",
    shell:
        "wc -c < {{input}} > {{output}}"
"""


def snakemake(folder: Path, *words: object) -> str:
    command = [ROOT / "envs/run", "workflow", "-m", "snakemake", "--cores", "2", *words]
    done = subprocess.run(
        list(map(str, command)), cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def study(folder: Path, *words: object) -> str:
    here = [
        "--snakefile",
        ROOT / "Snakefile",
        "--directory",
        ".",
        "--profile",
        ROOT / "demo",
        "--configfile",
        *CONFIGURATION,
    ]
    return snakemake(folder, *here, *words)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "my first study"
    made.mkdir()
    return made


def test_two_studies_of_one_clone_have_results_of_their_own(folder):
    before = sorted((ROOT / "results").rglob("*"))
    other = folder.parent / "another"
    other.mkdir()
    study(folder, "--", PREPARED)
    study(other, "--config", "demo_world={train_prompts: 40}", "--", PREPARED)
    sizes = [(place / PREPARED).stat().st_size for place in (folder, other)]
    assert sizes[0] > sizes[1]
    assert sorted((ROOT / "results").rglob("*")) == before
    for place, changes in ((folder, ()), (other, ("--config", "demo_world={train_prompts: 40}"))):
        assert "Nothing to be done" in study(place, "-n", *changes, "--", PREPARED)
    planned = study(folder, "-n", "-p", "--quiet", "host", "--", "results/tables/table3.csv", "results/plan.csv")
    elsewhere = os.path.relpath(ROOT, folder)
    assert f"{elsewhere}/envs/run train {elsewhere}/workflow_scripts/train_policy.py" in planned.replace("'", "")
    assert "{workflow}/workflow_scripts/serve_demo_judge.py" in planned  # found by the program that starts it
    assert f"--identified-by results/demo/world/facts.json {elsewhere}/workflow_scripts/serve_demo_judge.py" in planned


def test_the_rules_serve_as_a_module_of_another_workflow(folder):
    (folder / "Snakefile").write_text(MODULE.format(root=ROOT, prepared=PREPARED))
    assert "dpo_prepare_dataset" in snakemake(folder)
    assert int((folder / "mine.txt").read_text()) > 0
    target = "results/policies/tiny-mistral/dpo/auto/manifest.json"
    planned = snakemake(folder, "-n", "--", target)
    assert "dpo_make_decision" in planned and "dpo_adopt_choice" in planned
