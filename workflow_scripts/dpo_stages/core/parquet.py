"""Parquet tables of a documented schema, read with clear errors and written whole or not at all."""

import contextlib
import os
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import first_line, replacing, require_file

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


def write_table(path: str | os.PathLike, rows: "list[dict] | pa.Table", schema: "pa.Schema") -> None:
    """Write a Parquet table of exactly `schema` (see `dpo_stages.data.schemas`), whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows, schema=schema)
    with replacing(path) as temporary:
        pq.write_table(table.select(schema.names).cast(schema), temporary, compression="zstd")


def read_table(path: str | os.PathLike, schema: "pa.Schema", lacking: Collection[str] = ()) -> "pa.Table":
    """Read the columns of `schema` from a Parquet file, or say which column is missing or of another type.

    Args:
        path: the file.
        schema: what is read.
        lacking: columns that the file need not have; they are null then.
    """
    import pyarrow as pa

    with _open_parquet(path) as file:
        there = file.schema_arrow.names
        if missing := [name for name in schema.names if name not in there and name not in lacking]:
            raise BadInput(f"{path} lacks the column {', '.join(missing)}; it has {', '.join(there)}")
        table = file.read(columns=[name for name in schema.names if name in there])
        table.validate(full=True)
    for field in schema:
        if field.name not in there:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
            continue
        try:
            column = table.column(field.name).cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise BadInput(
                f"{path}: column {field.name} should hold {field.type}, found {table.schema.field(field.name).type}"
            ) from error
        if not field.nullable and column.null_count:
            raise BadInput(f"{path}: column {field.name} has {column.null_count} empty values; none is allowed")
        table = table.set_column(table.schema.get_field_index(field.name), field, column)
    return table.select(schema.names)


def read_parquet(path: str | os.PathLike) -> "pa.Table":
    """Read all columns of a Parquet file, whatever they are."""
    with _open_parquet(path) as file:
        table = file.read()
        table.validate(full=True)
    return table


def read_schema(path: str | os.PathLike) -> "pa.Schema":
    """The columns of a Parquet file and their types."""
    with _open_parquet(path) as file:
        return file.schema_arrow


@contextlib.contextmanager
def _open_parquet(path: str | os.PathLike) -> Iterator["pq.ParquetFile"]:
    """Open a Parquet file; what Arrow says of a damaged one, now or while it is read, becomes one sentence."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    require_file(path)
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not a whole Parquet file ({first_line(error)}); make it again") from error
