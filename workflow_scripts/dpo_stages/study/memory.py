"""Memory that a training takes, from the number of parameters and the length of its rows. Standard library only.

What a device holds, in bytes, with N parameters, of which LoRA trains M beside frozen ones:

                        all weights      LoRA, mixed precision   LoRA, float32
    weights             4 N              2 N                     4 N
    gradients           4 N              4 M                     4 M
    AdamW's moments     8 N              8 M                     8 M
    LoRA's matrices                      4 M                     4 M
    rounded for products, in mixed precision   2 N

and activations: layers are computed again in the backward pass, so that of each there is what it was given, one float32 of the
width a token, and of one at a time everything. Sharded over several GPUs, all but the activations is divided among them.
"""

from collections.abc import Iterable, Sequence

FLOAT32, BFLOAT16 = 4, 2

ADAMW = 4 * FLOAT32
"""Bytes of a weight that is trained: itself, its gradient and both moments."""

WITHIN_A_LAYER = 60
"""Bytes that a layer keeps of a token for each unit of its width while its gradient is computed, in bfloat16: the inputs of its
seven products, of which those in the middle are about three and a half times as wide, and of its nonlinearities."""

LOGITS = 3 * 4096 * 32768 * BFLOAT16
"""Bytes of the block of logits that TRL computes at a time, and of it in float32 while it is looked at."""

OVERHEAD = 1.5e9
"""Bytes of CUDA's context and of what an allocator cannot give out again."""

ROOMY = 0.85
"""Share of a GPU's memory up to which an estimate is trusted to fit."""

GIB = 2**30
"""Bytes in one of the gigabytes that a GPU is sold with."""


def layers_times_width(parameters: float) -> float:
    """Number of layers times their width, which what is kept of a token and LoRA's matrices grow with.

    N is about 12 layers * width^2, and models get deeper as they get wider, so that the product goes with N^(2/3). The factor is
    that of Qwen2.5-1.5B (28 x 1,536), Qwen3-4B (36 x 2,560), Llama-3-8B (32 x 4,096) and Qwen2.5-14B (48 x 5,120), which are
    within a quarter of it.
    """
    return parameters ** (2 / 3) / 30


def lora_parameters(parameters: float, rank: int) -> float:
    """Weights that LoRA trains beside all linear layers: rank times inputs and outputs of each.

    Of a layer these are together about 21 times its width: 8 in attention, less what queries share of keys and values, and 3 x 4.5
    in the rest. With rank 16 Llama-3-8B has 42 million.
    """
    return 21 * rank * layers_times_width(parameters)


def trained_parameters(parameters: float, rank: int | None) -> float:
    """Weights that the optimiser moves: all, or those of LoRA."""
    return parameters if rank is None else lora_parameters(parameters, rank)


def weight_bytes(parameters: float, rank: int | None, mixed: bool) -> float:
    """Bytes of weights, gradients and optimiser.

    Args:
        parameters: of the model.
        rank: of LoRA beside all linear layers; None if all weights are trained.
        mixed: whether products are in bfloat16.
    """
    trained = trained_parameters(parameters, rank)
    frozen = 0 if rank is None else parameters
    return (ADAMW + (BFLOAT16 if mixed else 0)) * trained + (BFLOAT16 if mixed else FLOAT32) * frozen


def activation_bytes(parameters: float, tokens: float) -> float:
    """Bytes of what the forward pass leaves for the backward pass on a GPU that has that many tokens at a time.

    Args:
        parameters: of the model.
        tokens: padding included; a preference pair has two rows.
    """
    width = 128 * (parameters / (12 * 128**2)) ** (1 / 3)  # of a model whose layers are 1/128 of its width
    return tokens * (FLOAT32 * layers_times_width(parameters) + WITHIN_A_LAYER * width) + LOGITS


def training_bytes(parameters: float, tokens: float, rank: int | None, gpus: int = 1) -> float:
    """Bytes of memory that a training in mixed precision takes on each of its GPUs.

    Args:
        parameters: of the model.
        tokens: that a GPU has at a time, padding included.
        rank: of LoRA beside all linear layers; None if all weights are trained.
        gpus: that share weights and optimiser.
    """
    return weight_bytes(parameters, rank, mixed=True) / gpus + activation_bytes(parameters, tokens) + OVERHEAD


def what_fits(sizes: Iterable[float], memories: Sequence[float], tokens: float, rank: int) -> list[str]:
    """Lines of a Markdown table: what each size of a model takes to train, and on which GPUs that fits.

    Args:
        sizes: numbers of parameters.
        memories: of GPUs, in GB as they are sold.
        tokens: that a GPU has at a time.
        rank: of LoRA, beside the training of all weights.
    """
    largest = memories[-1]
    heads = ["model", "trained", "GB", *(f"one of {memory} GB" for memory in memories), f"four of {largest} GB"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for size in sizes:
        for one, words in ((None, "all weights"), (rank, f"LoRA, rank {rank}")):
            alone, shared = (training_bytes(size, tokens, one, gpus) / GIB for gpus in (1, 4))
            marks = [*(_mark(alone / memory) for memory in memories), _mark(shared / largest)]
            lines.append(f"| {' | '.join([f'{size / 1e9:g}B', words, f'{alone:.0f}', *marks])} |")
    return lines


def _mark(share: float) -> str:
    return "yes" if share <= ROOMY else "tight" if share <= 1 else "no"
