"""The text of control tokens in data is text: only a chat template sets a control token.

A tokenizer takes `<|im_end|>` in what somebody said for the token that ends a turn, so a response could end its own turn and
open another. Such texts are broken before they are rendered: a character that stands in no other text goes between the first
letter of the token and the rest, and a copy of the tokenizer takes it for a border between two words and drops it. What the
model reads are the same letters, as ordinary tokens. Rows without such texts never meet the copy.
"""

import copy
import re
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import ProgressReport

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

BREAK = "\ufdd0"  # one of Unicode's noncharacters, which stand in no text that is meant for others
CONTROL_TEXT = "control_text"
ROWS_AT_ONCE = 1000
_CONVERSATIONS, _TEXTS = ("prompt", "messages"), ("chosen", "rejected", "response_1", "response_2", "output")


def control_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[int, str]:
    """The special tokens of a tokenizer by their ids; added tokens that are not special, such as `<think>`, are none."""
    found = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    found |= {number: token.content for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return found


class ControlTexts:
    """Finds the text of a tokenizer's control tokens, breaks it, and reads it as text.

    A token of a single letter cannot be broken and stays what it is.

    Args:
        tokenizer: the tokenizer, which stays as it is.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self.tokenizer, self.tokens = tokenizer, control_tokens(tokenizer)
        longest_first = sorted({text for text in self.tokens.values() if len(text) > 1}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def broken(self, text: str) -> str:
        """`text` with its control texts broken; the same object where it has none.

        Raises:
            BadInput: it has one and the character that breaks it.
        """
        if not self._pattern.search(text):
            return text
        if BREAK in text:
            raise BadInput("a text holds the text of a control token and U+FDD0, which no text should; take one out")
        while self._pattern.search(text):  # what is left of a token may be another one
            text = self._pattern.sub(lambda token: token[0][0] + BREAK + token[0][1:], text)
        return text

    def found_in(self, row: dict) -> bool:
        """Whether a row of any table of `schemas`, or of evaluation outputs, has a control text in what was said."""
        return any(self._pattern.search(place[name]) for place, name in _places(row))

    def break_row(self, row: dict) -> None:
        """Break the control texts of a row; its `CONTROL_TEXT` says whether it had any.

        Raises:
            BadInput: see `broken`.
        """
        row[CONTROL_TEXT] = False
        for place, name in _places(row):
            text = place[name]
            try:
                place[name] = self.broken(text)
            except BadInput as error:
                raise BadInput(f"the row {row['prompt_id']}: {error}") from error
            row[CONTROL_TEXT] |= place[name] is not text

    def in_chunks(self, table: "pa.Table") -> Iterator[list[dict]]:
        """The rows of a table, some at a time, each after `break_row`."""
        report = ProgressReport("tokenising", table.num_rows)
        for batch in table.to_batches(max_chunksize=ROWS_AT_ONCE):
            rows = batch.to_pylist()
            for row in rows:
                self.break_row(row)
            yield rows
            report.advance(batch.num_rows)
        report.close()

    def encode(self, texts: Sequence[str], rows: Sequence[dict], **options: bool) -> dict[str, list]:
        """What `tokenizer(texts, add_special_tokens=False, **options)` gives, the rows' broken texts read as text.

        Args:
            texts: rendered conversations.
            rows: the rows that they were rendered from, after `break_row`.
            options: of the tokenizer.
        """
        found: dict[str, list] = {"input_ids": [None] * len(texts)}
        for has_control_text in (False, True):
            places = [place for place, row in enumerate(rows) if row[CONTROL_TEXT] is has_control_text]
            if not places:
                continue
            reader = self.reader if has_control_text else self.tokenizer
            encoded = reader([texts[place] for place in places], add_special_tokens=False, **options)
            for name, values in encoded.items():
                column = found.setdefault(name, [None] * len(texts))
                for place, value in zip(places, values, strict=True):
                    column[place] = value
        return found

    @cached_property
    def reader(self) -> "PreTrainedTokenizerBase":
        """A copy of the tokenizer that takes `BREAK` for a border between words and drops it.

        Raises:
            BadInput: the tokenizer is not one of the tokenizers library's, or takes a broken token for a token all the same.
        """
        from tokenizers import pre_tokenizers

        name = self.tokenizer.name_or_path
        if not self.tokenizer.is_fast:
            raise BadInput(f"{name} has no fast tokenizer, which texts with control tokens need; take their rows out")
        reader = copy.deepcopy(self.tokenizer)
        own, written = reader.backend_tokenizer.pre_tokenizer, BREAK
        if own is not None:  # byte-level ones write it in letters of their own
            pieces = "".join(piece for piece, _ in own.pre_tokenize_str(f"a{BREAK}a"))
            written = pieces.partition("a")[2].rpartition("a")[0]
        border = pre_tokenizers.Split(written, "removed")  # last, or others would put a space at every border
        reader.backend_tokenizer.pre_tokenizer = border if own is None else pre_tokenizers.Sequence([own, border])
        control = self.tokens.keys() - {self.tokenizer.unk_token_id}
        for text in filter(self._pattern.search, self.tokens.values()):
            ids = reader(self.broken(text), add_special_tokens=False)["input_ids"]
            if not control.isdisjoint(ids) or BREAK in reader.decode(ids):
                raise BadInput(f"{name} cannot read {text} as text; take the rows with it out")
        return reader


def _places(row: dict) -> list[tuple[dict, str]]:
    """Where the texts of a row stand: a row or turn, and the text's name in it."""
    turns = [(turn, "content") for name in _CONVERSATIONS for turn in row.get(name) or ()]
    return [(place, name) for place, name in [*turns, *((row, name) for name in _TEXTS)] if place.get(name)]


@lru_cache(maxsize=8)
def control_texts(tokenizer: "PreTrainedTokenizerBase") -> ControlTexts:
    """Those of a tokenizer."""
    return ControlTexts(tokenizer)
