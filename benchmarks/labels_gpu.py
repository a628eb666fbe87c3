"""Labelling on a GPU: pairs and tokens per second, share of the chip's bfloat16 peak, beside llm-blender's float16.

    make gpu-check PARTS=ranker

A ranker of PairRM's shape (DeBERTa-v3-large) with random weights, on pairs of mixed length. With the package flashdeberta in
the environment (`envs/run pairrm -m pip install flashdeberta`; nothing here needs it), its kernels take the same batches.
Without a GPU the script runs on the CPU, which says nothing about speed: `--layers 2 --pairs 8` shows that it works. Prints
Markdown. "bfloat16 alone" is the network without scoring close calls again in float32, whose number hangs on the logits.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from gpu.card import peak_of
from labels import LARGE, by_library, mixed_pairs, write_ranker

from dpo_stages.preferences.pairrm.scoring import PairRM

STUDY = 61_135  # UltraFeedback's pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=24, help="of the ranker (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=1024, help="that are scored (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=3, help="the best counts (default: %(default)s)")
    parser.add_argument("--peak", type=float, help="bfloat16 operations a second, for a GPU that is not known here")
    arguments = parser.parse_args()

    import torch

    from dpo_stages.preferences.pairrm.llm_blender import LibraryNetwork, library_encoder, library_logit, load_blender
    from dpo_stages.preferences.pairrm.network import RankerNetwork

    device = "cuda" if torch.cuda.is_available() else "cpu"
    chip = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    peak = arguments.peak or peak_of(chip)
    shape = {**LARGE, "num_hidden_layers": arguments.layers}
    pairs = mixed_pairs(arguments.pairs, seed=0, prompt=(10, 500), response=(10, 400))
    with tempfile.TemporaryDirectory() as folder:
        write_ranker(Path(folder) / "ranker", shape)
        blender = load_blender(Path(folder) / "ranker", None, device)
        library = load_blender(Path(folder) / "ranker", None, device, half=True)
    weights, config = blender.ranker.state_dict(), blender.ranker.config.to_dict()

    def ours(network: Callable) -> Callable[[], np.ndarray]:
        encoder = library_encoder(blender)
        model = PairRM(network, encoder, lambda *order: library_logit(blender, *order), "benchmark", "", device)
        return lambda: model.compare(pairs).logits

    name = "float16" if device == "cuda" else "float32"
    programs = {
        f"llm-blender, {name}, batch 4 (its default)": lambda: by_library(library, pairs, 4),
        f"llm-blender, {name}, batch 32": lambda: by_library(library, pairs, 32),
        "ours, float32": ours(RankerNetwork(weights, config)),
        "ours, bfloat16 alone": ours(RankerNetwork(weights, config, torch.bfloat16)),
    }
    if flash := flash_ranker(blender, config, device):
        programs["flashdeberta, bfloat16, in our batches"] = ours(LibraryNetwork(flash))
    rows = library_encoder(blender).encode(pairs)
    lengths = np.repeat([sum(map(len, row)) for row in rows], 2)  # both orders
    operations = sum(useful_operations(int(length), shape) for length in lengths)
    seconds, logits = {}, {}
    for program, score in programs.items():
        score()  # kernels are chosen and compiled, projections computed
        runs = []
        for _ in range(arguments.repetitions):
            started = time.monotonic()
            logits[program] = score()  # on this machine's side, so that the GPU has finished
            runs.append(time.monotonic() - started)
        seconds[program] = min(runs)

    print(f"\n{chip}, {arguments.layers} layers, {len(pairs)} pairs, {lengths.sum()} tokens in both orders\n")
    print("| | pairs/s | tokens/s | share of bfloat16 peak | x | largest Δ | other labels | 61,135 pairs |")
    print("|---|---|---|---|---|---|---|---|")
    default, exact = next(iter(programs)), logits["ours, float32"]
    for program, value in seconds.items():
        share = f"{operations / value / peak:.0%}" if peak else "–"
        flips = int(((logits[program] > 0) != (exact > 0)).sum())
        print(
            f"| {program} | {len(pairs) / value:.1f} | {lengths.sum() / value:,.0f} | {share} "
            f"| {seconds[default] / value:.1f} | {np.abs(logits[program] - exact).max():.1e} | {flips} "
            f"| {STUDY / len(pairs) * value / 60:.1f} min |"
        )
    print(f"\nΔ and labels against ours in float32; the mean logit is {np.abs(exact).mean():.2g} either way.")
    if not flash:
        print("flashdeberta is not installed here, or there is no GPU for it.")


def useful_operations(length: int, shape: dict) -> float:
    """Operations of a forward pass over one row: dense layers, attention and its two position terms; no padding."""
    width = shape["hidden_size"]
    distances = min(2 * length - 1, 2 * shape["position_buckets"])
    dense = 2 * (4 * width**2 + 2 * width * shape["intermediate_size"])
    return length * shape["num_hidden_layers"] * (dense + 4 * length * width + 4 * distances * width)


def flash_ranker(blender: object, config: dict, device: str) -> object | None:
    """llm-blender's ranker with flashdeberta's backbone in bfloat16, on the same weights; None where there is none."""
    import copy

    import torch
    from transformers import DebertaV2Config

    if device != "cuda":
        return None
    try:
        from flashdeberta import FlashDebertaV2Model
    except ImportError:
        return None
    backbone = FlashDebertaV2Model(DebertaV2Config(**config))
    backbone.load_state_dict(blender.ranker.pretrained_model.state_dict())
    ranker = copy.deepcopy(blender.ranker)
    ranker.pretrained_model = backbone
    return ranker.to(device, torch.bfloat16).eval()


if __name__ == "__main__":
    main()
