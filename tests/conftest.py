"""Fixtures for every test, whichever environment runs it."""

import contextlib
import importlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "workflow_scripts"
sys.path.insert(0, str(SCRIPTS))

# What a shell starts in the background ignores Ctrl-C, and passes that on to the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

with contextlib.suppress(ImportError):  # not every environment has tests of properties
    from hypothesis import settings

    # The same cases every time, for everybody, however busy the machine; `--hypothesis-profile=default` looks for new ones.
    settings.register_profile("same", derandomize=True, deadline=None)
    settings.load_profile("same")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def run_script():
    """Run a program as a rule does: `run_script("measure_boundary", "--help", env="workflow")`; never raises."""

    def run(name: str, *arguments: object, env: str = "workflow", **options: object) -> subprocess.CompletedProcess:
        command = [ROOT / "envs" / "run", env, SCRIPTS / f"{name}.py", *arguments]
        defaults = {"text": True, "capture_output": True, "timeout": 600, "cwd": ROOT}
        return subprocess.run([str(part) for part in command], **{**defaults, **options})

    return run


@pytest.fixture(scope="session")
def run_here():
    """Run a program's `main` in this process, which has its imports already; a `BadInput` comes out as it is."""

    def run(name: str, *arguments: object) -> None:
        program, before = importlib.import_module(name), sys.argv
        sys.argv = [f"{name}.py", *map(str, arguments)]
        try:
            program.main()
        finally:
            sys.argv = before

    return run


@pytest.fixture(scope="module")
def programs_of_the_map():
    """Modules of studies/map can be imported."""
    sys.path.insert(0, str(ROOT / "studies/map"))
    yield
    sys.path.remove(str(ROOT / "studies/map"))
