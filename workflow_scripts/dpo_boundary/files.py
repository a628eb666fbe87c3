"""Columns of files: CSV, JSON Lines and Parquet, or CSV and JSON Lines from standard input."""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpo_boundary.errors import BadInput

STANDARD_INPUT = "-"
PARQUET = (".parquet", ".pq")
FILES = "CSV, JSON Lines or Parquet file"
_BOOLEANS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Layout:
    """Columns that a file may hold; others are not read.

    Attributes:
        needed: those that must be there.
        optional: those that are read where they are there. In Parquet one with nothing in it is given as it is.
        texts: those of them that are names rather than numbers.
    """

    needed: tuple[str, ...]
    optional: tuple[str, ...]
    texts: tuple[str, ...]


def source_of(path: Path | str) -> str:
    """What a sentence calls the file."""
    return "standard input" if str(path) == STANDARD_INPUT else str(path)


def read_columns(path: Path | str, layout: Layout) -> dict[str, Any]:
    """Read the columns of a table.

    Args:
        path: a file that ends in .csv, .jsonl, .ndjson or .json (one object a line), each also with .gz, or in .parquet; of
            another one the first bytes say what it is. "-" reads CSV or JSON Lines from standard input.
        layout: which columns.

    Raises:
        BadInput: the file is missing or broken, lacks a column, or has an empty value.
    """
    path, source = Path(path), source_of(path)
    if str(path) == STANDARD_INPUT:
        return _from_text(sys.stdin.buffer.read(), source, None, layout)
    if not path.is_file():
        raise BadInput(f"{path} is a folder; a file is expected" if path.is_dir() else f"{path} does not exist")
    endings = path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:]
    if endings[:1] == [".csv"]:
        return _from_text(_bytes(path), source, True, layout)
    if endings and endings[0] in (".jsonl", ".ndjson", ".json"):
        return _from_text(_bytes(path), source, False, layout)
    if path.suffix in PARQUET:
        return _from_parquet(path, layout)
    content = _bytes(path)
    return _from_parquet(path, layout) if content[:4] == b"PAR1" else _from_text(content, source, None, layout)


def _bytes(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path} cannot be read ({error})") from error


def _from_text(content: bytes, source: str, csv_file: bool | None, layout: Layout) -> dict[str, list]:
    """Columns of CSV or JSON Lines; which of the two it is, the first character tells where nobody else does."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{source} is not a CSV file in UTF-8 ({error}); save it as one or give Parquet") from error
    if csv_file is None:
        csv_file = not text.lstrip().startswith("{")
    return _from_csv(text, source, layout) if csv_file else _from_json_lines(text, source, layout)


def _wanted(there: Sequence[str], source: str, layout: Layout) -> list[str]:
    for name in layout.needed:
        if name not in there:
            raise BadInput(f"{source} lacks the column {name}; it has {', '.join(there) or 'none'}")
    return [name for name in (*layout.needed, *layout.optional) if name in there]


def _from_csv(text: str, source: str, layout: Layout) -> dict[str, list]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        wanted = _wanted(reader.fieldnames or [], source, layout)
        return _columns(((reader.line_num, row) for row in reader), wanted, source, layout)
    except csv.Error as error:
        raise BadInput(f"{source} is not a CSV file in UTF-8 ({error}); save it as one or give Parquet") from error


def _from_json_lines(text: str, source: str, layout: Layout) -> dict[str, list]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise BadInput(f"{source}, line {number}: not valid JSON ({error}); give one object a line") from error
            if not isinstance(row, dict):
                raise BadInput(f"{source}, line {number}: expected a JSON object, found {type(row).__name__}")
            rows.append((number, row))
    there = list(dict.fromkeys(name for _, row in rows for name in row))
    return _columns(rows, _wanted(there, source, layout), source, layout)


def _columns(rows: Iterable[tuple[int, dict]], wanted: Sequence[str], source: str, layout: Layout) -> dict[str, list]:
    """Values by column; an empty one is an error that names its line."""
    columns: dict[str, list] = {name: [] for name in wanted}
    for number, row in rows:
        for name in wanted:
            value = row.get(name)
            if value is None or (isinstance(value, str) and not value.strip()):
                raise BadInput(f"{source}, line {number}: {name} is empty")
            if isinstance(value, str) and name not in layout.texts:
                value = _BOOLEANS.get(value.strip().lower(), value)
            columns[name].append(value)
    return columns


def _from_parquet(path: Path, layout: Layout) -> dict[str, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise BadInput(f"{path} is taken for Parquet, which needs pyarrow: install it, or give a CSV file") from error
    try:
        with pq.ParquetFile(path) as file:
            wanted = _wanted(file.schema_arrow.names, str(path), layout)
            table = file.read(columns=wanted)
        table.validate(full=True)
        columns = {name: table.column(name) for name in wanted}
        for name, column in columns.items():
            if column.null_count and not (name in layout.optional and column.null_count == len(column)):
                raise BadInput(f"{path}: column {name} has {column.null_count} empty values; none is allowed")
            if name in layout.texts:
                columns[name] = column.cast(pa.string())
        return {name: column.to_numpy() for name, column in columns.items()}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{path} is not a whole Parquet file ({said:.200}); make it again") from error
