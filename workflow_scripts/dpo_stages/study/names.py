"""The names of a study: what they look like as wildcards, and what hangs on its preference data and preference model.

Those of the configuration have no suffixes: `sources: {llama: llama-3-8b-instruct/sft}`. Standard library only.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from dpo_stages.study.policies import AUTO, OF_DATA, OFF, ON, SFT, Policy, suffixed

AGAINST = "/against/"
"""Between the two arms in the name of a comparison, see `arms.py`."""


def one_of(names: Iterable[str]) -> str:
    """A pattern that matches any of the names, and nothing if there is none."""
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True)) or r"(?!)"


class Names:
    """Names with the suffixes of the preference data and the preference model that a study has chosen.

    Args:
        config: the configuration, checked and completed.

    Attributes:
        data: the suffix of the preference data, as a tuple that is empty where it has none.
        preference_model: the same of the preference model.
        both: both, in the order in which they stand in names.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.data = self._suffix(config["datasets"][config["preference_data"]])
        self.preference_model = self._suffix(config["preference_models"][config["preference_model"]])
        self.both = (*self.data, *self.preference_model)

    @staticmethod
    def _suffix(entry: Mapping[str, Any]) -> tuple[str, ...]:
        return (entry["suffix"],) if entry["suffix"] else ()

    @staticmethod
    def is_dataset(origin: str) -> bool:
        """Whether candidates come from a data set (off-policy) or from a policy (sampled)."""
        return "/" not in origin

    def labelled(self, origin: str) -> str:
        """What the configuration calls a policy or data set, as its candidates with the labels of the preference model."""
        if self.is_dataset(origin):
            return suffixed(origin, self.preference_model)
        return str(replace(Policy.parse(origin), suffixes=self.both))

    def origin(self, labelled: str) -> str:
        """The same without labels: candidates alone."""
        if self.is_dataset(labelled):
            return labelled.removesuffix(suffixed("", self.preference_model))
        return self.sampled(labelled)

    def sampled(self, initial: str | Policy) -> str:
        """A policy where its samples are meant."""
        policy = Policy.parse(str(initial))
        return str(policy if policy.history else replace(policy, suffixes=self.data))

    def label(self, model: str) -> str:
        """A base model's name in tables and figures, with the suffixes of what these hang on."""
        label = self.config["models"][model]["label"]
        return f"{label} ({', '.join(self.both)})" if self.both else label


class Patterns:
    """What a study's names look like, as Snakemake's wildcards need it.

    They match the names of the preference data and the preference model that the study has chosen, no others': nothing is
    ever made with one under the name of another.

    Attributes:
        model: of a base model with the study's suffixes, with or without a seed.
        method: of a preference optimisation method.
        data: of what stands behind a built-in source that is of one of `other_data`, which of others nothing does.
        source: of a fixed candidate source; `auto` is none.
        history: of fixed sources, of any of the study's replicates.
        racing: of fixed sources, of any of the orders that race.
        run: of what tells a replicate from the first run, which has nothing.
        undecided: of a history that stands for a fixed one, the same.
        policy: of a policy whose history is fixed, in any replicate, and of its evaluation.
        sampled: of the same in its first run where its samples are meant, which hang on the preference data.
        initial: of the same as what is trained from, whose labels and boundary score hang on data and preference model.
        measured: of the same, asked the prompts of any data set of the study.
        arms: of two arms of an initial policy that are compared, see `arms.py`.
        opinion: of a preference model that gives a second opinion.
        origin: of what candidates come from: a data set, or the policy that was sampled.
        labelled: of the same with the labels of the preference model.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        names, models, datasets = Names(config), config["models"], one_of(config["datasets"])
        self.model = self.seeded(models, names.both)
        self.method = one_of(config["methods"])
        other = one_of(config["other_data"])
        self.data, asked = rf"(?:\.(?:{other}))?", rf"(?:\+(?:{other}))?"
        self.source = rf"(?:{OF_DATA}{self.data}|{one_of(config['sources'])})"
        fixed = rf"{self.source}(?:-{self.source})*"
        self.run = self._runs(config["replicates"])
        self.history = fixed + self.run
        self.racing = fixed + self._runs(config["race"]["orders"])
        self.undecided = rf"(?:{self.source}-|{AUTO}-)*{AUTO}(?:-{self.source}|-{AUTO})*{self.run}"
        trained = rf"{self.model}/(?:{self.method})/{fixed}"
        self.policy = rf"(?:{self.seeded(models)}/{SFT}|{trained}{self.run})"
        self.sampled = rf"(?:{self.seeded(models, names.data)}/{SFT}|{trained}){asked}"
        self.initial = rf"(?:{self.model}/{SFT}|{trained})"
        self.measured = self.initial + asked
        beside = (
            rf"{self.model}/(?:{self.method})/(?:{self.source}-)*{OFF}\.(?:{other}){self.run}{AGAINST}{ON}{self.data}"
        )
        self.arms = rf"(?:{self.initial}/(?:{self.method}){self.run}|{beside})"
        self.opinion = one_of(config["boundary"]["second_opinions"])
        self.origin = rf"(?:{datasets}|{self.sampled})"
        self.labelled = rf"(?:(?:{datasets}){re.escape(suffixed('', names.preference_model))}|{self.measured})"

    @staticmethod
    def _runs(number: int) -> str:
        """A pattern of what stands behind a history in the second run and those after it; in the first there is nothing."""
        return rf"(?:~(?:{one_of(map(str, range(2, number + 1)))}))?"

    @staticmethod
    def seeded(models: Iterable[str], suffixes: Iterable[str] = ()) -> str:
        """A pattern of these models with these suffixes, with or without a seed."""
        return rf"(?:{one_of(models)}){re.escape(suffixed('', suffixes))}(?:@[0-9]+)?"
