"""The path grammar: names of policies say where they came from.

    policy    = model suffix* [@seed] "/sft" [asked]                       iteration 0
              | model suffix* [@seed] "/" method "/" history [replicate] [asked]
                                                                           iteration k
    suffix    = "+" name                                                   of preference data, then preference model
    history   = source ("-" source)*                                       k candidate sources, oldest first
    replicate = "~" number                                                 from 2; the first run has none
    asked     = "+" name without dashes                                    of one of `other_data`
    source    = built-in ["." name] | name, both without dashes            the first of one of `other_data`

Built-in sources: `off`, the preference data; `on`, samples of the initial policy; `mixNN`, NN % of the prompts with the
initial policy's samples and the others with the preference data; `blend`, the same with a share that follows from the
initial policy's boundary score; `pool`, the best and the worst of a prompt's own and off-policy candidates together; `pick`, a
prompt's off-policy pair where its chosen response beats the initial policy's best, else the own pair; `auto`, what that score recommends if it is decided.
`off.old`, `on.old`, `mix50.old` and so on are the same of another data set, `old`: its pairs, own samples for its prompts. A history with `auto` in it is no policy
of its own: it stands for the fixed history that was chosen, see `Policy.resolved`.

`zephyr-7b/dpo/off-on` was trained on off-policy candidates, then on its own samples. Its initial policy, which is also
its reference model, is `zephyr-7b/dpo/off`, whose initial policy is `zephyr-7b/sft`. A seed other than the study's
first rides on the model's name, so that the recursion carries it along: `zephyr-7b@1/dpo/off-on`.

So do the suffixes of preference data and preference models that have one (`suffix` in the configuration), wherever a file
hangs on them. A trained policy hangs on both: `zephyr-7b+judge/dpo/off`. An SFT policy hangs on neither, and is trained
and evaluated once; its samples hang on the data, whose prompts it is asked, and labels, comparisons and all that follows
from these on both. `names.py` knows a study's.

`zephyr-7b/dpo/off-on~2` is a second run of `zephyr-7b/dpo/off-on`: trained again from the same initial policy on the same
pairs, and evaluated again. Nothing is trained from it or sampled for training, so that no further iteration carries it on.

`zephyr-7b/sft+old`, behind the history, is a policy where it is asked the prompts of another data set than the preference data:
its samples, their labels, its boundary score against the responses of that data set.

This module is the only place that takes a policy's name apart. Standard library only.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from dpo_stages.core.errors import BadInput

NAME = r"[a-z0-9][a-z0-9._-]*"  # of models, methods, data sets and preference models
SOURCE = r"[a-z0-9][a-z0-9._]*"  # of candidate sources: no dash, which joins them
SFT = "sft"
OFF, ON, AUTO, BLEND = "off", "on", "auto", "blend"
POOL, PICK = "pool", "pick"
RECOMMENDED = "recommended"  # stands for the source that an undecided boundary score recommends nevertheless
MIX = r"mix[1-9][0-9]?"  # and the percentage
OF_DATA = rf"(?:{OFF}|{ON}|{BLEND}|{POOL}|{PICK}|{MIX})"  # sources that there are of every data set
RESERVED = rf"{OFF}|{ON}|{AUTO}|{BLEND}|{POOL}|{PICK}|{RECOMMENDED}|mix[0-9]+|{OF_DATA}\..*"

_POLICY = re.compile(
    rf"(?P<model>{NAME})(?P<suffixes>(?:\+{NAME})*)(?:@(?P<seed>[0-9]+))?"
    rf"/(?:{SFT}|(?P<method>{NAME})/(?P<history>{SOURCE}(?:-{SOURCE})*)(?:~(?P<replicate>[2-9]|[1-9][0-9]+))?)"
    rf"(?:\+(?P<asked>{SOURCE}))?"
)


@dataclass(frozen=True)
class Policy:
    """One policy of the study.

    Attributes:
        model: name of the base model.
        seed: the seed where it is not the study's first, else None.
        method: name of the preference optimisation method; None for the SFT policy.
        history: candidate sources of the iterations, oldest first; empty for the SFT policy.
        suffixes: of the preference data and of the preference model, where those that it hangs on have one.
        replicate: number of the run of its last training where it is not the first, else None.
        asked: name of the data set whose prompts it is asked where these are not those of the preference data, else None.
    """

    model: str
    seed: int | None = None
    method: str | None = None
    history: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    replicate: int | None = None
    asked: str | None = None

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
        seed, replicate = (None if match[key] is None else int(match[key]) for key in ("seed", "replicate"))
        history = tuple(match["history"].split("-")) if match["history"] else ()
        suffixes = tuple(match["suffixes"].split("+")[1:])
        return cls(match["model"], seed, match["method"], history, suffixes, replicate, match["asked"])

    def __str__(self) -> str:
        history = "-".join(self.history) + ("" if self.replicate is None else f"~{self.replicate}")
        model = suffixed(self.model, self.suffixes) + ("" if self.seed is None else f"@{self.seed}")
        name = f"{model}/{self.method}/{history}" if self.history else f"{model}/{SFT}"
        return suffixed(name, [self.asked] if self.asked else [])

    @property
    def plain(self) -> str:
        """The name without what rides on the model's, and the first run's: the same in every run and with any data."""
        return str(replace(self, seed=None, suffixes=(), replicate=None, asked=None))

    @property
    def itself(self) -> "Policy":
        """The policy and not what is measured of it: an SFT policy hangs on neither preference data nor model."""
        return replace(self, suffixes=self.suffixes if self.history else (), asked=None)

    @property
    def iteration(self) -> int:
        """Number of preference optimisation iterations; 0 for the SFT policy."""
        return len(self.history)

    @property
    def initial(self) -> "Policy":
        """The policy that training started from, and its reference model; one and the same for all replicates.

        Raises:
            ValueError: an SFT policy has none.
        """
        if not self.history:
            raise ValueError(f"{self} is iteration 0 and has no initial policy")
        history = self.history[:-1]
        return replace(self, method=self.method if history else None, history=history, replicate=None, asked=None)

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
        fixed = initial.then(self.method, decide(initial) if self.source == AUTO else self.source)
        return replace(fixed, replicate=self.replicate)

    def then(self, method: str, source: str) -> "Policy":
        """The policy that comes of one more iteration with `source`, in its first run."""
        return replace(self, method=method, history=(*self.history, source), replicate=None, asked=None)

    def arm(self, source: str) -> "Policy":
        """The policy trained on `source` beside this one: from the same initial policy, in the replicate of that number."""
        return replace(self.initial.then(self.method, source), replicate=self.replicate)

    @property
    def taught(self) -> "Policy":
        """Its initial policy, asked the prompts of the data set that its last source is of."""
        return self.initial.asking(data_of(self.source)[1])

    def asking(self, data: str | None) -> "Policy":
        """The policy where it is asked the prompts of another data set; itself if that is None."""
        return replace(self, asked=data) if data else self


def combinations(sources: Sequence[str], iterations: int) -> list[tuple[str, ...]]:
    """All histories of 1 to `iterations` sources, shorter ones first, as the paper's full-combination experiments."""
    lengths = range(1, iterations + 1)
    return [history for length in lengths for history in itertools.product(sources, repeat=length)]


def of_data(source: str, data: str | None) -> str:
    """A built-in source as that of another data set; as it is if that is None."""
    return f"{source}.{data}" if data else source


def data_of(source: str) -> tuple[str, str | None]:
    """A source without the data set in its name, and that data set; None where it names none."""
    found = re.fullmatch(rf"({OF_DATA})\.(.+)", source)
    return (found[1], found[2]) if found else (source, None)


def is_mixed(source: str) -> bool:
    """Whether a candidate source takes candidates from the initial policy's samples and from the data."""
    source, _ = data_of(source)
    return source == BLEND or is_pooled(source) or re.fullmatch(MIX, source) is not None


def parts(source: str) -> list[str]:
    """The sources that a mixture takes candidates from: off-policy, then own ones; of any other source itself."""
    return [of_data(one, data_of(source)[1]) for one in (OFF, ON)] if is_mixed(source) else [source]


def is_pooled(source: str) -> bool:
    """Whether it compares the two with each other, prompt by prompt."""
    return data_of(source)[0] in (POOL, PICK)


def suffixed(name: str, suffixes: Iterable[str]) -> str:
    """A name with suffixes behind it."""
    return name + "".join(f"+{suffix}" for suffix in suffixes)
