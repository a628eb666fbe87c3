"""Where the files of a study are, relative to its folder. Standard library only."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dpo_stages.study.policies import Policy

STAGE_OF = {
    "candidates": "sampling",
    "preferences": "labelling",
    "scores": "labelling",
    "comparisons": "comparison",
    "second_opinions": "comparison",
    "reference_logps": "reference",
    "evaluations": "evaluation",
}
"""The wide stage whose jobs make a kind of outputs, results/{kind}/…"""


def base_model(model: str) -> str:
    """A base model as it was fetched or made."""
    return f"results/models/{model}/manifest.json"


def policy(name: str | Policy) -> str:
    """A policy, by its own name or that of what is measured of it: the manifest of its folder."""
    return f"results/policies/{Policy.parse(str(name)).itself}/manifest.json"


def training_log(name: str | Policy) -> str:
    """What a policy's training wrote down, step by step."""
    return f"results/policies/{name}/training_log.jsonl"


def policy_of_log(log: str) -> str:
    """The policy whose `training_log` that is."""
    return log.removeprefix("results/policies/").removesuffix("/training_log.jsonl")


def preference_model(name: str) -> str:
    """A preference model: the manifest of its folder."""
    return f"results/preference_models/{name}/manifest.json"


def dataset(name: str, split: str) -> str:
    """A data set as this workflow reads it."""
    return f"results/datasets/{name}/{split}.parquet"


POOLED = "pooled"
"""Stands for the training prompts with a policy's own candidates and the off-policy ones together."""


def scores(labelled: str, split: str) -> str:
    """What the preference model says of every two candidates of a prompt of a split, or of `POOLED`."""
    return f"results/scores/{labelled}/{split}.parquet"


def reference_logps(initial: str | Policy, source: str) -> str:
    """Log-probabilities of a source's pairs under the policy that trains on them."""
    return f"results/reference_logps/{initial}/{source}.parquet"


def boundary(name: str | Policy) -> str:
    """The boundary score of a policy."""
    return f"results/boundary/{name}.json"


def race(initial: str | Policy) -> str:
    """The race of candidate sources from a policy."""
    return f"results/races/{initial}.json"


def evaluation(judged: str | Policy, file: str) -> str:
    """A file of an evaluation, such as `win_rate.json`."""
    return f"results/evaluations/{judged}/{file}"


class Shards:
    """Wide stages run as several jobs, each on a shard of the rows.

    Args:
        numbers: of shards, by stage.
        whole: kinds of outputs that one job makes nevertheless.
    """

    def __init__(self, numbers: Mapping[str, int], whole: Collection[str] = ()) -> None:
        self.numbers, self.whole = numbers, whole

    def of(self, kind: str) -> int:
        """How many jobs make one output of this kind."""
        return 1 if kind in self.whole else self.numbers[STAGE_OF[kind]]

    def output(self, kind: str, path: str) -> str:
        """What a job of a wide stage writes: the file itself, or one shard of it. `path` is relative to results/KIND/."""
        if self.of(kind) == 1:
            return f"results/{kind}/{path}"
        name, suffix = path.rsplit(".", 1)
        return f"results/shards/{kind}/{name}/{{scatteritem}}.{suffix}"

    def files(self, wildcards: Any, gather: Any) -> list[str]:
        """The shards of results/{kind}/{name}.{suffix}, in order; `gather` is Snakemake's."""
        pattern = f"results/shards/{wildcards.kind}/{wildcards.name}/{{scatteritem}}.{wildcards.suffix}"
        made = getattr(gather, STAGE_OF[wildcards.kind])(pattern)
        return sorted(made, key=lambda path: int(Path(path).stem.split("-of-")[0]))

    def log(self, kind: str, path: str) -> str:
        """The log or benchmark file of such a job."""
        name, suffix = path.rsplit(".", 1)
        return path if self.of(kind) == 1 else f"{name}/{{scatteritem}}.{suffix}"
