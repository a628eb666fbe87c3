"""What other people's tools read of the repository: GitHub's actions, the catalogue of workflows, the list of settings."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CI = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
LONG = {"end-to-end", "slurm"}  # .ci/run has them too


def test_continuous_integration_makes_targets_that_there_are():
    (job,) = CI["jobs"].values()
    targets = job["strategy"]["matrix"]["target"]
    for target in targets:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    suites = re.search(r"^suites := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert {"lint", *(f"test-{suite}" for suite in suites if suite not in LONG)} == {*targets}
    assert job["steps"][-1] == {"run": "make ${{ matrix.target }}"}


def test_continuous_integration_has_the_python_of_the_locks():
    (job,) = CI["jobs"].values()
    versions = [step["with"]["python-version"] for step in job["steps"] if "python-version" in step.get("with", {})]
    assert versions == re.findall(r"^python_version=(.*)$", (ROOT / "envs/tools.sh").read_text(), re.MULTILINE)
    assert {True: {"push": None, "pull_request": None}}.items() <= CI.items()  # YAML reads the key `on` so


def test_the_catalogue_is_told_flags_and_deployments_that_there_are():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    option, profile = usage["mandatory-flags"]["flags"].split()
    assert option == "--profile" and (ROOT / profile / "profile.yaml").is_file()
    assert usage["software-stack-deployment"]["conda"] and usage["report"]
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert "    conda:\n" in rules and " report(" in rules


def test_the_list_of_settings_is_what_the_schema_gives():
    made = subprocess.run([sys.executable, ROOT / "docs/configuration.py"], capture_output=True, text=True, check=True)
    assert made.stdout == (ROOT / "docs/configuration.md").read_text(), "type make docs/configuration.md"


def test_the_list_of_settings_has_every_key_with_its_default():
    listed = (ROOT / "docs/configuration.md").read_text()
    for line in (
        "| `race.shares` | list: number above 0 | `[0.025, 0.05, 0.1, 0.2]` |",
        '| `methods.NAME.rounding` | `nearest`, `stochastic`, `none` | `"stochastic"` |',
        "| `models.NAME.path` | text or `null` | `null` |",
        "| `quality.pairs[].against` | text | *needed* |",
        "| `sources` | text, by name | *needed* |",
        "## evaluation\n",
    ):
        assert line in listed
    schema = yaml.safe_load((ROOT / "rules/config.schema.yaml").read_text())
    missing = [key for key in names_in(schema) if not re.search(rf"[`.]{key}[`.]|^## {key}$", listed, re.MULTILINE)]
    assert missing == []


def names_in(schema):
    """Every name below `properties`, wherever that stands."""
    if isinstance(schema, list):
        return {name for item in schema for name in names_in(item)}
    if not isinstance(schema, dict):
        return set()
    properties = schema.get("properties")
    below = {name for value in schema.values() for name in names_in(value)}
    return below | (properties.keys() if isinstance(properties, dict) else set())
