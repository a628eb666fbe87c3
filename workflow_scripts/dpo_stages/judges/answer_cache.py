"""The answers that a judge has given, kept in a folder so that none is paid for twice."""

import contextlib
import fcntl
import json
import os
import threading
from pathlib import Path

from dpo_stages.core.errors import BadInput


class AnswerCache:
    """The judge's answers in a file of JSON lines, each written the moment it arrives, keyed by the whole request.

    A killed process loses no more than the requests on their way. A line torn by the kill is skipped. One process may
    hold a cache at a time.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        path = Path(folder) / "answers.jsonl"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "a+b")  # noqa: SIM115 - held as long as the cache, closed by `close`
        except OSError as error:
            raise BadInput(f"--cache: cannot write {path} ({error.strerror}); name a folder") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise BadInput(f"{path} is in use by another process; give every judging its own --cache") from error
        except OSError:
            pass  # a file system without locks
        self._answers: dict[str, dict] = {}
        self._file.seek(0)
        line = b"\n"
        for line in self._file:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                self._answers[entry["request"]] = entry["answer"]
        if not line.endswith(b"\n"):
            self._file.write(b"\n")
        self._lock = threading.Lock()

    def get(self, request: str) -> dict | None:
        return self._answers.get(request)

    def put(self, request: str, answer: dict) -> None:
        with self._lock:
            self._answers[request] = answer
            self._file.write(json.dumps({"request": request, "answer": answer}).encode() + b"\n")
            self._file.flush()

    def close(self) -> None:
        self._file.close()
