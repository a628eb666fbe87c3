"""The path grammar: names of policies say where they came from.

    policy  = model[@seed] "/sft"                      iteration 0
            | model[@seed] "/" method "/" history      iteration k
    history = source ("-" source)*                     k names of candidate sources, oldest first

Built-in sources: `off`, the preference data; `on`, samples of the initial policy; `mixNN`, NN % of the prompts with the
initial policy's samples and the others with the preference data; `blend`, the same with a share that follows from the
initial policy's boundary score; `auto`, what that score recommends if it is decided. A history with `auto` in it is no policy
of its own: it stands for the fixed history that was chosen, see `Policy.resolved`.

`zephyr-7b/dpo/off-on` was trained on off-policy candidates, then on its own samples. Its initial policy, which is also
its reference model, is `zephyr-7b/dpo/off`, whose initial policy is `zephyr-7b/sft`. A seed other than the study's
first rides on the model's name, so that the recursion carries it along: `zephyr-7b@1/dpo/off-on`.

This module is the only place that takes a policy's name apart. Standard library only.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dpo_stages.core.errors import BadInput

NAME = r"[a-z0-9][a-z0-9._-]*"  # of models, methods, data sets and preference models
SOURCE = r"[a-z0-9][a-z0-9._]*"  # of candidate sources: no dash, which joins them
SFT = "sft"
OFF, ON, AUTO, BLEND = "off", "on", "auto", "blend"
RECOMMENDED = (
    "recommended"  # what a boundary score recommends, decided or not; stands for a source where one is undecided
)
MIX = r"mix[1-9][0-9]?"  # and the percentage
RESERVED = rf"{OFF}|{ON}|{AUTO}|{BLEND}|{RECOMMENDED}|mix[0-9]+"

_POLICY = re.compile(
    rf"(?P<model>{NAME})(?:@(?P<seed>[0-9]+))?/(?:{SFT}|(?P<method>{NAME})/(?P<history>{SOURCE}(?:-{SOURCE})*))"
)


@dataclass(frozen=True)
class Policy:
    """One policy of the study.

    Attributes:
        model: name of the base model.
        seed: the seed where it is not the study's first, else None.
        method: name of the preference optimisation method; None for the SFT policy.
        history: candidate sources of the iterations, oldest first; empty for the SFT policy.
    """

    model: str
    seed: int | None = None
    method: str | None = None
    history: tuple[str, ...] = ()

    @classmethod
    def parse(cls, name: str) -> "Policy":
        """Take a policy's name apart.

        Raises:
            BadInput: `name` does not follow the grammar.
        """
        match = _POLICY.fullmatch(name)
        if match is None:
            raise BadInput(
                f"'{name}' is not the name of a policy; write MODEL/sft or MODEL/METHOD/SOURCE-SOURCE, "
                "as in zephyr-7b/dpo/off-on"
            )
        seed = None if match["seed"] is None else int(match["seed"])
        history = tuple(match["history"].split("-")) if match["history"] else ()
        return cls(match["model"], seed, match["method"], history)

    def __str__(self) -> str:
        history = "-".join(self.history)
        return f"{self.seeded_model}/{self.method}/{history}" if self.history else f"{self.seeded_model}/{SFT}"

    @property
    def seeded_model(self) -> str:
        """The model's name with the seed that rides on it."""
        return self.model if self.seed is None else f"{self.model}@{self.seed}"

    @property
    def unseeded(self) -> str:
        """The name without the seed that rides on it: what the same policy of every replication is called."""
        return str(replace(self, seed=None))

    @property
    def iteration(self) -> int:
        """Number of preference optimisation iterations; 0 for the SFT policy."""
        return len(self.history)

    @property
    def initial(self) -> "Policy":
        """The policy that training started from, and its reference model.

        Raises:
            ValueError: an SFT policy has none.
        """
        if not self.history:
            raise ValueError(f"{self} is iteration 0 and has no initial policy")
        history = self.history[:-1]
        return replace(self, method=self.method if history else None, history=history)

    @property
    def source(self) -> str:
        """The candidate source of the last iteration.

        Raises:
            ValueError: an SFT policy has none.
        """
        if not self.history:
            raise ValueError(f"{self} is iteration 0 and was not trained on candidates")
        return self.history[-1]

    @property
    def chooses(self) -> bool:
        """Whether its history leaves a source to a decision."""
        return AUTO in self.history

    @property
    def lineage(self) -> "list[Policy]":
        """The policies that it was trained from and itself, oldest first, without the SFT policy."""
        return [*self.initial.lineage, self] if self.history else []

    def resolved(self, decide: "Callable[[Policy], str]") -> "Policy":
        """The policy of the fixed history that this one stands for.

        Args:
            decide: gives the source that was chosen for a policy to train on next; asked for the resolved initial policy
                of each `auto`, oldest first.
        """
        if not self.chooses:
            return self
        initial = self.initial.resolved(decide)
        return initial.then(self.method, decide(initial) if self.source == AUTO else self.source)

    def then(self, method: str, source: str) -> "Policy":
        """The policy that comes of one more iteration with `source`."""
        return replace(self, method=method, history=(*self.history, source))


def combinations(sources: Sequence[str], iterations: int) -> list[tuple[str, ...]]:
    """All histories of 1 to `iterations` sources, shorter ones first, as the paper's full-combination experiments."""
    lengths = range(1, iterations + 1)
    return [history for length in lengths for history in itertools.product(sources, repeat=length)]


def is_mixed(source: str) -> bool:
    """Whether a candidate source takes some prompts from the initial policy's samples and the others from the data."""
    return source == BLEND or re.fullmatch(MIX, source) is not None


def one_of(names: Iterable[str]) -> str:
    """A pattern that matches any of the names, and nothing if there is none."""
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True)) or r"(?!)"


class Patterns:
    """What a study's names look like, as Snakemake's wildcards need it.

    Attributes:
        model: of a base model, with or without a seed.
        method: of a preference optimisation method.
        source: of a fixed candidate source; `auto` is none.
        history: of fixed sources.
        undecided: of a history that stands for a fixed one.
        policy: of a policy whose history is fixed.
        opinion: of a preference model that gives a second opinion.
        origin: of what candidates come from: a data set, or the policy that was sampled.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.model = self.seeded(config["models"])
        self.method = one_of(config["methods"])
        self.source = rf"(?:{one_of([OFF, ON, BLEND, *config['sources']])}|{MIX})"
        self.history = rf"{self.source}(?:-{self.source})*"
        self.undecided = rf"(?:{self.source}-|{AUTO}-)*{AUTO}(?:-{self.source}|-{AUTO})*"
        self.policy = rf"{self.model}/(?:{SFT}|(?:{self.method})/{self.history})"
        self.opinion = one_of(config["boundary"]["second_opinions"])
        self.origin = rf"(?:{one_of(config['datasets'])}|{self.policy})"

    @staticmethod
    def seeded(models: Iterable[str]) -> str:
        """A pattern of these models, with or without a seed."""
        return rf"(?:{one_of(models)})(?:@[0-9]+)?"
