"""HTML of the Markdown that the workflow itself writes: headings, paragraphs, tables, code blocks, bold and code.

Whatever the text holds comes out as text: everything is escaped, and nothing else of Markdown or HTML is understood.
Lines that belong to a table scroll inside a container of their own.
"""

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

_FENCE = re.compile(r"^(`{3,})\w*$")
_NUMBER = re.compile(r"^[-+±<(]?[\d.∞–]")


def to_html(text: str, level: int) -> Markup:
    """HTML of Markdown; `#` becomes a heading of `level`, `##` one below it, and so on."""
    parts, lines = [], text.splitlines()
    position = 0
    while position < len(lines):
        line = lines[position]
        if fence := _FENCE.match(line):
            end = next((n for n in range(position + 1, len(lines)) if lines[n] == fence[1]), len(lines))
            parts.append(Markup("<pre>{}</pre>").format("\n".join(lines[position + 1 : end])))
            position = end + 1
        elif line.startswith("|"):
            end = next((n for n in range(position, len(lines)) if not lines[n].startswith("|")), len(lines))
            parts.append(_table([_cells(row) for row in lines[position:end]]))
            position = end
        elif heading := re.match(r"^(#+) (.*)$", line):
            depth = min(6, level + len(heading[1]) - 1)
            parts.append(Markup(f"<h{depth}>{{}}</h{depth}>").format(_inline(heading[2])))
            position += 1
        elif line.strip():
            end = next(
                (n for n in range(position, len(lines)) if not lines[n].strip() or lines[n][0] in "|#"), len(lines)
            )
            parts.append(Markup("<p>{}</p>").format(_inline(" ".join(lines[position:end]))))
            position = end
        else:
            position += 1
    return Markup("\n").join(parts)


def _inline(text: str) -> Markup:
    """Bold and code; all else is text."""
    pieces = re.split(r"(\*\*.+?\*\*|`[^`]+`)", text)
    made = [
        Markup("<strong>{}</strong>").format(piece[2:-2])
        if piece.startswith("**") and len(piece) > 4
        else Markup("<code>{}</code>").format(piece[1:-1])
        if piece.startswith("`") and len(piece) > 2
        else escape(piece)
        for piece in pieces
    ]
    return Markup("").join(made)


def _cells(line: str) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def _table(rows: Sequence[Sequence[str]]) -> Markup:
    """A table; a first line of group names (with empty cells under the same group) spans the second header line."""
    header, body = [rows[0]], list(rows[2:])
    if body and rows[0][0] == "" and any(rows[0]):
        header.append(body.pop(0))
    groups = [0, *(number for number, cell in enumerate(header[0]) if cell and number)] if len(header) > 1 else []
    numeric = [
        all(_NUMBER.match(row[column]) or not row[column] for row in body)
        and any(re.search(r"\d", row[column]) for row in body)
        for column in range(len(rows[0]))
    ]
    head = Markup("")
    if groups:
        spans = zip(groups, [*groups[1:], len(header[0])], strict=True)
        cells = [
            Markup('<th colspan="{}" class="group">{}</th>').format(end - start, _inline(header[0][start]))
            for start, end in spans
        ]
        head += Markup("<tr>{}</tr>").format(Markup("").join(cells))
    head += _line("th", header[-1], numeric, groups)
    lines = Markup("\n").join(_line("td", row, numeric, groups) for row in body)
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table><thead>{}</thead><tbody>{}</tbody></table></div>'
    ).format(head, lines)


def _line(tag: str, cells: Sequence[str], numeric: Sequence[bool], groups: Sequence[int]) -> Markup:
    made = []
    for column, cell in enumerate(cells):
        classes = [name for name, holds in (("n", numeric[column]), ("first", column in groups[1:])) if holds]
        attribute = Markup(' class="{}"').format(" ".join(classes)) if classes else ""
        made.append(Markup(f"<{tag}{{}}>{{}}</{tag}>").format(attribute, _inline(cell)))
    return Markup("<tr>{}</tr>").format(Markup("").join(made))
