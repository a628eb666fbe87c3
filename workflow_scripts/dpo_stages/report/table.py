"""A table is rows until it is written: as CSV, as Markdown for people, and as JSON for the report. Standard library only."""

import argparse
import csv
import io
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json, write_text


@dataclass(frozen=True)
class Grid:
    """Cells as people read them.

    Attributes:
        columns: what stands above them.
        rows: a cell for each column; a single cell names the rows below it.
        groups: names of neighbouring columns from left to right, each with their number; empty without groups.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    groups: Sequence[tuple[str, int]] = ()

    def markdown(self) -> str:
        """A Markdown table, padded so that it reads well as plain text too."""
        above = [[cell for name, width in self.groups for cell in (name, *[""] * (width - 1))]] if self.groups else []
        rows = [row if len(row) > 1 else [f"**{row[0]}**", *[""] * (len(self.columns) - 1)] for row in self.rows]
        lines = [[cell.replace("|", r"\|") for cell in line] for line in (*above, self.columns, *rows)]
        widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
        padded = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        rule = "|".join("-" * (width + 2) for width in widths)
        return "\n".join([f"| {padded[0]} |", f"|{rule}|", *(f"| {line} |" for line in padded[1:])])


def _block(text: str) -> str:
    """Text in a block that no Markdown in it can leave."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


_MARKDOWN = {
    "title": "# {}".format,
    "heading": "## {}".format,
    "name": "**{}**".format,
    "words": "{}".format,
    "block": _block,
    "grid": Grid.markdown,
}


@dataclass(frozen=True)
class Table:
    """What a program makes of its input.

    Attributes:
        rows: lines of the CSV by column, in the order of the columns.
        parts: what people read, each with its kind: a `title`, a `heading`, the `name` of what follows, `words` (a
            paragraph, in which backquotes mark code), a `block` of text as it is, or a `grid`, which is a `Grid`.
        columns: of the CSV, where there may be no row to tell.
    """

    rows: Sequence[Mapping[str, object]]
    parts: Sequence[tuple[str, str | Grid]] = ()
    columns: Sequence[str] = ()

    def csv(self) -> str:
        """CSV with a header; floats keep six decimals, None is empty."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns or list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}
            for row in self.rows
        )
        return text.getvalue()

    def markdown(self) -> str:
        """The parts as Markdown."""
        return "\n\n".join(_MARKDOWN[kind](content) for kind, content in self.parts) + "\n"

    def write(self, path: Path) -> None:
        """Write the CSV, and beside it the parts as Markdown (.md) and for make_report.py (.json)."""
        parts = [(kind, vars(content) if isinstance(content, Grid) else content) for kind, content in self.parts]
        write_text(path.with_suffix(".md"), self.markdown())
        write_json(path.with_suffix(".json"), parts)
        write_text(path, self.csv())


def read_parts(path: Path) -> list[tuple[str, str | Grid]]:
    """Parts of a table from the JSON file that `Table.write` left.

    Raises:
        BadInput: the file is missing or holds no parts.
    """
    try:
        parts = [(kind, Grid(**content) if kind == "grid" else content) for kind, content in read_json(path)]
    except (TypeError, ValueError) as error:
        raise BadInput(f"{path} is not what is shown of a table ({error}); make the table again") from error
    if not parts:
        raise BadInput(f"{path} shows nothing; make the table again")
    return parts


def with_iterations(rows: Sequence[object]) -> list[dict]:
    """Rows that have a `history` by column: it becomes the columns iter_1, iter_2, …, as many as the longest needs."""
    depth = max(1, *(len(row.history) for row in rows))
    iterations = [f"iter_{number}" for number in range(1, depth + 1)]
    return [
        dict(
            pair
            for name, value in vars(row).items()
            for pair in (itertools.zip_longest(iterations, value) if name == "history" else [(name, value)])
        )
        for row in rows
    ]


def table_parser(description: str) -> argparse.ArgumentParser:
    """A parser of a program that makes a table, with the argument of `Table.write`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--csv", required=True, type=Path, metavar="OUT.csv", help="the table; OUT.md and OUT.json lie beside it"
    )
    return parser
