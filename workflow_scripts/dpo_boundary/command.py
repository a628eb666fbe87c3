"""What the commands of the library share: flags, and how one answers or fails."""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from typing import Any

from dpo_boundary.errors import BadInput


def confidence(text: str) -> float:
    """A flag's value between 0 and 1."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, as 0.95 does, got {text}")
    return value


def seed(text: str) -> int:
    """A flag's value from 0 to 2^32 - 1."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"must be at least 0 and below 2^32, got {value}")
    return value


def answer(name: str, make: Callable[[], tuple[dict[str, Any], str]], as_json: bool) -> None:
    """Print what `make` gives, as JSON or in words.

    Exit code 0, or 2 with one sentence on standard error where the input is at fault.
    """
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # whoever reads may stop, as head does
    try:
        result, words = make()
    except BadInput as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)
    print(json.dumps(result, indent=2, ensure_ascii=False) if as_json else words.rstrip("\n"))
