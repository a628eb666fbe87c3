"""dpo_boundary as a library of its own: the wheel in an empty environment, without the workflow anywhere near."""

import json
import re
import shutil
import subprocess

import pytest
from conftest import ROOT, SCRIPTS

VOTES = ["prompt_id,on_index,off_index,on_policy_preferred"]
VOTES += [
    f"p{prompt},{on},{off},{int((prompt + on) % 3 == 0)}" for prompt in range(60) for on in (1, 2) for off in (1, 2)
]
LOOK = ["prompt_id,arm_1,arm_2,arm_1_preferred,run"]
LOOK += [f"p{prompt},off,on,{int(prompt % 8 > 0)},{run}" for prompt in range(60) for run in (1, 2)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel in an environment that holds nothing else; runs commands there, away from the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SCRIPTS / "dpo_boundary", source / "workflow_scripts/dpo_boundary", ignore=ignored)

    def uv(*words):
        script = 'source "$root/envs/tools.sh"; export_settings_of_pip; find_uv; exec "$uv" "$@"'
        command = ["bash", "-c", f'set -euo pipefail; root="{ROOT}"; {script}', "uv", *map(str, words)]
        done = subprocess.run(command, text=True, capture_output=True, cwd=folder, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    uv("build", "--quiet", "--wheel", "--out-dir", folder, source)
    (wheel,) = folder.glob("dpo_boundary-*.whl")
    uv("venv", "--quiet", "--python", "3.11", folder / "env")
    uv("pip", "install", "--quiet", "--python", folder / "env/bin/python", wheel)
    packages = json.loads(uv("pip", "list", "--format", "json", "--python", folder / "env/bin/python"))
    assert {package["name"] for package in packages} == {"dpo-boundary", "numpy", "scipy"}
    (folder / "votes.csv").write_text("\n".join(VOTES) + "\n")
    (folder / "look1.csv").write_text("\n".join(LOOK) + "\n")
    (folder / "look2.csv").write_text("\n".join(LOOK) + "\n")

    def run(program, *words, **options):
        command = [folder / "env/bin" / program, *words]
        return subprocess.run(
            list(map(str, command)),
            text=True,
            capture_output=True,
            cwd=folder,
            env={"PATH": "/usr/bin:/bin"},
            **options,
        )

    return run


def test_the_command_says_it_in_words_or_json_from_a_file_or_standard_input(installed):
    words = installed("measure-boundary", "votes.csv")
    assert words.returncode == 0, words.stderr
    assert words.stdout.startswith(
        "**policy: below 0.5 (decided), preference injection. Recommended next, relative to the preference model: off-policy "
        "candidates.**"
    )
    shown = installed("measure-boundary", "votes.csv", "--json")
    piped = installed("measure-boundary", "--json", input="\n".join(VOTES))
    measured = json.loads(shown.stdout)
    assert json.loads(piped.stdout) == measured
    assert (measured["prompts"], measured["comparisons"], measured["recommended_source"]) == (60, 240, "off")


def test_rows_of_json_are_the_same(installed):
    names, *rows = [line.split(",") for line in VOTES]
    lines = [json.dumps(dict(zip(names, [row[0], *map(int, row[1:])], strict=True))) for row in rows]
    piped = installed("measure-boundary", "-", "--json", input="\n".join(lines))
    assert json.loads(piped.stdout) == json.loads(installed("measure-boundary", "votes.csv", "--json").stdout)


def test_a_sequential_measurement_and_the_decision_on_parts(installed):
    done = installed("measure-boundary", "votes.csv", "--sequential", "--robustness", "--json", "--policy", "m")
    measured = json.loads(done.stdout)
    assert measured["prompts"] < measured["budget"] == 60 and measured["verdict"] == "decided"
    assert {look["name"] for look in measured["robustness"]} >= {"all comparisons"}


def test_a_race_from_files_and_standard_input_in_words_and_json(installed):
    words = installed("race", "look1.csv", "look2.csv", "--shares", "0.05", "0.1")
    assert words.returncode == 0, words.stderr
    assert words.stdout.startswith(
        "**off wins the race of off and on (decided, 95 %).** After 5 % of an epoch off alone is left."
    )
    assert "120 comparisons of arms that were out, or after the race was decided, were not used." in words.stdout
    piped = installed("race", "--shares", "0.05", "0.1", "--json", input="\n".join(LOOK))
    race = json.loads(piped.stdout)
    assert (race["winner"], race["looks"][0]["share"], race["shares"]) == ("off", 0.05, [0.05, 0.1])
    unsure = json.loads(installed("race", "look1.csv", "--run-sd", "60", "--json").stdout)
    assert (unsure["winner"], unsure["leader"], unsure["run_sd"]) == (None, "off", 60)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["look1.csv", "look2.csv"], "race: look2.csv: it is file 2 and has no column share"),
        (["votes.csv"], "race: votes.csv lacks the column arm_1"),
        (["look1.csv", "--length-controlled"], "race: a race that controls for length needs the columns length_1"),
    ],
)
def test_what_is_wrong_with_a_race_is_one_sentence_and_exit_code_2(installed, words, message):
    done = installed("race", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1) and done.stderr.startswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.csv"], "measure-boundary: nothing.csv does not exist"),
        (["nothing.csv", "--second-opinion", "x"], "--second-opinion x is not of the form NAME=FILE"),
        (["nothing.csv", "--second-opinion", "x=1.csv", "x=2.csv"], "--second-opinion has the name x twice"),
        (["votes.parquet"], "votes.parquet does not exist"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_exit_code_2(installed, words, message):
    done = installed("measure-boundary", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1) and message in done.stderr


def test_parquet_says_what_is_missing(installed, tmp_path):
    (tmp_path / "votes.parquet").write_bytes(b"PAR1")
    done = installed("measure-boundary", tmp_path / "votes.parquet")
    assert done.returncode == 2 and "needs pyarrow: install it, or give a CSV file" in done.stderr


def test_python_has_the_functions_and_a_type_checker_their_types(installed):
    code = (
        "import importlib.resources as r, dpo_boundary; from dpo_boundary import *; files = r.files(dpo_boundary);"
        "print(measure_boundary({'prompt_id': [1, 1, 2], 'on_policy_preferred': [1, 0, 1]}).boundary_score,"
        " (files / 'py.typed').is_file(), (files / '__init__.pyi').is_file(), issubclass(BadInput, ValueError))"
    )
    done = installed("python", "-c", code)
    assert done.stdout.split() == ["0.6666666666666666", "True", "True", "True"], done.stderr


def test_the_stub_names_what_the_package_gives():
    import dpo_boundary

    stub = (SCRIPTS / "dpo_boundary/__init__.pyi").read_text()
    assert re.findall(r" as (\w+)$", stub, re.MULTILINE) and sorted(
        re.findall(r" as (\w+)$", stub, re.MULTILINE)
    ) == sorted(dpo_boundary.__all__)
    assert all(getattr(dpo_boundary, name).__name__ == name for name in dpo_boundary.__all__)
