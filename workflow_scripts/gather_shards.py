"""Join the shards of a stage in order: Parquet tables of one schema, or JSON lists.

The ledger becomes that of the whole: counts are added, shares and means are averaged by rows written.
"""

import argparse
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run

LEDGER = ("output", "rows_in", "rows_out", "dropped", "provenance")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, nargs="+", required=True, metavar="FILE", help="in order")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help=".parquet or .json, as the shards")
    return parser.parse_args()


def join_tables(paths: list[Path], output: Path) -> int:
    """Write the rows of all tables as one; returns their number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from dpo_stages.core.parquet import read_table, write_table

    schema = pq.read_schema(paths[0])
    table = pa.concat_tables([read_table(path, schema) for path in paths]).combine_chunks()
    write_table(output, table, schema)
    return table.num_rows


def join_lists(paths: list[Path], output: Path) -> int:
    """Write the items of all lists as one; returns their number."""
    from dpo_stages.core.files import read_json, write_json

    lists = [read_json(path) for path in paths]
    for path, items in zip(paths, lists, strict=True):
        if not isinstance(items, list):
            raise BadInput(f"{path} holds no list; give outputs of generate_evaluation_outputs.py")
    items = [item for part in lists for item in part]
    write_json(output, items)
    return len(items)


def join_ledgers(ledgers: list[dict]) -> dict[str, object]:
    """Rows in, rows dropped and counts of the whole."""
    weights = [ledger["rows_out"] for ledger in ledgers]
    counts: dict[str, object] = {}
    for name in (name for name in ledgers[0] if name not in LEDGER):
        values = [ledger[name] for ledger in ledgers if name in ledger]
        if all(isinstance(value, int) for value in values) and name != "context":
            counts[name] = sum(values)
        elif all(isinstance(value, (int, float)) for value in values) and len(values) == len(weights) and sum(weights):
            counts[name] = sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)
        else:
            counts[name] = values[0]
    reasons = dict.fromkeys(reason for ledger in ledgers for reason in ledger["dropped"])
    dropped = {reason: sum(ledger["dropped"].get(reason, 0) for ledger in ledgers) for reason in reasons}
    return {"rows_in": sum(ledger["rows_in"] for ledger in ledgers), "dropped": dropped, **counts}


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.files import read_json

    ledgers = [read_json(path.with_name(f"{path.stem}.ledger.json")) for path in arguments.shards]
    join = join_lists if arguments.output.suffix == ".json" else join_tables
    rows = join(arguments.shards, arguments.output)
    whole = join_ledgers(ledgers)
    finish(arguments.output, whole.pop("rows_in"), rows, whole.pop("dropped"), shards=len(ledgers), **whole)


if __name__ == "__main__":
    run(main)
