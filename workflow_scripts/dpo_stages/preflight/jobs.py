"""The jobs that a run is about to do, as far as what they need can be looked at beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Jobs:
    """Jobs of a run.

    Attributes:
        wildcards: by the name of the rule, those of each job.
    """

    wildcards: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)

    def of(self, *rules: str) -> list[Mapping[str, str]]:
        """The wildcards of the jobs of these rules."""
        return [wildcards for rule in rules for wildcards in self.wildcards.get(rule, ())]
