"""PairRM as llm-blender defines it, with a batching of our own: every pair is scored as the library scores it alone.

PairRM reads a prompt and two candidates in one sequence,

    [CLS] <|source|> prompt [SEP] [CLS] <|candidate1|> left [SEP] [CLS] <|candidate2|> right [SEP]

and scores each candidate from the last hidden states of the markers: score = head([h_source; h_candidate]). The logit
of one order is score(left) - score(right); the logit of a pair is the mean over both orders, positive if response_1 is
the better one (llm-blender's `compare_conversations` returns the sum of the two, twice as much).

What the library does with a batch changes what it reads: each candidate may be as long as 412 tokens plus half of what
the longest source *of the batch* leaves of 1224. Its only meaning that depends on nothing but the pair is that of batch
size 1, which is the one here: a source keeps its first 1224 tokens, and each candidate its first 412 plus half of what
its own source leaves, so of two long responses both lose their ends. Lengths are cut that way first; then any batching
gives the same logits but for rounding, so batches are made for speed: every distinct text tokenised once, every distinct
pair scored once, both orders in one forward, pairs sorted by length, and as many rows in a batch as a budget of tokens
allows.

Rounding could still change a label where a logit is nearly zero. Pairs for which either order or their mean is nearer
to zero than `CLOSE_CALL` are therefore scored again by the library's own forward, alone: their label is that of batch
size 1 to the bit. What else is in the input, how it is sorted or cut into shards, cannot change a label.

In bfloat16 the network is faster on hardware that has it, and its logits are off by some hundredths. It then only sorts out
what is clear: pairs nearer to zero than `COARSE_CLOSE_CALL` are scored again in float32, and so on as above. Before a pass
begins, up to `CHECKED_PAIRS` of its own pairs are scored both ways; if more than `FLIPS_ALLOWED` of them get another label,
the pass ends there.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dpo_stages.comparisons import Comparisons, Pair, Turn
from dpo_stages.program import BadInput, ProgressReport

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

Tokens = tuple[int, ...]
TokenPair = tuple[Tokens, Tokens, Tokens]  # source and two candidates

MARKERS = ("<|source|>", "<|candidate1|>", "<|candidate2|>", "<|candidate|>")
"""Tokens that llm-blender adds to the tokenizer, in its order."""

TASK = "Finish the following coversation in each i-th turn by filling in <Response i> with your response."
"""What llm-blender puts before every conversation, to the letter: the weights were trained on this spelling."""

CLOSE_CALL = 1e-4
"""Logits nearer to zero than this are computed again at batch size 1; rounding stays ten times below it."""

COARSE_CLOSE_CALL = 0.1
"""Logits in bfloat16 that are nearer to zero than this are computed again in float32."""

CHECKED_PAIRS, FLIPS_ALLOWED = 512, 0.005
"""How many pairs try out bfloat16, and what share of them (one pair in any case) may get another label by it."""

TOKENS_PER_BATCH = {"cpu": 4096, "cuda": 65536}
"""Padding included. Larger batches are no faster on a CPU, and slower once they leave its caches."""

TEXTS_AT_A_TIME = 4096

# ---------------------------------------------------------------------------------------------------------------------
# Text


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


# ---------------------------------------------------------------------------------------------------------------------
# Tokens


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
        self.neutralised = self.truncated_sources = self.truncated_candidates = 0

    def figures(self) -> dict[str, int]:
        """Counts, in pairs, of what has been encoded so far."""
        names = ("truncated_sources", "truncated_candidates", "neutralised")
        return {name: getattr(self, name) for name in names}

    def encode(self, pairs: Sequence[Pair]) -> list[TokenPair]:
        """Tokens of (source, response_1, response_2) of each pair, cut to the lengths of batch size 1.

        Both candidates bear the marker `<|candidate|>`. Counts, in pairs, what was neutralised or truncated.
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
        neutralised = self._tokenise(texts)
        self.neutralised += sum(any(text in neutralised for text in row) for row in rows)
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
        """Fill in the tokens of every text; returns those that had to be neutralised."""
        neutralised = set()
        # The library reads a separator in a text as a space.
        plain = [text.replace(self.separator, " ") for text in texts]
        for text, clean, ids in zip(list(texts), plain, self._ids(plain), strict=True):
            if self._has_marker(ids[2:]):
                neutralised.add(text)
                marker = next(marker for marker in (MARKERS[0], MARKERS[3]) if clean.startswith(marker))
                ids = next(self._ids([marker + self.neutral(clean.removeprefix(marker))]))
            texts[text] = tuple(ids)
        return neutralised

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


# ---------------------------------------------------------------------------------------------------------------------
# Scores


class Network(Protocol):
    """A ranker's network, which takes the rows of a batch."""

    def __call__(self, ids: "torch.Tensor", lengths: Sequence[int], positions: "torch.Tensor") -> "torch.Tensor":
        """Logits [rows]: score of the left candidate less that of the right one.

        Args:
            ids: tokens of all rows, one row after the other, [tokens].
            lengths: number of tokens of each row.
            positions: where the markers of source, left and right candidate are, [rows, 3].
        """


class PairRM:
    """A pairwise ranker.

    Args:
        network: scores batches.
        encoder: makes token sequences of pairs.
        library_logit: llm-blender's own logit of one order (source, left, right), computed alone.
        name: what ledgers and annotations call the model.
        version: what tells two versions of it apart.
        device: where the network is.
        coarse: the same network in bfloat16, for what is no close call; None: everything in float32.
    """

    def __init__(
        self,
        network: Network,
        encoder: PairEncoder,
        library_logit: Callable[[Tokens, Tokens, Tokens], float],
        name: str,
        version: str,
        device: str,
        coarse: Network | None = None,
    ) -> None:
        self.network, self.encoder, self.library_logit, self.coarse = network, encoder, library_logit, coarse
        self.name, self.version, self.device = name, version, device
        self.close_calls = 0

    def compare(self, pairs: Sequence[Pair]) -> Comparisons:
        """Score pairs in both orders; see the module for what a score depends on.

        Returns:
            Comparisons in input order. Responses that the model reads as the same tokens have logit 0 in both orders.
        """
        encoded = self.encoder.encode(pairs)
        # Every distinct pair once, whichever of its responses comes first: the mirrored pair has mirrored orders.
        distinct = {_unordered(*row): None for row in encoded if row[1] != row[2]}
        checked = self._check_precision(list(distinct))
        score = self._scores if self.coarse is None else self._coarse_scores
        scores = dict(zip(distinct, score(list(distinct)), strict=True))
        orders = np.zeros((len(encoded), 2), dtype=np.float32)
        for row, (source, first, second) in enumerate(encoded):
            if first != second:
                as_given, swapped = scores[_unordered(source, first, second)]
                orders[row] = (as_given, -swapped) if first < second else (swapped, -as_given)
        return Comparisons(orders, {**self.encoder.figures(), "close_calls": self.close_calls, **checked})

    def _check_precision(self, pairs: list[TokenPair]) -> dict[str, int]:
        """Score some pairs in bfloat16 and in float32; figures of how many got another label.

        Raises:
            BadInput: too many did.
        """
        if self.coarse is None or not pairs:
            return {}
        sample = pairs[:: -(-len(pairs) // CHECKED_PAIRS)]
        signs = [np.sign(_means(score(sample))) for score in (self._coarse_scores, self._scores)]
        flips = int((signs[0] != signs[1]).sum())
        if flips > max(1, FLIPS_ALLOWED * len(sample)):
            raise BadInput(
                f"bfloat16 gives {flips} of {len(sample)} pairs another label than float32, where {FLIPS_ALLOWED:.1%} "
                f"may; label with --precision float32 (preference_models.{self.name}.precision)"
            )
        return {"bfloat16_checked": len(sample), "bfloat16_flips": flips}

    def _coarse_scores(self, pairs: list[TokenPair]) -> np.ndarray:
        """`_scores`, in bfloat16 where that is clear."""
        scores = self._batched(self.coarse, pairs)
        close = np.flatnonzero(_nearest_to_zero(scores) < COARSE_CLOSE_CALL)
        scores[close] = self._scores([pairs[row] for row in close])
        return scores

    def _scores(self, pairs: list[TokenPair]) -> np.ndarray:
        """float32 [n, 2]: logit of the left candidate with the first on the left, and with the second on the left."""
        scores = self._batched(self.network, pairs)
        for row in np.flatnonzero(_nearest_to_zero(scores) < CLOSE_CALL):
            scores[row] = [self.library_logit(*order) for order in _both_orders(*pairs[row])]
            self.close_calls += 1
        return scores

    def _batched(self, network: Network, pairs: list[TokenPair]) -> np.ndarray:
        """Both orders of each pair by one network, in batches of like lengths."""
        import torch

        scores = np.zeros((len(pairs), 2), dtype=np.float32)
        if not pairs:
            return scores
        report = ProgressReport("pairs scored", len(pairs))
        with torch.inference_mode():
            for batch in batches([sum(map(len, pair)) for pair in pairs], TOKENS_PER_BATCH[self.device] // 2):
                orders = [order for row in batch for order in _both_orders(*pairs[row])]
                scores[batch] = self._logits(network, orders).reshape(-1, 2)
                report.advance(len(batch))
        report.close()
        return scores

    def _logits(self, network: Network, orders: list[TokenPair]) -> np.ndarray:
        """float32 [rows]: logit of each (source, left, right)."""
        import torch

        ids = [token for order in orders for token in self.encoder.sequence(*order)]
        lengths = [sum(map(len, order)) for order in orders]
        # Each part begins with [CLS] and its marker.
        positions = [[1, len(source) + 1, len(source) + len(left) + 1] for source, left, _ in orders]
        ids, positions = (torch.tensor(x, device=self.device) for x in (ids, positions))
        return network(ids, lengths, positions).float().cpu().numpy()


def _means(scores: np.ndarray) -> np.ndarray:
    return (scores[:, 0] - scores[:, 1]) / np.float32(2)


def _nearest_to_zero(scores: np.ndarray) -> np.ndarray:
    """The smallest magnitude of both orders and their mean."""
    return np.abs(np.column_stack([scores, _means(scores)])).min(axis=1)


def _unordered(source: Tokens, first: Tokens, second: Tokens) -> TokenPair:
    return (source, first, second) if first < second else (source, second, first)


def _both_orders(source: Tokens, first: Tokens, second: Tokens) -> tuple[TokenPair, TokenPair]:
    return (source, first, second), (source, second, first)


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Cut items into batches of like lengths, longest first, so that too long an input fails at once.

    Args:
        lengths: length of each item in tokens.
        budget: items times the longest item of a batch may not exceed this; a longer item is a batch of its own.

    Yields:
        Positions of the items of a batch.
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
