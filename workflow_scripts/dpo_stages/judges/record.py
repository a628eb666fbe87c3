"""How a judge is named in annotations, tables and messages. Standard library only."""

from collections.abc import Sequence

ENDPOINTS = {
    "openai": "the vendor's own endpoint",
    "openai-compatible": "an endpoint with the same interface, named by the configuration",
    "served": "a server that the workflow starts on the same machine for the time of the judging",
    "preference-model": "a pairwise preference model, without any endpoint",
}


_ROWS_NAMED = 10


def judge_record(model: str, version: str, prompt: str, endpoint: str) -> dict[str, str]:
    """Name a judge: its model, the version that answered, its prompt and the kind of its endpoint (see ENDPOINTS)."""
    if endpoint not in ENDPOINTS:
        raise ValueError(f"unknown kind of endpoint {endpoint!r}")
    return {"model": model, "version": version, "prompt": prompt, "endpoint": endpoint}


def describe_judge(judge: dict[str, str] | None) -> str:
    """A judge in words: its model, version, prompt and kind of endpoint, or that nobody knows."""
    if judge is None:
        return "an unnamed judge"
    return f"{judge['model']} (version {judge['version']}, prompt {judge['prompt']}, {judge['endpoint']})"


def name_rows(indices: Sequence[int]) -> str:
    """Name rows by index: `1 row (index 4)`, `12 rows (index 0, 1, 2, … and 2 more)`."""
    shown = ", ".join(str(index) for index in indices[:_ROWS_NAMED])
    more = f", … and {len(indices) - _ROWS_NAMED} more" if len(indices) > _ROWS_NAMED else ""
    return f"{len(indices)} row{'s' if len(indices) != 1 else ''} (index {shown}{more})"
