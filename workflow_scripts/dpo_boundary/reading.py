"""Comparisons from files: CSV, JSON Lines and Parquet, or CSV and JSON Lines from standard input."""

import csv
import gzip
import io
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dpo_boundary.comparisons import INDICES, OPTIONAL, REQUIRED, Comparisons, as_comparisons
from dpo_boundary.errors import BadInput

STANDARD_INPUT = "-"
_NEEDED = (REQUIRED[0], *INDICES, REQUIRED[1])
_BOOLEANS = {"true": 1.0, "false": 0.0}


def read_comparisons(path: Path | str) -> Comparisons:
    """Read comparisons, one a row.

    Needed are the columns prompt_id, on_index, off_index and on_policy_preferred (1, 0, or 0.5 for a tie); order_flip,
    on_length, off_length and on_truncated are used where they are there, others are not read. In Parquet one of these
    with nothing in it counts as not there.

    Args:
        path: a file that ends in .csv, .jsonl, .ndjson or .json (one object a line), each also with .gz, or else is
            Parquet; "-" reads CSV or JSON Lines from standard input.

    Raises:
        BadInput: the file is missing or broken, lacks a column, or holds a value that is not what it should be.
    """
    path = Path(path)
    if str(path) == STANDARD_INPUT:
        return _checked(_from_text(sys.stdin.buffer.read(), "standard input", None), "standard input")
    if not path.is_file():
        raise BadInput(f"{path} is a folder; a file is expected" if path.is_dir() else f"{path} does not exist")
    endings = path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:]
    if endings[:1] == [".csv"]:
        columns = _from_text(_bytes(path), str(path), csv_file=True)
    elif endings and endings[0] in (".jsonl", ".ndjson", ".json"):
        columns = _from_text(_bytes(path), str(path), csv_file=False)
    else:
        columns = _from_parquet(path)
    return _checked(columns, str(path))


def _checked(columns: dict[str, Any], source: str) -> Comparisons:
    try:
        return as_comparisons(columns)
    except BadInput as error:
        raise BadInput(f"{source}: {error}") from error


def _bytes(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise BadInput(f"{path} cannot be read ({error})") from error


def _from_text(content: bytes, source: str, csv_file: bool | None) -> dict[str, list]:
    """Columns of CSV or JSON Lines; which of the two it is, the first character tells where nobody else does."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{source} is not a CSV file in UTF-8 ({error}); save it as one or give Parquet") from error
    if csv_file is None:
        csv_file = not text.lstrip().startswith("{")
    return _from_csv(text, source) if csv_file else _from_json_lines(text, source)


def _wanted(there: Sequence[str], source: str) -> list[str]:
    for name in _NEEDED:
        if name not in there:
            raise BadInput(f"{source} lacks the column {name}; it has {', '.join(there) or 'none'}")
    return [name for name in (*_NEEDED, *OPTIONAL) if name in there]


def _from_csv(text: str, source: str) -> dict[str, list]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        wanted = _wanted(reader.fieldnames or [], source)
        return _columns(((reader.line_num, row) for row in reader), wanted, source)
    except csv.Error as error:
        raise BadInput(f"{source} is not a CSV file in UTF-8 ({error}); save it as one or give Parquet") from error


def _from_json_lines(text: str, source: str) -> dict[str, list]:
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
    wanted = _wanted([name for name in (rows[0][1] if rows else ()) if all(name in row for _, row in rows)], source)
    return _columns(rows, wanted, source)


def _columns(rows: Iterable[tuple[int, dict]], wanted: Sequence[str], source: str) -> dict[str, list]:
    """Values by column; an empty one is an error that names its line."""
    columns: dict[str, list] = {name: [] for name in wanted}
    for number, row in rows:
        for name in wanted:
            value = row[name]
            if value is None or (isinstance(value, str) and not value.strip()):
                raise BadInput(f"{source}, line {number}: {name} is empty")
            if isinstance(value, str) and name != REQUIRED[0]:
                value = _BOOLEANS.get(value.strip().lower(), value)
            columns[name].append(value)
    return columns


def _from_parquet(path: Path) -> dict[str, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise BadInput(f"{path} is taken for Parquet, which needs pyarrow: install it, or give a CSV file") from error
    try:
        with pq.ParquetFile(path) as file:
            wanted = _wanted(file.schema_arrow.names, str(path))
            table = file.read(columns=wanted)
        table.validate(full=True)
        columns = {name: table.column(name) for name in wanted}
        for name, column in columns.items():
            if column.null_count and not (name in OPTIONAL and column.null_count == len(column)):
                raise BadInput(f"{path}: column {name} has {column.null_count} empty values; none is allowed")
            if name == REQUIRED[0]:
                columns[name] = column.cast(pa.string())
        return {name: column.to_numpy() for name, column in columns.items()}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{path} is not a whole Parquet file ({said:.200}); make it again") from error
