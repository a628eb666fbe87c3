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
        shapes = tensors_of(folder)
        return float(sum(map(math.prod, shapes.values()))) if shapes else None
    sizes = re.findall(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)([BbMm])(?![A-Za-z])", path.rsplit("/", 1)[-1])
    return float(sizes[-1][0]) * {"b": 1e9, "m": 1e6}[sizes[-1][1].lower()] if sizes else None


def tensors_of(folder: Path) -> dict[str, list[int]]:
    """Shapes of the tensors in a folder's safetensors files, by name; none where a file cannot be read."""
    headers = [_header(file) for file in sorted(folder.glob("*.safetensors"))]
    return {name: shape for header in headers for name, shape in header.items()} if all(headers) else {}


def _header(file: Path) -> dict[str, list[int]]:
    """Shapes in a safetensors file, whose first eight bytes give the length of a JSON header with them."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 0 < length < _LONGEST_HEADER:
            return {}
        try:
            header = json.loads(opened.read(length))
            shapes = {name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__"}
            return shapes if all(isinstance(math.prod(shape), int) for shape in shapes.values()) else {}
        except (ValueError, TypeError, KeyError, AttributeError):
            return {}
