"""Draw what a terminal showed of a run, in the middle and at the end: docs/recording.svg, from the output of `make demo`.

    make demo TARGET=results/tables/table3.csv 2>&1 | tee demo.log
    envs/run workflow docs/recording.py demo.log > docs/recording.svg

The middle is what stood there when the first boundary score was known. Lines are cut at the terminal's width, as `less -S` does.
"""

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

WIDTH, LINES = 132, 24
VERDICT = "==>"
THEME = TerminalTheme((250, 250, 248), (40, 40, 40), [(40, 40, 40)] * 8, [(110, 110, 110)] * 8)


def styled(line: str) -> Text:
    """A line as the eye finds it: verdicts bold, what programs say of their work grey."""
    said_by_program = re.match(r"\w+: \d+ rows in", line)
    style = "bold" if line.startswith(VERDICT) else "bright_black" if said_by_program else ""
    return Text(line, style=style)


def main() -> None:
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(VERDICT))
    console = Console(width=WIDTH, record=True, file=io.StringIO(), highlight=False)
    for line in (*lines[max(0, first + 1 - LINES) : first + 1], "⋮", *lines[-LINES:]):
        console.print(styled(line), no_wrap=True, overflow="ellipsis")
    svg = console.export_svg(title="make demo TARGET=results/tables/table3.csv", theme=THEME, unique_id="recording")
    print(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), end="")


if __name__ == "__main__":
    main()
