"""The configuration as flags of the programs, in its own words. Standard library only."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from dpo_stages.study import data_sets, held_out, judges, own_labels
from dpo_stages.study.groups import BEST_WORST
from dpo_stages.study.paths import STAGE_OF
from dpo_stages.study.policies import PICK, Policy, data_of
from dpo_stages.study.study import Study

_OPTIMISATION = ("learning_rate", "epochs", "batch_size", "per_device_batch_size", "warmup_ratio", "scheduler")
_SFT = ("packing", "loss_on_prompts", "empty_system_turn")
_LOSS = ("loss", "beta", "delta", "sft_weight", "label_smoothing")


def as_flags(settings: Mapping[str, Any], keys: Iterable[str] | None = None) -> str:
    """`--key value` of these settings, those without a value left out."""
    chosen = {key: settings[key] for key in (settings if keys is None else keys)}
    return " ".join(f"--{key.replace('_', '-')} {value}" for key, value in chosen.items() if value is not None)


def given(**values: Iterable[str]) -> list[str]:
    """Flags with several values each, as words; those without any are left out."""
    named = ((f"--{name.replace('_', '-')}", [*words]) for name, words in values.items())
    return [word for flag, words in named if words for word in (flag, *words)]


def labelled(section: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> list[str]:
    """`name=label` arguments."""
    return [f"{name}={section[name]['label']}" for name in names]


def pretraining(settings: Mapping[str, Any] | None) -> str:
    """Flags of a ranker's pre-training, if there is one."""
    if settings is None:
        return ""
    return f"--pretraining {settings['texts']} " + " ".join(
        f"--pretraining-{key.replace('_', '-')} {settings[key]}" for key in ("epochs", "learning_rate")
    )


def lora(settings: Mapping[str, Any] | None) -> str:
    """Flags of what is trained beside frozen weights, if that is all."""
    if settings is None:
        return ""
    targets = [settings["targets"]] if isinstance(settings["targets"], str) else settings["targets"]
    given = {f"lora_{key}": settings[key] for key in ("rank", "alpha", "dropout")}
    return as_flags({**given, "lora_targets": " ".join(targets)})


class Flags:
    """Flags of a study's programs; those that depend on a job are input functions.

    Args:
        study: the study.
    """

    def __init__(self, study: Study) -> None:
        self.study, self.config = study, study.config

    def written_into_template(self, wildcards: Any) -> list[str]:
        """Flags of what is written into a base model's chat template, shell words each."""
        model = self.config["models"][wildcards.base]
        arguments = json.dumps(model["chat_template_arguments"]) if model["chat_template_arguments"] else None
        given = {"--chat-template-arguments": arguments, "--date": model["date"]}
        return [word for flag, value in given.items() if value is not None for word in (flag, value)]

    def columns(self, wildcards: Any) -> list[str]:
        """The flag of what a data set calls its columns, shell words each; nothing where they have their own names."""
        columns = self.config["datasets"][wildcards.dataset]["columns"]
        return given(columns=[f"{name}={column}" for name, column in columns.items()])

    def models(self, names: Iterable[str]) -> list[str]:
        """`name=label` arguments of base models."""
        return [f"{name}={self.study.names.label(name)}" for name in names]

    def origins(self, policies: Iterable[Policy]) -> list[str]:
        """`POLICY=SOURCE` arguments of trained policies: whose candidates one was trained on; mixtures are left out."""
        of = {policy: self.study.origins(policy.initial, policy.source) for policy in policies}
        return [f"{policy}={origins[0]}" for policy, origins in of.items() if len(origins) == 1]

    def optimisation(self, section: Mapping[str, Any]) -> str:
        """Flags of the optimiser, of how its weights are saved where they have to be rounded for that, and of LoRA."""
        optimiser = as_flags(section, (*_OPTIMISATION, "rounding") if self.study.gpu else _OPTIMISATION)
        return f"{optimiser} {lora(section['lora'])}".strip()

    def sft(self) -> str:
        """Flags of supervised fine-tuning: of the optimiser, and of what is not as it is in conversations."""
        section = self.config["sft"]
        switched_on = (f"--{key.replace('_', '-')}" for key in _SFT if section[key])
        return " ".join([self.optimisation(section), *switched_on])

    def loss(self, wildcards: Any) -> str:
        """Flags of a method's loss and of how it is computed."""
        method = self.config["methods"][wildcards.method]
        weighting = " --use-weighting" if method["use_weighting"] else ""
        return as_flags(method, _LOSS) + weighting + self._prompts

    def scoring(self) -> str:
        """Flags of how log-probabilities of responses are computed."""
        return as_flags({"max_length": self.config["max_length"], "dtype": self.study.dtype}) + self._prompts

    @property
    def _prompts(self) -> str:
        return " --prefix-sharing" if self.config["prefix_sharing"] else ""

    def sampling(self) -> str:
        """Flags of the decoder."""
        return as_flags({key: value for key, value in self.config["sampling"].items() if key != "candidates"})

    def candidates(self) -> str:
        """The flag of the number of candidates of a prompt, where it is not two."""
        number = self.config["sampling"]["candidates"]
        return "" if number == 2 else f" --candidates {number}"

    def preference_model(self, name: str) -> str:
        """Flags that say how a preference model is run, and what it is shown."""
        model = self.config["preference_models"][name]
        run = {} if model["judge"] else {key: model[key] for key in ("engine", "batch_size", "precision")}
        return as_flags({**run, "thoughts": self.config["thoughts"]})

    def left_out(self, wildcards: Any) -> str:
        """Which pairs are left out: of samples perhaps those with a response that was cut, of a data set those with another label."""
        if not self.study.names.is_dataset(wildcards.labelled):
            return as_flags(self.config, ["truncated"])
        return as_flags(self.config, ["labels"]) if self.config["labels"] == own_labels.AGREE else ""

    def pairing(self, wildcards: Any) -> str:
        """How pairs are made of the candidates of a policy or data set."""
        labels = self.config["labels"] if self.study.names.is_dataset(wildcards.labelled) else own_labels.MODEL
        return as_flags({**self._rule, "labels": labels})

    def pooled_pairing(self, wildcards: Any) -> str:
        """The same of own and off-policy candidates together."""
        picked = data_of(wildcards.mixture)[0] == PICK
        rule = self._rule if picked else {**self._rule, "pairs": BEST_WORST}
        return as_flags(rule) + (" --pick" if picked else "")

    @property
    def _rule(self) -> dict[str, Any]:
        return {key: self.config[key] for key in ("pairs", "truncated", "ties")} | {"seed": self.config["seeds"][0]}

    def asked_judge(self, wildcards: Any) -> list[str]:
        """Flags of what the judge is asked with that a preference model stands for, shell words each."""
        name = self.config["preference_models"][wildcards.name]["judge"]
        judge = self.config["judges"][name]
        flags = {
            "--model": "model",
            "--base-url": "base_url",
            "--serve": "command",
            "--api-key-variable": "api_key_variable",
            "--api-key-header": "api_key_header",
            "--refused": "refused",
        }
        words = [word for flag, key in flags.items() if judge[key] is not None for word in (flag, judge[key])]
        return [*words, *judges.how_asked(self.study, name), "--identified-by", *self.study.identified_by(name)]

    def judge_cache(self, kind: str, path: str) -> str:
        """The flag of the folder that keeps the labelling judge's answers to one job; nothing where a network labels."""
        return self.cache(kind, path) if self.study.labelling_judge else ""

    def cache(self, kind: str, path: str) -> str:
        """The same of any judge."""
        wide = kind in STAGE_OF and self.study.shards.of(kind) > 1
        return f" --cache results/judge_cache/{kind}/{path}" + ("/{wildcards.scatteritem}" if wide else "")

    def shard(self, kind: str) -> str:
        """The flag that tells a job of a wide stage its shard."""
        return "" if self.study.shards.of(kind) == 1 else " --shard {wildcards.scatteritem}"

    def by_hand(self, wildcards: Any) -> str:
        """The flag of a source that the configuration decides on for a policy, whatever its boundary score."""
        policy = str(replace(self.study.named_by(wildcards), suffixes=()))
        source = self.config["boundary"]["decisions"].get(policy)
        return f"--by-hand {source}" if source else ""

    def boundary_notes(self, wildcards: Any) -> list[str]:
        """What a score's page says of labels that the preference model does not decide about alone and how often that is right, and
        of several data sets."""
        data = self.study.preference_data(wildcards.initial)
        notes = [*own_labels.note(self.study, data), *data_sets.in_words(self.study)]
        return given(notes=notes, held_out=held_out.results(self.study, [self.config["preference_model"]]))

    def race(self, wildcards: Any) -> list[str]:
        """Flags of what decides a race, shell words each."""
        race = self.config["race"]
        words = ["--shares", *(f"{share:g}" for share in race["shares"]), "--confidence", str(race["confidence"])]
        return [*words, "--seed", str(self.study.seed_of(wildcards))]

    def length_control(self, wildcards: Any, input: Any) -> list[str]:
        """The flag of the file that says whether length control is valid, where one does."""
        return given(length_control=[input.length_control] if input.length_control else [])

    def until_decided(self, wildcards: Any) -> list[str]:
        """The same where the comparisons of a look end as soon as they have decided it."""
        return [*self.race(wildcards), "--starting-arms", str(len(self.config["race"]["sources"]))]

    def shared_prompts(self, wildcards: Any, input: Any) -> str:
        """How many of the prompts that a policy is measured on may be among those that policies are trained on."""
        allowed = self.config["shared_prompts"]
        return f"--trained-on {input.trained_on} --shared-prompts {allowed}" if input.trained_on else ""

    def settings_of_table(self, number: str) -> str:
        """The sections of the configuration that Table 6 or 7 shows, as JSON."""
        if number == "7":
            sampling = dict(self.config["sampling"])
            if sampling["candidates"] == 2:  # as everywhere in the paper, which says so elsewhere
                del sampling["candidates"]
            return json.dumps({"sampling": sampling})
        sft, *methods = (
            {key: value for key, value in section.items() if key != "keep"}  # which changes no number
            for section in (self.config["sft"], *self.config["methods"].values())
        )
        sections = {"sft": sft, "methods": dict(zip(self.config["methods"], methods, strict=True))}
        gpus = self.config["resources"]["training_gpus"] if self.study.gpu else 0
        return json.dumps({**sections, "max_length": self.config["max_length"], "gpus": gpus})
