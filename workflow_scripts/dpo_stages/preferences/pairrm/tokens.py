"""What PairRM reads: texts of a prompt and two candidates as token ids, cut as the library cuts one pair alone.

Control tokens of policies are ordinary text to it. Of its own in a text, the library's markers are set apart, since the
library stops at them; what it reads all the same is read as it does: a separator as a space, `[CLS]` as the token.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dpo_stages.preferences.pairs import Pair, Turn

if TYPE_CHECKING:
    from tokenizers import Tokenizer


Tokens = tuple[int, ...]


TokenPair = tuple[Tokens, Tokens, Tokens]  # source and two candidates


MARKERS = ("<|source|>", "<|candidate1|>", "<|candidate2|>", "<|candidate|>")
"""Tokens that llm-blender adds to the tokenizer, in its order."""


TASK = "Finish the following coversation in each i-th turn by filling in <Response i> with your response."
"""What llm-blender puts before every conversation, to the letter: the weights were trained on this spelling."""


TEXTS_AT_A_TIME = 4096


def source_text(prompt: Sequence[Turn]) -> str:
    """The prompt as `compare_conversations` writes it, with a numbered gap for each response."""
    gaps = [f"USER: {user}\nAssistant: <Response {number}>" for number, (user, _) in _exchanges(prompt)]
    return TASK + "\n".join(gaps)


def candidate_text(prompt: Sequence[Turn], response: str) -> str:
    """A response as `compare_conversations` writes it, after the responses that the prompt already holds."""
    said = [response if answer is None else answer for _, (_, answer) in _exchanges(prompt)]
    return "\n".join(f"<Response {number}>: {text}" for number, text in enumerate(said, start=1))


def conversation(prompt: Sequence[Turn], response: str) -> list[Turn]:
    """The conversation that llm-blender's `compare_conversations` takes: turns of USER and ASSISTANT, alternating."""
    turns = []
    for _, (user, answer) in _exchanges(prompt):
        turns.append({"role": "USER", "content": user})
        turns.append({"role": "ASSISTANT", "content": response if answer is None else answer})
    return turns


def _exchanges(prompt: Sequence[Turn]) -> list[tuple[int, tuple[str, str | None]]]:
    """Number the exchanges (user's text, assistant's text), the last of which is still without an answer.

    llm-blender knows only users and assistants who take turns. A system turn is read as the beginning of the user's
    turn that follows, turns of the same side in a row as one, and an assistant who begins answers an empty turn.
    """
    exchanges: list[tuple[str, str | None]] = []
    asked: list[str] = []
    for turn in prompt:
        if turn["role"] == "assistant":
            if not asked and exchanges:
                user, answer = exchanges[-1]
                exchanges[-1] = (user, f"{answer}\n\n{turn['content']}")
            else:
                exchanges.append(("\n\n".join(asked), turn["content"]))
                asked = []
        else:
            asked.append(turn["content"])
    exchanges.append(("\n\n".join(asked), None))
    return list(enumerate(exchanges, start=1))


class PairEncoder:
    """Turns pairs into the token sequences that llm-blender's collator makes of each pair alone.

    Args:
        tokenizer: llm-blender's tokenizer, to which it has added its markers.
        separator: its separating token; the library reads one in a text as a space.
        source_maxlength: longest source in tokens.
        candidate_maxlength: longest candidate in tokens, to which half of what the source leaves is added.
    """

    def __init__(self, tokenizer: "Tokenizer", separator: str, source_maxlength: int, candidate_maxlength: int) -> None:
        self.tokenizer, self.separator = tokenizer, separator
        self.source_maxlength, self.candidate_maxlength = source_maxlength, candidate_maxlength
        self.separator_id = tokenizer.token_to_id(separator)
        self.source_id, self.left_id, self.right_id, self.candidate_id = map(tokenizer.token_to_id, MARKERS)
        own = (token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special)
        self._control = re.compile("|".join(map(re.escape, {separator, *own})))
        self.control_texts = self.truncated_sources = self.truncated_candidates = 0

    def counts(self) -> dict[str, int]:
        """Counts, in pairs, of what has been encoded so far."""
        names = ("truncated_sources", "truncated_candidates", "control_texts")
        return {name: getattr(self, name) for name in names}

    def encode(self, pairs: Sequence[Pair]) -> list[TokenPair]:
        """Tokens of (source, response_1, response_2) of each pair, cut to the lengths of batch size 1.

        Both candidates bear the marker `<|candidate|>`. Counts, in pairs, what was truncated or has the text
        of one of the tokenizer's control tokens.
        """
        texts: dict[str, Tokens] = {}
        rows = []
        for pair in pairs:
            row = (
                MARKERS[0] + source_text(pair.prompt),
                MARKERS[3] + candidate_text(pair.prompt, pair.response_1),
                MARKERS[3] + candidate_text(pair.prompt, pair.response_2),
            )
            rows.append(row)
            texts.update(dict.fromkeys(row, ()))
        control = self._tokenise(texts)
        self.control_texts += sum(any(text in control for text in row) for row in rows)
        return [self._cut(*(texts[text] for text in row)) for row in rows]

    def neutral(self, text: str) -> str:
        """`text` without anything that the tokenizer would read as one of llm-blender's markers.

        A marker is set apart with spaces, `< | source | >`. Where the tokenizer's normalisation makes a marker of
        look-alikes (full-width letters, say), the text is normalised first.
        """
        for _ in range(2):
            for marker in MARKERS:
                text = text.replace(marker, f"< | {marker[2:-2]} | >")
            if not self._has_marker(next(self._ids([text]))):
                return text
            text = self.tokenizer.normalizer.normalize_str(text)
        return re.sub("[<|>]", " ", text)

    def _tokenise(self, texts: dict[str, Tokens]) -> set[str]:
        """Fill in the tokens of every text; returns those with the text of a control token."""
        control = set()
        # The library reads a separator in a text as a space.
        plain = [text.replace(self.separator, " ") for text in texts]
        for text, clean, ids in zip(list(texts), plain, self._ids(plain), strict=True):
            marker = next(marker for marker in (MARKERS[0], MARKERS[3]) if text.startswith(marker))
            if self._control.search(text, len(marker)):
                control.add(text)
            if self._has_marker(ids[2:]):
                control.add(text)
                ids = next(self._ids([marker + self.neutral(clean.removeprefix(marker))]))
            texts[text] = tuple(ids)
        return control

    def _ids(self, texts: list[str]) -> Iterator[list[int]]:
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        for start in range(0, len(texts), TEXTS_AT_A_TIME):
            for encoding in self.tokenizer.encode_batch_fast(texts[start : start + TEXTS_AT_A_TIME]):
                yield encoding.ids

    def _has_marker(self, ids: Sequence[int]) -> bool:
        return not {self.source_id, self.left_id, self.right_id, self.candidate_id}.isdisjoint(ids)

    def _cut(self, source: Tokens, first: Tokens, second: Tokens) -> tuple:
        self.truncated_sources += len(source) > self.source_maxlength
        source = self._truncate(source, self.source_maxlength)
        room = self.candidate_maxlength + (self.source_maxlength - len(source)) // 2
        self.truncated_candidates += max(len(first), len(second)) > room
        return source, self._truncate(first, room), self._truncate(second, room)

    def _truncate(self, ids: Tokens, length: int) -> Tokens:
        return ids if len(ids) <= length else (*ids[: length - 1], self.separator_id)

    def sequence(self, source: Tokens, left: Tokens, right: Tokens) -> list[int]:
        """One order's input: the source, `left` as candidate 1 and `right` as candidate 2."""
        return [*source, left[0], self.left_id, *left[2:], right[0], self.right_id, *right[2:]]
