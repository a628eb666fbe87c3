"""Records of data sets that lie in files here."""

import csv
import io
import json
import re
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import first_line, read_json, read_json_lines, read_text, require_file
from dpo_stages.core.parquet import read_parquet

ENDINGS = (".jsonl", ".json", ".ndjson", ".parquet", ".csv", ".tsv")
_STATE, _SPLITS = "state.json", "dataset_dict.json"
_LONGEST_CELL = 2**31 - 1
_WRITTEN_LIST = re.compile(r"""\s*\[\s*\{\s*['"](?:role|content|from|value|text|response|answer)['"]\s*:""")


def read_local(path: Path) -> list[dict]:
    """Records of a local file, whose name says what it is, or of a folder that `save_to_disk` of `datasets` made.

    Raises:
        BadInput: it cannot be read as such.
    """
    if path.is_dir() and any((path / name).is_file() for name in (_STATE, _SPLITS)):
        return _saved_to_disk(path)
    name = path.name.lower().removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson")):
        return read_json_lines(path)
    if name.endswith(".json"):
        return _listed(read_json(path, or_lines=True), path)
    if name.endswith((".csv", ".tsv")):
        return _table_of_text(path, "\t" if name.endswith(".tsv") else ",")
    if path.suffix.lower() == ".parquet":
        return read_parquet(path).to_pylist()
    require_file(path)
    raise BadInput(
        f"{path} has no name that ends in .jsonl, .json or .parquet (or .ndjson, .csv, .tsv; all but Parquet may be gzipped), "
        "so what it holds is unknown; rename it if it is one of these"
    )


def _listed(value: object, path: Path) -> list[dict]:
    """The records of a JSON file: a list, or an object whose only key holds one."""
    if isinstance(value, dict) and len(value) == 1 and (only := next(iter(value.values()))) and isinstance(only, list):
        value = only
    if not isinstance(value, list) or not all(isinstance(record, dict) for record in value):
        raise BadInput(f"{path} is no list of JSON objects")
    return value


def _table_of_text(path: Path, delimiter: str) -> list[dict]:
    """Rows of a table with a header. A cell in which a list of turns was written as JSON is that list.

    Raises:
        BadInput: a row has more cells than the header, or a list in it is written in another way, which nobody reads safely.
    """
    csv.field_size_limit(_LONGEST_CELL)
    text = read_text(path)
    header = text.partition("\n")[0]
    if delimiter not in header:  # as spreadsheets write where a comma stands in numbers
        delimiter = next((other for other in ";\t" if other in header), delimiter)
    # Strict, or a quote that nothing closes would take all rows behind it for one text.
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="", delimiter=delimiter, strict=True)
    try:
        columns = reader.fieldnames or []
        if twice := [name for name in dict.fromkeys(columns) if columns.count(name) > 1]:
            raise BadInput(f"{path} has two columns {twice[0]}; rename one of them")
        rows = list(reader)
    except csv.Error as error:
        raise BadInput(f"{path}, line {reader.line_num}: not readable as a table ({error})") from error
    for number, row in enumerate(rows, start=1):
        if None in row:
            raise BadInput(f"{path}, record {number}: more values than columns; put values with commas into quotes")
        row.update({name: _list_in(cell, f"{path}, record {number}, {name}") for name, cell in row.items()})
    return rows


def _list_in(cell: str, where: str) -> str | list:
    if not _WRITTEN_LIST.match(cell):
        return cell
    try:
        return json.loads(cell)
    except ValueError as error:
        raise BadInput(
            f"{where} is a list that was written as a text, and not as JSON; save the data as JSON Lines or Parquet instead"
        ) from error


def _saved_to_disk(folder: Path) -> list[dict]:
    """Records of a data set that `datasets` has saved: Arrow streams, whose names stand in its state."""
    import pyarrow as pa

    if (folder / _SPLITS).is_file():
        splits = read_json(folder / _SPLITS)["splits"]
        raise BadInput(
            f"{folder} holds the splits {', '.join(splits)}; name the folder of one, as {folder / splits[0]}"
        )
    records: list[dict] = []
    for part in read_json(folder / _STATE)["_data_files"]:
        file = folder / part["filename"]
        require_file(file)
        try:
            with pa.memory_map(str(file)) as source:
                records += pa.ipc.open_stream(source).read_all().to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise BadInput(f"{file} is not a whole Arrow file ({first_line(error)}); save the data again") from error
    return records
