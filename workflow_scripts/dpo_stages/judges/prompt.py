"""The prompt of a judge, where a study brings its own: a text file in the layout of AlpacaEval's. Standard library only.

It is one system and one user message in ChatML, with {instruction}, {output_1} and {output_2} once each. The first output has to
be called m there and the second M, and the judge asked for one of these names: alpaca-eval draws which output comes first.
"""

import os
import re

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_text

PLACEHOLDERS = ("{instruction}", "{output_1}", "{output_2}")
LAYOUT = re.compile(
    r"\s*<\|im_start\|>system\n(?:(?!<\|im_).)*<\|im_end\|>\n<\|im_start\|>user\n(?:(?!<\|im_).)*<\|im_end\|>\s*",
    re.DOTALL,
)
_PLACEHOLDER = re.compile(r"{([^ \s]+?)}")  # what alpaca-eval fills in
_NAMES = [re.compile(rf"(?<!\w){name}(?!\w)") for name in ("m", "M")]


def read_prompt(path: str | os.PathLike) -> str:
    """Read a prompt.

    Raises:
        BadInput: there is no such file, or it is no prompt that a judge can be asked with; the message says what it lacks.
    """
    text = read_text(path)
    for placeholder in PLACEHOLDERS:
        if (count := text.count(placeholder)) != 1:
            raise BadInput(
                f"{path} has {placeholder} {count} times; a judge's prompt has each of {', '.join(PLACEHOLDERS)} once"
            )
    if other := [name for name in _PLACEHOLDER.findall(text) if f"{{{name}}}" not in PLACEHOLDERS]:
        raise BadInput(
            f"{path} has {{{other[0]}}}, which nothing fills in; put a space behind the brace, or leave it out "
            f"({', '.join(PLACEHOLDERS)} are filled in)"
        )
    if not LAYOUT.fullmatch(text):
        raise BadInput(
            f"{path} is not laid out as AlpacaEval's prompt: <|im_start|>system, a line end, the system message, <|im_end|>, a line "
            "end, and the same with user"
        )
    if not all(name.search(text) for name in _NAMES):
        raise BadInput(
            f"{path} does not name both m and M; call the first output m, the second M, and ask for one of these names"
        )
    return text
