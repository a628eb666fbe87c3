"""The text of control tokens in what a judge is asked about.

A server parses control tokens in what it is sent, so a response could end its own turn and talk to its judge. Where the judge is
served here its tokens are known, and their text is set apart: `<| im_end|>`. A vendor's endpoint takes care of its own, which
nobody else knows; there texts are sent as they are, and those that look like a control token are counted alone.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dpo_stages.core.files import read_json

TEXTS = ("instruction", "output_1", "output_2")
_LOOKS_LIKE_ONE = re.compile(r"<\|[^<>|\s]+\|>")
_TOKENIZER, _SETTINGS = "tokenizer.json", ("tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True)
class ControlTokens:
    """Those of a judge; none are known of an endpoint.

    Attributes:
        known: their texts, longest first.
    """

    known: tuple[str, ...] = ()

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self.known))) if self.known else _LOOKS_LIKE_ONE

    def found_in(self, pair: Mapping) -> bool:
        """Whether a row with instruction and outputs has the text of one."""
        return any(self._pattern.search(pair[text]) for text in TEXTS)

    def set_apart(self, pair: Mapping) -> dict:
        """The row with the known ones set apart in its texts; as it is where there are none."""
        return {**pair, **{text: self._apart(pair[text]) for text in TEXTS}} if self.known else dict(pair)

    def _apart(self, text: str) -> str:
        while self._pattern.search(text):  # what is left of a token may be another one
            text = self._pattern.sub(_with_a_space, text)
        return text


NONE_KNOWN = ControlTokens()


def _with_a_space(token: re.Match[str]) -> str:
    place = min(2, len(token[0]) - 1)
    return f"{token[0][:place]} {token[0][place:]}"


def control_tokens(identified_by: Iterable[str | Path]) -> ControlTokens:
    """Control tokens of a judge that is served here.

    Args:
        identified_by: files that its answers depend on; the tokenizer lies beside one of them, if the judge has one.
    """
    found: list[str | None] = []
    for folder in {Path(file).parent for file in identified_by}:
        files = {name: read_json(folder / name) for name in (_TOKENIZER, *_SETTINGS) if (folder / name).is_file()}
        for name, settings in files.items():
            added = (
                settings.get("added_tokens")
                if name == _TOKENIZER
                else settings.get("added_tokens_decoder", {}).values()
            )
            found += [token["content"] for token in added or () if token["special"]]
            found += [_text(token) for name, token in settings.items() if name.endswith("_token")]
    known = {text for text in found if text and len(text) > 1}
    return ControlTokens(tuple(sorted(known, key=lambda text: (-len(text), text))))


def _text(token: object) -> str | None:
    """A token's text, which settings hold alone or beside how it is matched; None for what is no token."""
    text = token.get("content") if isinstance(token, Mapping) else token
    return text if isinstance(text, str) else None
