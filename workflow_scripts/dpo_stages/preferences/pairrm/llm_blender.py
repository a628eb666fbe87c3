"""llm-blender itself: loading a ranker with it, and what is computed by its own code.

Its import takes seconds and it speaks on several channels, so it is imported where it is used and kept quiet. No other
module relies on how it works inside; tests/preferences/test_llm_blender_contract.py holds it to what this one does.
"""

import contextlib
import functools
import io
import logging
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dpo_stages.core.errors import BadInput
from dpo_stages.core.libraries import importing_libraries, quiet_libraries
from dpo_stages.preferences.options import Options
from dpo_stages.preferences.pairrm.scoring import PairRM
from dpo_stages.preferences.pairrm.tokens import PairEncoder, Tokens, conversation
from dpo_stages.preferences.pairs import Pair, Verdicts

if TYPE_CHECKING:
    import torch


def load_blender(ranker: str | os.PathLike, base: str | os.PathLike | None, device: str, half: bool = False) -> object:
    """`llm_blender.Blender` with a ranker.

    Args:
        ranker: folder in llm-blender's layout, or an id on the hub.
        base: folder of the base model; None: the one that the ranker's configuration names, or the ranker's own.
        device: "cpu" or "cuda".
        half: in float16 on a GPU, which is the library's default; else in float32.
    """
    with importing_libraries():
        from llm_blender import Blender
        from llm_blender.blender.config import BlenderConfig
    quiet_libraries()
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.ERROR)  # on the root logger the library warns that it has no fuser, and of weights to come
    settings = {"fp16": half} | ({} if base is None else {"model_name": str(base)})
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of settings that a ranker's configuration may well leave out
            blender = Blender(BlenderConfig(device=device, use_tqdm=False))
            blender.loadranker(str(ranker), device=device, **settings)
    finally:
        root.setLevel(level)
    return blender


def library_encoder(blender: object) -> PairEncoder:
    """Encoder of pairs with the library's tokenizer and lengths."""
    # The library itself encodes nothing but batches, and cuts by what a batch holds.
    config, tokenizer = blender.ranker_config, blender.ranker_tokenizer
    return PairEncoder(
        tokenizer.backend_tokenizer, tokenizer.sep_token, config.source_maxlength, config.candidate_maxlength
    )


def library_logit(blender: object, source: Tokens, left: Tokens, right: Tokens) -> float:
    """The logit of one order as the library computes it at batch size 1."""
    import torch

    device = blender.ranker_config.device
    inputs = []
    for ids in (source, left, right):
        inputs += [torch.tensor([ids], device=device), torch.ones(1, len(ids), dtype=torch.long, device=device)]
    with torch.inference_mode():
        # Where compare_conversations ends: it takes texts alone, and would encode them again.
        return blender.ranker._forward(*inputs)["logits"].item()


class LibraryNetwork:
    """The library's network on batches of ours, for backbones whose attention is not rewritten here."""

    def __init__(self, ranker: object) -> None:
        self.ranker = ranker

    def __call__(self, ids: "torch.Tensor", lengths: Sequence[int], positions: "torch.Tensor") -> "torch.Tensor":
        """Logits [rows], see `pairrm.Network`."""
        import torch

        pad = torch.nn.utils.rnn.pad_sequence
        mask = pad([torch.ones_like(row) for row in ids.split(lengths)], batch_first=True)
        padded = pad(ids.split(lengths), batch_first=True)
        hidden = self.ranker.pretrained_model(input_ids=padded, attention_mask=mask).last_hidden_state
        states = hidden.gather(1, positions[:, :, None].expand(-1, -1, hidden.shape[-1]))
        # The last step of _forward, which takes padded parts in place of rows and markers.
        left, right, _ = self.ranker.reduce(*states.unbind(dim=1))
        return (left - right).mean(dim=-1)


class LibraryEngine:
    """`compare_conversations` itself, for labels as others published them.

    Its logits depend on the batch size and on which pairs share a batch; pairs are read in the order of the input. Text
    that makes the library stop, its own markers, is made harmless as by `PairEncoder.neutral`.

    Args:
        blender: as `load_blender` gives it.
        batch_size: pairs that it reads at a time.
        name: see `pairrm.PairRM`.
        version: see `pairrm.PairRM`.
    """

    def __init__(self, blender: object, batch_size: int, name: str, version: str) -> None:
        self.blender, self.batch_size, self.name, self.version = blender, batch_size, name, version

    def compare(self, pairs: Sequence[Pair]) -> Verdicts:
        """Compare the responses of every pair, in both orders."""
        encoder = library_encoder(self.blender)
        encoder.encode(pairs)  # for its counts
        neutral = functools.lru_cache(maxsize=None)(encoder.neutral)
        first, second = (
            [
                [{**turn, "content": neutral(turn["content"])} for turn in conversation(pair.prompt, response)]
                for pair, response in ((pair, getattr(pair, name)) for pair in pairs)
            ]
            for name in ("response_1", "response_2")
        )
        orders = np.zeros((len(pairs), 2), dtype=np.float32)
        for column, (mode, sign) in enumerate((("[A,B]", 1), ("[B,A]", -1))):
            if pairs:  # the library does not take none
                logits = self.blender.compare_conversations(first, second, self.batch_size, True, mode)
                orders[:, column] = sign * logits
        return Verdicts(orders, {**encoder.counts(), "batch_size": self.batch_size})


class RankEngine(LibraryEngine):
    """`rank` over all candidates of a prompt, `batch_size` prompts at a time, as the paper's authors measured boundaries.

    A candidate's score is its mean logit against every other one of the prompt, its own source's included, in both orders;
    a pair's logit is the difference of two scores. The prompt is its last turn alone. Scores depend on the batches.
    """

    def compare(self, pairs: Sequence[Pair]) -> Verdicts:
        """Compare two candidates of one source with two of another, prompt by prompt: (1, 1), (1, 2), (2, 1), (2, 2).

        Raises:
            BadInput: the pairs are no such fours.
        """
        fours = [pairs[start : start + 4] for start in range(0, len(pairs), 4)]
        for four in fours:
            ones, others = ([getattr(pair, name) for pair in four] for name in ("response_1", "response_2"))
            if ones != [ones[0]] * 2 + [ones[-1]] * 2 or others != [others[0], others[-1]] * 2:
                raise BadInput(
                    "the engine rank compares two candidates of one source with two of another, as the boundary does; "
                    "label pairs with another engine"
                )
        neutral = functools.lru_cache(maxsize=None)(library_encoder(self.blender).neutral)
        prompts = [neutral(four[0].prompt[-1]["content"]) for four in fours]
        candidates = [
            [neutral(text) for text in (a.response_1, c.response_1, a.response_2, b.response_2)] for a, b, c, _ in fours
        ]
        orders = np.zeros((len(pairs), 2), dtype=np.float32)
        if fours:  # the library does not take none
            scores = self.blender.rank(prompts, candidates, return_scores=True, batch_size=self.batch_size)
            orders[:] = (scores[:, :2, None] - scores[:, None, 2:]).reshape(-1, 1)
        return Verdicts(orders, {"batch_size": self.batch_size})


def load_with_library(
    ranker: str | os.PathLike, base: str | os.PathLike | None, name: str, version: str, device: str, options: Options
) -> PairRM | LibraryEngine:
    """Load a ranker with llm-blender's loader; the arguments are those of `load_blender` and `PairRM`.

    Raises:
        BadInput: llm-blender cannot load it.
    """
    from dpo_stages.preferences.pairrm.attention import is_supported
    from dpo_stages.preferences.pairrm.network import RankerNetwork, bfloat16_network

    own = {"llm-blender": LibraryEngine, "rank": RankEngine}.get(options.engine)
    try:
        blender = load_blender(ranker, base, device, half=own is not None)
    except Exception as error:  # whatever a library as old as this lets through
        reason = (str(error).strip().splitlines() or [""])[0]
        raise BadInput(f"llm-blender cannot load {name} ({type(error).__name__}: {reason:.200})") from error
    if own:
        return own(blender, options.batch_size, name, version)
    module, config = blender.ranker, blender.ranker.config.to_dict()  # the backbone's configuration
    supported = is_supported(config)
    network = RankerNetwork(module.state_dict(), config) if supported else LibraryNetwork(module)
    coarse = None
    if options.precision == "bfloat16":
        if not supported:
            raise BadInput(f"{name} is no DeBERTa-v3, for which alone --precision bfloat16 is made; leave it away")
        coarse = bfloat16_network(module.state_dict(), config, device)
    encoder = library_encoder(blender)
    return PairRM(network, encoder, lambda *order: library_logit(blender, *order), name, version, device, coarse)
