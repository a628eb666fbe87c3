"""A judge's server that lives as long as the judging: started on loopback, awaited, always stopped."""

import contextlib
import ctypes
import hashlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import urllib3

from dpo_stages.core import files
from dpo_stages.core.errors import BadInput
from dpo_stages.judges.endpoint import JudgeFailed

READY_SECONDS = 1800.0  # a large judge on a GPU loads its weights and compiles before it answers
STOP_SECONDS = 20.0
WORKFLOW = Path(__file__).resolve().parents[3]
_PR_SET_PDEATHSIG = 1


class JudgeServer:
    """An OpenAI-compatible server on this machine, as `serving` started it."""

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        self._process, self.url = process, f"http://127.0.0.1:{port}/v1"

    def wait_until_ready(self) -> None:
        """Wait until GET /v1/models answers.

        Raises:
            JudgeFailed: the server ended, or does not answer in time.
        """
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if (code := self._process.poll()) is not None:
                raise JudgeFailed(f"the judge's server ended with code {code} before it answered; see its output above")
            with contextlib.suppress(urllib3.exceptions.HTTPError):  # urllib3 heeds no proxy of the environment
                if urllib3.request("GET", f"{self.url}/models", timeout=5.0, retries=False).status == 200:
                    return
            time.sleep(0.05)
        raise JudgeFailed(f"the judge's server did not answer GET /v1/models within {READY_SECONDS:.0f} s")


@contextlib.contextmanager
def serving(command: str) -> Iterator[JudgeServer]:
    """Run `command` until the block is left, with `{port}` replaced by a free port, `{workflow}` by the workflow's folder.

    The server is then stopped with SIGTERM, whatever the reason, and killed if it does not heed it. It also gets
    SIGTERM from the kernel should this process be killed itself.

    Raises:
        BadInput: the command has no `{port}` or names no program.
    """
    port = _free_port()
    places = {"{port}": str(port), "{workflow}": str(WORKFLOW)}
    arguments = [re.sub(r"\{port\}|\{workflow\}", lambda place: places[place[0]], word) for word in _split(command)]
    with _interrupted_by_sigterm():
        try:
            process = subprocess.Popen(
                arguments, stdout=sys.stderr, start_new_session=True, preexec_fn=_die_with_parent
            )
        except OSError as error:
            raise BadInput(f"--serve: cannot start {arguments[0]} ({error.strerror})") from error
        try:
            yield JudgeServer(process, port)
        finally:
            _stop(process)


def served_revision(command: str, identified_by: Sequence[str | os.PathLike]) -> str:
    """What tells one judge that is served from another of the same name: a hash of the command's words, wherever the
    workflow lies, and of the content of the files that its answers depend on.

    Raises:
        BadInput: the command is none, or a file is not there.
    """
    if missing := [str(path) for path in identified_by if not Path(path).is_file()]:
        raise BadInput(f"--identified-by: {missing[0]} is not a file")
    words = [*_split(command), *map(files.sha256, identified_by)]
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]


def _split(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise BadInput(f"--serve: {command!r} is not a command line ({error})") from error
    if not any("{port}" in word for word in words):
        raise BadInput("--serve: the command must contain {port}, which is replaced by a free port")
    return words


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _die_with_parent() -> None:
    with contextlib.suppress(OSError, AttributeError):  # Linux only
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Treat SIGTERM, with which a cancelled job ends, as an interruption, so that the server is stopped."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(process: subprocess.Popen) -> None:
    """Stop the server and what it started: they share a process group of their own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
            return
