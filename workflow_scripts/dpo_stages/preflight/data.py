"""Local data, read as the workflow will read them: whether every record can be used, shared prompts, steps of training."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

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
        devices = max(1, config["resources"]["training_gpus"]) if self.study.gpu else 1
        for key, settings, data in trained:
            if settings["batch_size"] % (at_once := settings["per_device_batch_size"] * devices):
                yield (
                    f"{key}.batch_size is {settings['batch_size']}, which is no multiple of the {at_once} rows that {devices} "
                    f"device{'s' if devices > 1 else ''} hold{'' if devices > 1 else 's'} at a time; change it, or {key}.per_device_batch_size"
                )
            rows = len(self.of(data, "train"))
            steps = math.ceil(math.ceil(rows / settings["batch_size"]) * settings["epochs"])
            warming = math.ceil(settings["warmup_ratio"] * steps)
            if rows and steps <= min(warming, 1):
                yield (
                    f"{key}: {rows} rows in batches of {settings['batch_size']} are one step, whose learning rate is 0 "
                    f"(warmup_ratio is {settings['warmup_ratio']:g}), so that nothing would be learnt; set {key}.batch_size to "
                    f"{fitting_batch(rows)}, or give more rows"
                )

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


def fitting_batch(rows: int) -> int:
    """An effective batch that gives an epoch of about a dozen steps, a power of two."""
    return 2 ** max(0, math.floor(math.log2(max(1, rows / 12))))
