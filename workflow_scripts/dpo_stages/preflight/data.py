"""Local data, read as the workflow will read them: whether every record can be used, shared prompts, steps of training."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table
from dpo_stages.data.adapters import Adapted, adapt, keep_subset
from dpo_stages.data.local_files import read_local
from dpo_stages.data.schemas import PROMPTS
from dpo_stages.data.shared_prompts import too_many, words
from dpo_stages.preflight.jobs import Jobs
from dpo_stages.study import data_sets, own_labels, paths
from dpo_stages.study.policies import Policy
from dpo_stages.study.study import Study

LARGEST = 200_000_000
"""Bytes of a file that is read beforehand; reading a larger one takes longer than a look may."""


class Data:
    """The data sets of a run.

    Args:
        study: the study.
        jobs: what is about to run.
        largest: bytes of a file that is read.

    Attributes:
        reasons: why files cannot be read, one sentence each.
        adapted: by data set and split, what became of the local files that are about to be read.
        rows: their rows.
    """

    def __init__(self, study: Study, jobs: Jobs, largest: float = LARGEST) -> None:
        self.study, self.jobs, self.largest = study, jobs, largest
        self.reasons: list[str] = []
        self.adapted: dict[tuple[str, str], Adapted] = {}
        self.rows: dict[tuple[str, str], list[dict]] = {}
        for wildcards in jobs.of("prepare_dataset"):
            self._read(wildcards["dataset"], wildcards["split"])

    def _read(self, name: str, split: str) -> None:
        settings = self.study.config["datasets"][name]
        file = Path(settings["splits"].get(split, split))
        if settings["adapter"] != "local" or not file.exists() or _size(file) > self.largest:
            return  # the hub's; to be made yet, or missing, which is said elsewhere; too large
        seed = self.study.config["seeds"][0]
        try:
            about = (settings["kind"], seed, str(file), settings["duplicates"], settings["columns"])
            adapted = adapt(read_local(file), "local", *about)
        except BadInput as reason:
            self.reasons.append(str(reason))
        else:
            self.adapted[name, split] = adapted = keep_subset(adapted, settings["limit"], seed)
            self.rows[name, split] = adapted.rows

    def of(self, name: str, split: str) -> list[dict]:
        """Rows of a set, about to be read or made already; none where it is not there yet."""
        if (name, split) not in self.rows and (made := Path(paths.dataset(name, split))).is_file():
            self.rows[name, split] = read_table(made, PROMPTS).to_pylist()
        return self.rows.get((name, split), [])

    def shared_prompts(self) -> Iterator[str]:
        """Sets that policies are measured on and that training sees too much of."""
        allowed = self.study.config["shared_prompts"]
        if not self.jobs.of("prepare_dataset", "sample_candidates", "sample_arm", "generate_evaluation_outputs"):
            return
        for data in data_sets.names(self.study):
            known = {words(row["prompt"]) for row in self.of(data, "train")}
            for name, split in ((data, "test"), (self.study.instruction_set, "evaluation")):
                rows = self.of(name, split)
                shared = [row for row in rows if words(row["prompt"]) in known]
                if len(shared) > allowed * len(rows):
                    first = repr(words(shared[0]["prompt"])[:80])
                    yield too_many(shared, rows, self._file(name, split), self._file(data, "train"), first, allowed)

    def labels(self) -> Iterator[str]:
        """Pairs whose own labels are wanted, and that have none."""
        names, labels = data_sets.names(self.study), self.study.config["labels"]
        for (data, split), adapted in self.adapted.items():
            unlabelled = data in names and all(row["original_preference"] is None for row in adapted.rows)
            if labels != own_labels.MODEL and unlabelled:
                yield (
                    f"{self._file(data, split)} has no pair with a label of its own, which `labels: {labels}` asks for; with "
                    "`labels: model` the preference model labels them"
                )

    def steps(self) -> Iterator[str]:
        """Trainings whose batches cannot be made, or that would have no step with a learning rate above zero."""
        config = self.study.config
        trained = [
            (f"methods.{method}", config["methods"][method], data)
            for method, data in dict.fromkeys(
                (job["method"], data)
                for job in self.jobs.of("train_policy", "train_arm", "adopt_choice")
                for data in self._trained_on(job)
            )
        ]
        chats = dict.fromkeys(
            config["models"][Policy.parse(job["model"] + "/sft").model]["sft"] for job in self.jobs.of("train_sft")
        )
        trained += [("sft", config["sft"], chat) for chat in chats if not config["sft"]["packing"]]
        for key, settings, data in trained:
            if reason := why_no_steps(key, settings, len(self.of(data, "train")), devices(self.study)):
                yield reason

    def _trained_on(self, job: Mapping[str, str]) -> list[str]:
        """The data set whose prompts a training is about; all where that is decided later."""
        if "history" not in job:
            return data_sets.names(self.study)
        return [self.study.preference_data(Policy.parse(f"{job['model']}/{job['method']}/{job['history']}").taught)]

    def _file(self, name: str, split: str) -> str:
        return self.study.config["datasets"][name]["splits"].get(split, split)


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    return path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.iterdir())


def devices(study: Study) -> int:
    """How many devices train a policy together."""
    return max(1, study.config["resources"]["training_gpus"]) if study.gpu else 1


def why_no_steps(key: str, settings: Mapping[str, Any], rows: int, on: int) -> str | None:
    """Why a training would have no batches, or no step with a learning rate above zero, and what to do; None as a rule.

    Args:
        key: of its settings.
        settings: of the training.
        rows: number of its rows; 0 if that is not known.
        on: number of devices.
    """
    batch, at_once = settings["batch_size"], settings["per_device_batch_size"]
    if rows and learns_nothing(settings, rows, batch):
        fitting, fitting_at_once = fitting_batch(rows, on, at_once)
        remedy = "give more rows"
        if not learns_nothing(settings, rows, fitting):
            smaller = f" and {key}.per_device_batch_size to {fitting_at_once}" if fitting_at_once != at_once else ""
            remedy = f"set {key}.batch_size to {fitting}{smaller}, or {remedy}"
        return (
            f"{key}: {f'{rows} rows' if rows > 1 else 'one row'} in batches of {batch} {'are' if rows > 1 else 'is'} one step, whose learning rate is 0 "
            f"(warmup_ratio is {settings['warmup_ratio']:g}), so that nothing would be learnt; {remedy}"
        )
    if batch % (at_once * on):
        hold = f"{on} device{'s hold' if on > 1 else ' holds'}"
        return (
            f"{key}.batch_size is {batch}, which is no multiple of the {at_once * on} rows that {hold} at a time; change it, or "
            f"{key}.per_device_batch_size"
        )
    return None


def learns_nothing(settings: Mapping[str, Any], rows: int, batch: int) -> bool:
    """Whether a training has a single step, which only warms up."""
    steps = math.ceil(math.ceil(rows / batch) * settings["epochs"])
    return steps <= min(math.ceil(settings["warmup_ratio"] * steps), 1)


def fitting_batch(rows: int, on: int = 1, at_once: int = 1) -> tuple[int, int]:
    """An effective batch that gives an epoch of about a dozen steps, and of it the rows that a device has at a time.

    Args:
        rows: of the training.
        on: number of devices, which have the same number of rows each.
        at_once: rows that a device has at a time, if that fits.
    """
    each = max(1, 2 ** max(0, math.floor(math.log2(max(1, rows / 12)))) // on)
    return each * on, math.gcd(each, at_once)
