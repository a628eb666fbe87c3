"""Start programs that need large libraries in half the time, and without their chatter."""

import contextlib
import gc
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def importing_libraries() -> Iterator[None]:
    """Run the imports of a program with the garbage collector off, then exempt what they made from it.

    Importing TRL makes a million objects that live until the end. The collector goes through them again and again
    during the imports and once more when the interpreter ends: about three seconds of a process's six.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def without_hub() -> None:
    """Keep the libraries from asking the hub about models that lie in local folders; to be called before importing."""
    os.environ["HF_HUB_OFFLINE"] = "1"


def quiet_libraries() -> None:
    """Let Transformers speak of errors only, and draw no progress bars: a log file is no terminal."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def end_now() -> None:
    """End the process at once, its threads and objects as they are; to be called when everything is written."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(0)
