"""A process that has loaded what is slow to load, forked for every call: `Forks(ENV, MODULE)(WORD, ...)`.

MODULE lies beside this file or in a folder here. Its `load()` is called once, and must leave one thread, since a fork has
no others; its `call(words)` in each fork.
"""

import atexit
import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import ModuleType

TESTS = Path(__file__).resolve().parent


class Forks:
    """The process, which ends when this one does.

    Args:
        env: the environment that it runs in.
        module: as it is imported from this folder.
    """

    def __init__(self, env: str, module: str) -> None:
        command = [TESTS.parent / "envs/run", env, __file__, module]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, env=one_thread, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self.process.communicate)  # ends its input and waits for it

    def __call__(self, *words: object, folder: Path = TESTS.parent) -> subprocess.CompletedProcess:
        """What `subprocess.run` would give for these words in a folder."""
        arguments = list(map(str, words))
        with tempfile.TemporaryDirectory() as said:
            files = [f"{said}/out", f"{said}/err"]
            print(json.dumps([arguments, str(folder), *files]), file=self.process.stdin, flush=True)
            code = int(self.process.stdout.readline())
            return subprocess.CompletedProcess(arguments, code, *(Path(file).read_text("utf-8") for file in files))


def speak_into(*names: str) -> None:
    """Put standard output, and standard error if a second file is named, into files from now on; nothing is to be read."""
    for stream, (name, mode) in enumerate([(os.devnull, "rb"), *((name, "wb") for name in names)]):
        with open(name, mode) as file:
            os.dup2(file.fileno(), stream)


def serve(module: ModuleType) -> None:
    calls, codes = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    speak_into(os.devnull)
    path = [*sys.path]
    module.load()
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith("dpo_")]:
        del sys.modules[name]  # which may be another study's, or edited
    assert threading.active_count() == 1  # beside a thread of jemalloc, which knows forks
    gc.collect()
    gc.freeze()  # else the first collection of each fork copies all that it shares
    for line in calls:
        if (child := os.fork()) == 0:
            words, folder, *files = json.loads(line)
            speak_into(*files)
            os.chdir(folder)
            module.call(words)
            sys.exit()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=codes, flush=True)


if __name__ == "__main__":
    serve(importlib.import_module(sys.argv[1]))
