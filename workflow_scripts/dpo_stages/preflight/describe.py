"""A study of one's own in words: what its models and data are, and how long it takes."""

import copy
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dpo_stages.models.architectures import architecture_of, is_reward_model
from dpo_stages.preflight.data import Data, devices, fitting_batch
from dpo_stages.preflight.jobs import Jobs
from dpo_stages.preflight.models import config_of, context_of, network
from dpo_stages.study import data_sets
from dpo_stages.study.memory import GIB, training_bytes, weight_bytes
from dpo_stages.study.policies import OFF, of_data
from dpo_stages.study.presets import study_of_ones_own
from dpo_stages.study.schedule import critical_path, dry_run, read_jobs
from dpo_stages.study.settings import check_settings
from dpo_stages.study.study import Study

FEW_STEPS = 8
"""An epoch of fewer learns little, and takes a smaller batch instead."""

CHARACTERS = 4.0
"""Of a token, roughly."""

SHOWN = 60
"""Characters of the first pair."""


class Description:
    """A short file and what it stands for.

    Args:
        written: what the file says.
        workflow: the workflow's folder.

    Attributes:
        study: the study that it comes to.
        method: by which its policies are trained.
        data: what its data sets hold.

    Raises:
        BadInput: it is not valid.
    """

    def __init__(self, written: Mapping[str, Any], workflow: Path) -> None:
        import yaml

        def read(name: str) -> dict:
            return yaml.safe_load((workflow / name).read_text(encoding="utf-8"))

        config = study_of_ones_own(copy.deepcopy(dict(written)), read)
        schema = read("rules/config.schema.yaml")
        check_settings(config, schema)
        self._rank = schema["$defs"]["optimisation"]["lora"]["properties"]["rank"]["default"]
        self.study = Study(config, lambda initial: "")
        self.method = next(iter(config["methods"]))
        self.data = Data(self.study, everything(self.study), largest=math.inf)
        self._data = {
            (name, split): self.data.adapted.get((name, split))
            for name in data_sets.names(self.study)
            for split in config["datasets"][name]["splits"]
        }

    @property
    def fitted(self) -> dict[str, Any]:
        """Settings besides the preset's, where those do not fit: a batch that gives an epoch enough steps, and lengths that the
        models read."""
        config, rows, found = self.study.config, self._fewest_rows, {}
        settings = config["methods"][self.method]
        fitting, at_once = fitting_batch(rows, devices(self.study), settings["per_device_batch_size"])
        if rows and math.ceil(rows / settings["batch_size"]) < FEW_STEPS and fitting < settings["batch_size"]:
            found["methods"] = {self.method: {"batch_size": fitting, "per_device_batch_size": at_once}}
        contexts = [context_of(Path(model["path"])) for model in config["models"].values()]
        shortest = min(filter(None, contexts), default=math.inf)
        if config["max_length"] > shortest:
            found["max_length"] = shortest
        if config["sampling"]["max_length"] > shortest:
            found["sampling"] = {"max_length": shortest}
        return found

    def sentences(self) -> Iterator[str]:
        """What was understood."""
        for name, model in self.study.config["models"].items():
            yield f"Model {name}: {self._model(model)}. {self._memory(model['parameters'])}."
        several = len(data_sets.names(self.study)) > 1
        for (name, split), data in self._data.items():
            if data:
                yield f"Data{f' {name}' if several else ''}, {split}: {self._pairs(data)}."
                if split == "train":
                    yield self._first(data.rows[0])
        yield f"Preference model {self.study.config['preference_model']}: {self._preference_model()}."

    def comments(self) -> dict[str, str]:
        """The same behind the keys of the file."""
        models = self.study.config["models"]
        found = {
            "preset": f"settings that fit together: presets/{self.study.config['preset']}.yaml of the workflow",
            "models": "; ".join(self._model(model) for model in models.values()),
            "preference_model": self._preference_model(),
        }
        if said := [self._pairs(data) for (_, split), data in self._data.items() if split == "train" and data]:
            found["preference_data"] = "; ".join(said)
        fitted = self.fitted
        if "methods" in fitted:
            steps = math.ceil(self._fewest_rows / fitted["methods"][self.method]["batch_size"])
            found["methods"] = f"an epoch of {steps} steps"
        for key in {"max_length", "sampling"} & fitted.keys():
            found[key] = "tokens that the model reads"
        return found

    def sized(self) -> dict[str, Any]:
        """The whole configuration with the sizes of the data, by which jobs are timed."""
        config = copy.deepcopy(dict(self.study.config))
        read = {key: found for key, found in self._data.items() if found}
        for name, split in read:
            config["datasets"][name]["rows"] |= {split: len(read[name, split].rows)}
        if rows := [row for found in read.values() for row in found.rows]:
            prompts = sum(len(turn["content"]) for row in rows for turn in row["prompt"])
            responses = sum(len(row[key]) for row in rows for key in ("response_1", "response_2"))
            speeds, longest = config["resources"]["speeds"], config["sampling"]["max_new_tokens"]
            speeds["prompt_tokens"] = max(1.0, prompts / len(rows) / CHARACTERS)
            speeds["response_tokens"] = max(1.0, min(longest, responses / len(rows) / 2 / CHARACTERS))
        return config

    @property
    def _fewest_rows(self) -> int:
        """Training rows of the data set that has the fewest; 0 where none was read."""
        return min((len(data.rows) for (_, split), data in self._data.items() if split == "train" and data), default=0)

    def _model(self, model: Mapping[str, Any]) -> str:
        size = (
            f"{model['parameters'] / 1e9:.2g} billion"
            if model["parameters"] >= 1e9
            else f"{model['parameters'] / 1e6:.4g} million"
        )
        config = config_of(Path(model["path"]))
        if not config:
            return f"{size} parameters by its name, from the hub"
        context = context_of(Path(model["path"]))
        kind = architecture_of(config) or config.get("model_type", "?")
        return f"{kind}, {size} parameters" + (f", reads {context:,} tokens" if context else "")

    def _memory(self, parameters: float) -> str:
        """What it takes to train it, all of it or with LoRA."""
        method = self.study.config["methods"][self.method]
        tokens = 2 * method["per_device_batch_size"] * self.study.config["max_length"]

        def takes(rank: int | None) -> str:
            if self.study.gpu:
                return f"{training_bytes(parameters, tokens, rank) / GIB:.0f} GB"
            return f"{weight_bytes(parameters, rank, mixed=False) / GIB:.1f} GB"

        where = "of a GPU's memory" if self.study.gpu else "of memory and what its activations need"
        if method["lora"]:
            return f"Training it with LoRA takes about {takes(method['lora']['rank'])} {where}"
        return f"Training it takes about {takes(None)} {where}, with `lora: {{}}` in methods.{self.method} {takes(self._rank)}"

    def _pairs(self, data: Any) -> str:
        dropped = ", ".join(f"{number} {reason}" for reason, number in data.dropped.items() if number)
        forms = f", read as {'; '.join(data.forms)}" if data.forms else ""
        unread = f"; columns that nothing reads: {', '.join(data.unused)}" if data.unused else ""
        return (
            f"{len(data.rows)} pairs of {data.records} records{forms}"
            + (f" (dropped: {dropped})" if dropped else "")
            + unread
        )

    def _first(self, row: Mapping[str, Any]) -> str:
        asked = " / ".join(f"{turn['role']}: {_short(turn['content'])}" for turn in row["prompt"])
        chosen, rejected = (
            ("response_1", "response_2") if row["original_preference"] != 2 else ("response_2", "response_1")
        )
        return f"The first pair: {asked}\n    chosen: {_short(row[chosen])}\n    rejected: {_short(row[rejected])}"

    def _preference_model(self) -> str:
        model = self.study.config["preference_models"][self.study.config["preference_model"]]
        if model["path"] is None:
            return "made or asked by the workflow"
        config = config_of(network(Path(model["path"])))
        if not config:
            return f"{model['path']}, from the hub"
        if config.get("ranker_type"):
            return "a ranker"
        network_is = architecture_of(config) or "?"
        return f"a reward model, {network_is}" if is_reward_model(config) else f"{network_is}, which is no reward model"


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= SHOWN else f"{words[:SHOWN]}…"


def everything(study: Study) -> Jobs:
    """The jobs that look at what the study takes from elsewhere, sample, and train."""
    config = study.config
    models, names = list(config["models"]), data_sets.names(study)
    sets = [(data, split) for data in names for split in config["datasets"][data]["splits"]]
    if config["datasets"][study.instruction_set]["adapter"] == "local":
        sets.append((study.instruction_set, "evaluation"))
    method = next(iter(config["methods"]))
    asked = [config["preference_model"]] if config["preference_models"][config["preference_model"]]["path"] else []
    return Jobs(
        {
            "fetch_model": [{"base": model} for model in models],
            "fetch_preference_model": [{"name": name} for name in asked],
            "sample_candidates": [{"sampled": f"{model}/sft"} for model in models],
            "prepare_dataset": [{"dataset": name, "split": split} for name, split in sets],
            "train_policy": [
                {"model": model, "method": method, "history": of_data(OFF, data)}
                for model in models
                for data in (None, *config["other_data"])
            ],
        }
    )


def how_long(workflow: Path, configuration: str, target: str) -> int:
    """Seconds that a file is expected to take, with as many jobs at a time as can run."""
    return critical_path(read_jobs(dry_run(workflow / "Snakefile", configuration, [target])))


def time_of(seconds: float) -> str:
    """In the unit that reads best."""
    return f"{max(1, round(seconds / 60))} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
