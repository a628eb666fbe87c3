"""What preference models have in common: their files and kinds, how one is run, and what may be asked of it."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dpo_stages.core.errors import BadInput
from dpo_stages.data.thoughts import HIDE, add_thoughts_flag

if TYPE_CHECKING:
    from dpo_stages.preferences.pairs import Pair, Verdicts


RANKER = "ranker"
BASE = "base"
REWARD_MODEL = "model"
TOKENIZER = "tokenizer.json"
RANKER_KIND, REWARD_MODEL_KIND, JUDGE_KIND = "preference model", "reward model", "judge"
LIBRARY_ENGINES = ("llm-blender", "rank")
SMALL_FILES = ("*.json", "*.model", "*.txt", "*.jinja")
SAFETENSORS = "*.safetensors"
WEIGHTS = ("*.bin", SAFETENSORS)  # of rankers; PairRM itself is published as a pickle


@dataclass(frozen=True)
class Options:
    """How a preference model is run, and what it is shown.

    Attributes:
        engine: of a ranker. "batched": our batching, in which a label depends on its pair alone; "llm-blender": the
            library's own `compare_conversations`, whose labels depend on the batches; "rank": its `rank` over all
            candidates of a prompt, as the paper's authors measured boundaries, for comparisons of two sources alone.
        batch_size: of the library's own engines.
        precision: of the network; see `pairrm` for what bfloat16 is held to.
        cache: folder of a judge's answers.
        thoughts: whether it is shown what a response thinks before it answers, see `data/thoughts`.
    """

    engine: str = "batched"
    batch_size: int | None = None
    precision: str = "float32"
    cache: Path | None = None
    thoughts: str = HIDE

    def as_flags(self) -> list[str]:
        """The flags that `options_from` reads this from."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def add_preference_model_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags --preference-model and those that `options_from` reads."""
    parser.add_argument(
        "--preference-model",
        required=True,
        metavar="MODEL",
        help="manifest.json, folder of a ranker in llm-blender's layout or of a reward model, or id on the hub",
    )
    add_options_flags(parser)


def add_options_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `options_from` reads."""
    add = parser.add_argument
    add(
        "--engine",
        choices=["batched", *LIBRARY_ENGINES],
        default=Options.engine,
        help="of a ranker: our batching, the library's own compare_conversations, or its rank (default: %(default)s)",
    )
    add(
        "--batch-size",
        type=int,
        metavar="N",
        help="pairs, or prompts of the engine rank, that the library reads at a time",
    )
    add(
        "--precision",
        choices=["float32", "bfloat16"],
        default=Options.precision,
        help="of the network; bfloat16 is tried out on the pairs first (default: %(default)s)",
    )
    add("--cache", type=Path, metavar="DIR", help="folder of a judge's answers, of this run alone")
    add_thoughts_flag(parser)


def options_from(arguments: argparse.Namespace) -> Options:
    """What a program's flags say.

    Raises:
        BadInput: flags that do not belong together.
    """
    if (arguments.engine in LIBRARY_ENGINES) != (arguments.batch_size is not None):
        raise BadInput(
            "--engine llm-blender (or rank) and --batch-size belong together; its labels depend on the batches"
        )
    if arguments.batch_size is not None and (arguments.batch_size < 1 or arguments.precision != Options.precision):
        raise BadInput(f"--engine {arguments.engine} wants a --batch-size of 1 or more, and no --precision")
    return Options(arguments.engine, arguments.batch_size, arguments.precision, arguments.cache, arguments.thoughts)


class PreferenceModel(Protocol):
    """Anything that says which of two responses to a prompt is better.

    Attributes:
        name: what ledgers and annotations call it.
        version: what tells two versions of it apart.
    """

    name: str
    version: str

    def compare(self, pairs: "Sequence[Pair]") -> "Verdicts":
        """Compare the responses of every pair, in both orders if the order could matter; in input order."""
