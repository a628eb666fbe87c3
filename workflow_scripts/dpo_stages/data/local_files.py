"""Records of data sets that lie in files here."""

from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, read_json_lines
from dpo_stages.core.parquet import read_parquet


def read_local(path: Path) -> list[dict]:
    """Records of a local file, whose name says what it is.

    Raises:
        BadInput: the file cannot be read as such.
    """
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson")):
        return read_json_lines(path)
    if name.endswith(".json"):
        records = read_json(path, or_lines=True)
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise BadInput(f"{path} is no list of JSON objects")
        return records
    if path.suffix == ".parquet":
        return read_parquet(path).to_pylist()
    raise BadInput(
        f"{path} has no name that ends in .jsonl, .json or .parquet (.ndjson, .jsonl.gz and .json.gz will do as well), "
        "so what it holds is unknown; rename it"
    )
