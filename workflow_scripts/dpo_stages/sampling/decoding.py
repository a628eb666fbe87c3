"""How responses are drawn: settings and their flags. Standard library only."""

import argparse
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from dpo_stages.core.errors import BadInput

DTYPES = ("float32", "bfloat16")
GPU_MEMORY_UTILIZATION = 0.9


@dataclass(frozen=True)
class Decoding:
    """What decides a response besides the policy, the prompt and the seed.

    Attributes:
        temperature: of the softmax; 0 takes the likeliest token.
        top_p: a token is drawn from this share of the probability; 1 is all.
        top_k: a token is drawn from so many likeliest ones; 0 is all.
        max_new_tokens: longest response.
        max_length: longest prompt and response together; a model with a shorter context keeps to its own.
        dtype: of weights and activations.

    Raises:
        BadInput: a value is out of its range; the message names the flag.
    """

    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int
    max_length: int
    dtype: str

    def __post_init__(self) -> None:
        ranges = {
            "temperature": (0 <= self.temperature <= 100, "a number from 0 to 100"),
            "top_p": (0 < self.top_p <= 1, "a number above 0, at most 1"),
            "top_k": (self.top_k >= 0, "a whole number, 0 or more"),
            "max_new_tokens": (self.max_new_tokens >= 1, "a whole number above 0"),
            "max_length": (self.max_length >= 2, "a whole number above 1"),
        }
        for name, (fits, expected) in ranges.items():
            if not fits:
                raise BadInput(f"--{name.replace('_', '-')} is {getattr(self, name)}; expected is {expected}")

    def as_flags(self) -> list[str]:
        """The flags that `add_decoding_flags` reads this from."""
        return [word for name, value in asdict(self).items() for word in (f"--{name.replace('_', '-')}", str(value))]


def add_decoding_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `decoding_from` reads."""
    parser.add_argument("--temperature", type=float, required=True, help="of the softmax; 0 takes the likeliest token")
    parser.add_argument(
        "--top-p", type=float, required=True, help="sample from this share of the probability; 1 is all"
    )
    parser.add_argument("--top-k", type=int, required=True, help="sample from the K likeliest tokens; 0 is all")
    parser.add_argument("--max-new-tokens", type=int, required=True, metavar="TOKENS", help="longest response")
    parser.add_argument(
        "--max-length",
        type=int,
        required=True,
        metavar="TOKENS",
        help="longest prompt and response together; a model with a shorter context keeps to its own",
    )
    parser.add_argument("--dtype", required=True, choices=DTYPES, help="of weights and activations")


def decoding_from(arguments: argparse.Namespace) -> Decoding:
    """What a program's flags say."""
    return Decoding(**{field.name: getattr(arguments, field.name) for field in fields(Decoding)})


def add_sampler_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a program that samples: the policy, the decoder, the seed and the machine."""
    parser.add_argument("--policy", type=Path, required=True, metavar="MANIFEST", help="the policy that is sampled")
    add_decoding_flags(parser)
    parser.add_argument("--seed", type=int, required=True, help="the study's; prompts and candidates add their own")
    parser.add_argument(
        "--gpu-memory-utilization",
        type=float,
        default=GPU_MEMORY_UTILIZATION,
        metavar="SHARE",
        help="share of each GPU's memory that is taken (default: %(default)s); changes no result, no use on a CPU",
    )


def check_sampler_flags(arguments: argparse.Namespace) -> None:
    """Check what can be checked before anything is loaded.

    Raises:
        BadInput: a flag is out of its range.
    """
    decoding_from(arguments)
    if arguments.seed < 0:
        raise BadInput(f"--seed is {arguments.seed}; expected is a whole number, 0 or more")
    if not 0 < arguments.gpu_memory_utilization <= 1:
        raise BadInput(
            f"--gpu-memory-utilization is {arguments.gpu_memory_utilization}; expected is a number above 0, at most 1"
        )
