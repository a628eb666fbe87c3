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

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dpo_stages.core.batches import batches
from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import ProgressReport
from dpo_stages.preferences.pairrm.tokens import PairEncoder, TokenPair, Tokens
from dpo_stages.preferences.pairs import Pair, Verdicts

if TYPE_CHECKING:
    import torch


CLOSE_CALL = 1e-4
"""Logits nearer to zero than this are computed again at batch size 1; rounding stays ten times below it."""

COARSE_CLOSE_CALL = 0.1
"""Logits in bfloat16 that are nearer to zero than this are computed again in float32."""

CHECKED_PAIRS, FLIPS_ALLOWED = 512, 0.005
"""How many pairs try out bfloat16, and what share of them (one pair in any case) may get another label by it."""

TOKENS_PER_BATCH = {"cpu": 4096, "cuda": 65536}
"""Padding included. Larger batches are no faster on a CPU, and slower once they leave its caches."""


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

    def compare(self, pairs: Sequence[Pair]) -> Verdicts:
        """Score pairs in both orders; see the module for what a score depends on.

        Returns:
            Verdicts in input order. Responses that the model reads as the same tokens have logit 0 in both orders.
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
        return Verdicts(orders, {**self.encoder.counts(), "close_calls": self.close_calls, **checked})

    def _check_precision(self, pairs: list[TokenPair]) -> dict[str, int]:
        """Score some pairs in bfloat16 and in float32; counts of how many got another label.

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
