"""How many parameters a model has, without loading it. Standard library only."""

import json
import math
import re
from pathlib import Path

_LONGEST_HEADER = 100_000_000  # bytes, the format's own limit


def parameters_of(path: str | None) -> float | None:
    """Parameters of a model in a folder, or as a hub id says (`Qwen2.5-1.5B`); None where neither tells.

    In a folder they are counted in the headers of its safetensors files; a weight that two names share is stored once.
    """
    if path is None:
        return None
    folder = Path(path)
    if folder.is_dir():
        counted = [_in_header(file) for file in sorted(folder.glob("*.safetensors"))]
        return float(sum(counted)) if counted and all(counted) else None
    sizes = re.findall(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)([BbMm])(?![A-Za-z])", path.rsplit("/", 1)[-1])
    return float(sizes[-1][0]) * {"b": 1e9, "m": 1e6}[sizes[-1][1].lower()] if sizes else None


def _in_header(file: Path) -> int | None:
    """Numbers in a safetensors file, whose first eight bytes give the length of a JSON header with the tensors' shapes."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 0 < length < _LONGEST_HEADER:
            return None
        try:
            header = json.loads(opened.read(length))
            return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
