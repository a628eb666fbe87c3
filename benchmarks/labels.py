"""Labelling beside llm-blender's own `compare_conversations`: the same weights, the same pairs, one process.

    OMP_NUM_THREADS=1 envs/run pairrm benchmarks/labels.py

Two rankers with random weights: one of PairRM's shape (DeBERTa-v3-large: 24 layers, 1,024 wide) on 16 pairs of mixed
length, short ones and ones as long as config.yaml expects of UltraFeedback, and a tiny one on 2,000 short pairs.
Programs take turns, so that whatever else runs on the machine disturbs them alike; seconds are CPU seconds of the best
repetition. "bfloat16 alone" is the network in bfloat16 without scoring close calls again in float32, whose number hangs
on the model's logits. Prints Markdown.
"""

import argparse
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from dpo_stages.preferences.pairrm.scoring import PairRM  # noqa: E402
from dpo_stages.preferences.pairrm.tokens import MARKERS, conversation  # noqa: E402
from dpo_stages.preferences.pairs import Pair  # noqa: E402

WORDS = [
    "the",
    "a",
    "fox",
    "eats",
    "honey",
    "in",
    "caves",
    "and",
    "it",
    "is",
    "red",
    "or",
    "blue",
    "but",
    "not",
    "green",
    "so",
    "we",
    "dig",
    "here",
    "now",
]
LARGE = {"hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096, "position_buckets": 256}
TINY = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 256, "position_buckets": 32}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=24, help="of the large ranker (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=2, help="of each program (default: %(default)s)")
    parser.add_argument("--only", choices=["short", "long", "tiny"], help="one of the three")
    arguments = parser.parse_args()
    large, tiny = {**LARGE, "num_hidden_layers": arguments.layers}, {**TINY, "num_hidden_layers": 3}
    cases = {
        "short": ("DeBERTa-v3-large's shape, short texts", large, 16, 0, (10, 300), (10, 200)),
        "long": ("DeBERTa-v3-large's shape, long texts", large, 16, 0, (50, 700), (150, 800)),  # mean 246 and 388
        "tiny": ("tiny", tiny, 2000, 1, (5, 40), (3, 60)),
    }
    for case, (name, shape, number, seed, prompt, response) in cases.items():
        if arguments.only in (None, case):
            side_by_side(name, shape, mixed_pairs(number, seed, prompt, response), arguments)


def mixed_pairs(number: int, seed: int, prompt: tuple[int, int], response: tuple[int, int]) -> list[Pair]:
    """Pairs of random words, lengths between the two ends, evenly on a logarithmic scale."""
    draw = random.Random(seed)

    def text(lengths: tuple[int, int]) -> str:
        low, high = np.log(lengths)
        return " ".join(draw.choice(WORDS) for _ in range(round(np.exp(draw.uniform(low, high)))))

    return [Pair([{"role": "user", "content": text(prompt)}], text(response), text(response)) for _ in range(number)]


def write_ranker(folder: Path, shape: dict) -> None:
    """Write a ranker with random weights in llm-blender's layout."""
    import torch
    from transformers import DebertaV2Config, DebertaV2Model

    from dpo_stages.demo.ranker import Ranker, RankerSettings, save_ranker, train_tokenizer
    from dpo_stages.preferences.pairrm.tokens import PairEncoder

    tokenizer = train_tokenizer([" ".join(WORDS), "USER: Assistant: <Response 1>: conversation turn"], 120)
    pieces = len(tokenizer)
    tokenizer.add_tokens(list(MARKERS))
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=pieces,
        max_position_embeddings=512,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        position_biased_input=False,
        type_vocab_size=0,
        pad_token_id=tokenizer.pad_token_id,
        **shape,
    )
    backbone = DebertaV2Model(config)
    backbone.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    encoder = PairEncoder(tokenizer.backend_tokenizer, tokenizer.sep_token, 1224, 412)
    unused = dict.fromkeys(("layers", "hidden", "heads", "vocabulary", "learning_rate", "epochs", "batch_size"), 1)
    settings = RankerSettings(**unused, source_length=1224, candidate_length=412, seed=0)
    ranker = Ranker(backbone, encoder, tokenizer)
    with torch.no_grad():
        for parameter, weight in ranker.named_parameters():
            if "LayerNorm" not in parameter:  # a head that tells pairs apart, layers that do not make all tokens alike
                weight.normal_(0, (1.7 if "head" in parameter else 0.64) / shape["hidden_size"] ** 0.5)
    save_ranker(ranker, settings, folder)


def by_library(blender: object, pairs: Sequence[Pair], batch_size: int) -> np.ndarray:
    """Mean of both orders by the library, which returns their sum."""
    first, second = (
        [conversation(pair.prompt, getattr(pair, name)) for pair in pairs] for name in ("response_1", "response_2")
    )
    return blender.compare_conversations(first, second, batch_size=batch_size, return_logits=True) / 2


def side_by_side(name: str, shape: dict, pairs: list[Pair], arguments: argparse.Namespace) -> None:
    import torch

    from dpo_stages.preferences.pairrm.llm_blender import library_encoder, library_logit, load_blender
    from dpo_stages.preferences.pairrm.network import RankerNetwork

    with tempfile.TemporaryDirectory() as folder:
        write_ranker(Path(folder) / "ranker", shape)
        blender = load_blender(Path(folder) / "ranker", None, "cpu")
    weights, config = blender.ranker.state_dict(), blender.ranker.config.to_dict()

    def ours(dense: torch.dtype) -> Callable[[], np.ndarray]:
        network, encoder = RankerNetwork(weights, config, dense), library_encoder(blender)
        model = PairRM(network, encoder, lambda *order: library_logit(blender, *order), name, "", "cpu")
        model.compare(pairs[:1])  # projections of distances are computed once
        return lambda: model.compare(pairs).logits

    programs = {
        "llm-blender, batch 4 (its default)": lambda: by_library(blender, pairs, 4),
        "llm-blender, batch 1": lambda: by_library(blender, pairs, 1),
        "ours, float32": ours(torch.float32),
        "ours, bfloat16 alone": ours(torch.bfloat16),
    }
    seconds, logits = {program: [] for program in programs}, {}
    for _ in range(arguments.repetitions):
        for program, score in programs.items():
            started = time.process_time()
            logits[program] = score()
            seconds[program].append(time.process_time() - started)

    tokens = sum(2 * sum(map(len, row)) for row in library_encoder(blender).encode(pairs))
    print(f"\n{name}, {shape['num_hidden_layers']} layers, {len(pairs)} pairs, {tokens} tokens in both orders\n")
    print(
        "| | CPU s | pairs/s | x batch 4 | x batch 1 | largest Δ of batch 1 | other labels |\n|---|---|---|---|---|---|---|"
    )
    best = {program: min(values) for program, values in seconds.items()}
    default, single = list(programs)[:2]
    for program, value in best.items():
        difference = np.abs(logits[program] - logits[single]).max()
        flips = ((logits[program] > 0) != (logits[single] > 0)).sum()
        print(
            f"| {program} | {value:.2f} | {len(pairs) / value:.2f} | {best[default] / value:.2f} "
            f"| {best[single] / value:.2f} | {difference:.1e} | {flips} of {len(pairs)} |"
        )
    size = np.abs(logits[single]).mean()
    print(
        f"\nMean logit {size:.2g} either way. Peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB.",
        flush=True,
    )


if __name__ == "__main__":
    main()
