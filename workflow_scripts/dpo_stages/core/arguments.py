"""Types of command-line arguments: numbers that make sense, else argparse's one sentence and exit code 2."""

import argparse


def positive_int(text: str) -> int:
    """Argument type: a whole number above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def at_least_two(text: str) -> int:
    """Argument type: a whole number above one."""
    value = int(text)
    if value < 2:
        raise argparse.ArgumentTypeError(f"must be at least 2, got {value}")
    return value


def positive_float(text: str) -> float:
    """Argument type: a finite number above zero."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a finite number above zero, got {text}")
    return value


def duration(text: str) -> float:
    """Argument type: a finite number, 0 or more."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a finite number, at least 0, got {text}")
    return value


def share(text: str) -> float:
    """Argument type: a number in [0, 1)."""
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 0 and below 1, got {text}")
    return value


def confidence(text: str) -> float:
    """Argument type: the level of an interval, a number between 0 and 1."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, as 0.95 does, got {text}")
    return value


def count(text: str) -> int:
    """Argument type: a whole number, 0 or more."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {value}")
    return value


def seed(text: str) -> int:
    """Argument type: a whole number that every random generator takes as its seed."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"must be at least 0 and below 2^32, got {value}")
    return value
