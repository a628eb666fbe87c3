"""Programs that are started once and then asked again and again. Standard library only.

Loading an engine or a preference model takes longer than a block of prompts does, and the two need environments that
cannot live in one process. A worker reads one request a line on standard input, a JSON object of the arguments of its
job, and answers with a line on standard output when the job's files are written. Everything else that it prints goes to
standard error.
"""

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence

from dpo_stages.core.errors import BadInput

DONE = "done"


def add_serve_flag(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add `--serve` to a program's flags, which takes the arguments `names` of its job from requests."""
    words = " and ".join(f"--{name.replace('_', '-')}" for name in names)
    parser.add_argument(
        "--serve", action="store_true", help=f"read {words} of one job after another from standard input"
    )


def check_serve_flag(parser: argparse.ArgumentParser, arguments: argparse.Namespace, *names: str) -> None:
    """End with a usage error unless the arguments `names` are given, or, with `--serve`, left to the requests."""
    for name in names:
        if (getattr(arguments, name) is None) != arguments.serve:
            flag = f"--{name.replace('_', '-')}"
            parser.error(f"{flag} comes with the requests of --serve" if arguments.serve else f"{flag} is required")


def serve(job: Callable[..., None]) -> None:
    """Do a job for every request, until there are no more."""
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries print where they like
    for line in sys.stdin:
        job(**json.loads(line))
        print(DONE, file=answers, flush=True)


class Worker:
    """A worker process. It starts when it is first needed, and ends with the `with` statement that it is used in.

    Args:
        command: the program and its arguments.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start the process if it does not run yet, and let it load what it needs."""
        if self.process is None:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **arguments: object) -> None:
        """Have a job done, and wait for it.

        Raises:
            BadInput: the worker found its input at fault; it said on standard error why.
            RuntimeError: it ended for another reason.
        """
        self.start()
        try:
            print(json.dumps(arguments), file=self.process.stdin, flush=True)
            answered = self.process.stdout.readline().strip() == DONE
        except BrokenPipeError:
            answered = False
        if not answered:
            code = self.process.wait()
            said = f"{' '.join(self.command[:3])} ended with exit code {code}; its message is above"
            raise BadInput(said) if code == 2 else RuntimeError(said)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self.process is None:
            return
        if kind is not None:
            self.process.terminate()
        self.process.stdout.close()
        if not self.process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        self.process.wait()
