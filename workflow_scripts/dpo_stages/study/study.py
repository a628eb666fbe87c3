"""A study as its configuration describes it: policies, candidate sources, tables, and the files that stand for them.

Standard library only: the Snakefile is read again by every job.
"""

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dpo_stages.core.files import fingerprint
from dpo_stages.study import paths
from dpo_stages.study.groups import is_grouped
from dpo_stages.study.names import Names, Patterns
from dpo_stages.study.policies import (
    OFF,
    ON,
    Policy,
    combinations,
    data_of,
    is_mixed,
    parts,
    suffixed,
)
from dpo_stages.study.replicates import seed_of_run, with_replicates

History = tuple[str, ...]
_MODEL_FILES = ("*.safetensors", "*.bin", "*.json", "*.model", "*.txt", "*.jinja")


class Study:
    """A study.

    Args:
        config: the configuration, checked and completed by `settings.check_settings`.
        decision: gives the file that tells which source `auto` took for a policy. Asked only where a history leaves one to
            `auto`; under Snakemake it raises until the file is there.
        workflow: the workflow's folder as seen from the study's, with a slash at its end; "" if the two are one.

    Attributes:
        names: with the suffixes of the preference data and the preference model.
        patterns: of names, for wildcards.
        grouped: whether pairs are chosen of all candidates of a prompt, after these have been scored.
        shards: of wide stages.
        gpu: whether jobs run on GPUs.
        dtype: the arithmetic of jobs that run a language model.
        judge: settings of the judge that evaluates.
        labelling_judge: name of the judge that labels and compares pairs; None where a network does.
        instruction_set: name of the data set that policies are evaluated on.
        length_control: file that says whether length control is valid; None where the difficulties are published.
    """

    def __init__(self, config: Mapping[str, Any], decision: Callable[[Policy], str], workflow: str = "") -> None:
        self.config, self.decision, self.workflow = config, decision, workflow
        self.names, self.patterns = Names(config), Patterns(config)
        self.grouped = is_grouped(config)
        self.shards = paths.Shards(config["resources"]["shards"], whole=["preferences"] if self.grouped else [])
        self.gpu = config["accelerator"] == "gpu"
        self.dtype = "bfloat16" if self.gpu else "float32"
        self.judge = config["judges"][config["evaluation"]["judge"]]
        self.labelling_judge = config["preference_models"][config["preference_model"]]["judge"]
        self.instruction_set, fitted = (config["evaluation"][key] for key in ("instructions", "fit_difficulty_over"))
        self.length_control = paths.evaluation(self.instruction_set, "length_control.json") if fitted else None

    # Files of the configuration

    def file(self, name: str) -> str:
        """A file that the configuration names, of the study or with {workflow}/ of the workflow."""
        return name.replace("{workflow}/", self.workflow)

    def identified_by(self, judge: str) -> list[str]:
        """The files whose change means another judge."""
        return [self.file(name) for name in self.config["judges"][judge]["identified_by"]]

    def chat_template(self, model: str) -> str | None:
        """The file of a base model's chat template; None where it keeps its own."""
        name = self.config["models"][model]["chat_template"]
        return None if name is None else self.file(name)

    @functools.cache  # noqa: B019 - one for the whole run, in which Snakemake asks for every job anew
    def content(self, section: str, name: str) -> str:
        """What a model, preference model or data set holds that is a folder here; empty for those of the hub.

        A parameter of the rule that reads the folder: other files under the old path make everything of them again.
        """
        path = self.config[section][name]["path"]
        patterns = ["**/*"] if section == "datasets" else _MODEL_FILES
        return fingerprint(path, patterns) if path and Path(path).is_dir() else ""

    # Policies that wildcards name

    def named_by(self, wildcards: Any) -> Policy:
        """The policy that wildcards name; the SFT policy where they give no more than the model."""
        if wildcards.get("history"):
            return Policy.parse(f"{wildcards.model}/{wildcards.method}/{wildcards.history}")
        named = (wildcards.get(name) for name in ("policy", "sampled", "initial"))
        return Policy.parse(next(filter(None, named), None) or f"{wildcards.model}/sft")

    def seed_of(self, wildcards: Any) -> int:
        """The seed that rides on the model's name, else the study's first; of a replicate what comes of that."""
        policy = self.named_by(wildcards)
        return seed_of_run(self.config["seeds"][0] if policy.seed is None else policy.seed, policy.replicate)

    def plain_name(self, wildcards: Any) -> str:
        """The policy's name without seed and suffixes, for random numbers that are made of a seed already."""
        return self.named_by(wildcards).plain

    def model_of(self, wildcards: Any) -> Mapping[str, Any]:
        """Settings of the base model of a policy."""
        return self.config["models"][self.named_by(wildcards).model]

    def base_model(self, wildcards: Any) -> str:
        """The base model of a policy."""
        return paths.base_model(self.named_by(wildcards).model)

    def resolved(self, policy: Policy) -> Policy:
        """The fixed policy that a policy stands for whose history leaves sources to `auto`."""
        return policy.resolved(
            lambda initial: json.loads(Path(self.decision(initial)).read_text(encoding="utf-8"))["source"]
        )

    # Candidate sources

    def preference_data(self, origin: str | Policy) -> str:
        """The data set whose prompts a policy is asked, and with whose responses its own are compared; a data set itself."""
        if self.names.is_dataset(str(origin)):
            return self.names.origin(str(origin))
        return Policy.parse(str(origin)).asked or self.config["preference_data"]

    def asked(self, initial: str | Policy) -> list[Policy]:
        """A policy as it is asked the prompts of each data set, those of the preference data first."""
        policy = Policy.parse(str(initial))
        return [policy, *(policy.asking(data) for data in self.config["other_data"])]

    def asked_by(self, wildcards: Any) -> str:
        """The policy {initial}, asked the prompts of the data set that {mixture} is of."""
        return str(Policy.parse(wildcards.initial).asking(data_of(wildcards.mixture)[1]))

    def sampled_from(self, initial: str | Policy, source: str) -> str:
        """The policy or data set whose labelled candidates `source` means for a policy that starts from `initial`."""
        source, data = data_of(source)
        asked = Policy.parse(str(initial)).asking(data)
        if source == ON:
            return str(asked)
        if source == OFF:
            return self.names.labelled(self.preference_data(asked))
        return str(Policy.parse(self.names.labelled(self.config["sources"][source])).asking(asked.asked))

    def origins(self, initial: str | Policy, source: str) -> list[str]:
        """The same as `sampled_from`, of all candidates of a mixture."""
        return [self.sampled_from(initial, one) for one in parts(source)]

    def candidates(self, origin: str, split: str) -> str:
        """Candidates of a data set or of a policy, with or without labels."""
        kind = "datasets" if self.names.is_dataset(origin) else "candidates"
        return f"results/{kind}/{self.names.origin(origin)}/{split}.parquet"

    def off_policy(self, split: str, policy: str | Policy | None = None) -> str:
        """Candidates of the preference data, or of the data set whose prompts a policy is asked."""
        return paths.dataset(self.preference_data(policy or self.config["preference_data"]), split)

    def preferences(self, initial: str | Policy, source: str) -> str:
        """The pairs that a policy which starts from `initial` trains on."""
        if is_mixed(source):
            return f"results/mixtures/{initial}/{source}.parquet"
        return f"results/preferences/{self.sampled_from(initial, source)}/train.parquet"

    def comparisons(self, initial: str | Policy) -> str:
        """The comparisons that the boundary score of a policy rests on."""
        return f"results/comparisons/{initial}/{self.config['boundary']['split']}.parquet"

    def likelihoods(self, initial: str) -> str:
        """Log-probabilities of the responses that are compared for the boundary score of a policy."""
        return f"results/likelihoods/{self.names.sampled(initial)}/{self.config['boundary']['split']}.parquet"

    # Tables of policies

    def seeded(self, model: str) -> list[str]:
        """A model's name under every seed of the study, with its suffixes."""
        model = suffixed(model, self.names.both)
        return [model, *(f"{model}@{seed}" for seed in self.config["seeds"][1:])]

    def histories(self, table: str) -> list[History]:
        """The candidate sources of a table's policies: those it lists, or all combinations over the iterations."""
        settings = self.config["tables"][table]
        listed = [tuple(history.split("-")) for history in settings["histories"]]
        return listed or combinations(settings["sources"], self.config["iterations"])

    def trained_policies(self, table: str) -> list[Policy]:
        """The policies of a table, for each model, seed and method, with their replicates."""
        settings = self.config["tables"][table]
        first = (
            Policy.parse(f"{model}/{method}/{'-'.join(history)}")
            for plain in settings["models"]
            for model in self.seeded(plain)
            for method in settings["methods"]
            for history in self.histories(table)
        )
        return with_replicates(first, self.config["replicates"])

    def policies_of_table(self, table: str, chosen: bool = False) -> list[str]:
        """The trained policies of a table, the policies that they come from and the SFT policies.

        Those are of the histories that are known beforehand, or, if `chosen`, those that `auto` chose.
        """
        trained = self._resolved_of_table(table, chosen)
        sft = (replace(policy, method=None, history=(), replicate=None) for policy in trained)
        return sorted({str(policy.itself) for policy in (*trained, *(one.initial for one in trained), *sft)})

    def initial_policies_of_table(self, table: str, chosen: bool = False) -> list[str]:
        """The policies that the trained policies of a table start from, see `policies_of_table`."""
        return sorted({str(policy.initial) for policy in self._resolved_of_table(table, chosen)})

    def measured_of_table(self, table: str, chosen: bool) -> list[str]:
        """The same policies as they are asked the prompts of the data that each arm is trained on, which boundaries are measured of."""
        return sorted({str(policy.taught) for policy in self._resolved_of_table(table, chosen)})

    def _resolved_of_table(self, table: str, chosen: bool) -> list[Policy]:
        return [self.resolved(policy) for policy in self.trained_policies(table) if policy.chooses == chosen]

    def files_of_table(self, kind: str, chosen: bool) -> Callable[[Any], list[str]]:
        """Input function: files of one kind for a table's policies that are known beforehand, or those `auto` chose."""
        if kind == "boundaries":
            return lambda w: [*map(paths.boundary, self.measured_of_table(w.table, chosen))]
        file = {"win_rates": "win_rate.json", "resamples": "win_rate_resamples.parquet"}[kind]
        return lambda w: [paths.evaluation(policy, file) for policy in self.policies_of_table(w.table, chosen)]

    def traced_policies(self, table: str) -> list[str]:
        """The policies of a table whose history it has to be told: all where it says what they took, else `auto`'s."""
        whole = {"samples", "labels"}.intersection(self.config["tables"][table]["columns"])
        return [str(policy) for policy in self.trained_policies(table) if whole or policy.chooses]

    def instructions_of(self, wildcards: Any) -> str:
        """What was asked when the outputs were made that a judge compares."""
        if wildcards.judged.startswith("quality/"):
            return paths.evaluation(wildcards.judged, "instructions.parquet")
        return paths.dataset(self.instruction_set, "evaluation")

    @property
    def fitted_over(self) -> list[str]:
        """The policies over which the difficulties of the instructions are fitted; none where they are published."""
        table = self.config["evaluation"]["fit_difficulty_over"]
        return self.policies_of_table(table) if table else []

    # Analyses

    def analysed(self, analysis: str, histories: Iterable[Sequence[str]]) -> list[Policy]:
        """The policies of these histories for each model and seed of an analysis."""
        settings = self.config["analyses"][analysis]
        return [
            Policy.parse(f"{model}/{settings['method']}/{'-'.join(history)}" if history else f"{model}/sft")
            for plain in settings["models"]
            for model in self.seeded(plain)
            for history in histories
        ]

    def policies_of_table8(self) -> list[Policy]:
        """The initial policies of all combinations of the sources, asked the prompts of each data set."""
        sources, further = self.config["analyses"]["table8"]["sources"], self.config["iterations"] - 1
        return [
            asked for one in self.analysed("table8", [(), *combinations(sources, further)]) for asked in self.asked(one)
        ]

    def policies_of_figure3(self) -> list[Policy]:
        """SFT policies trained on each source; another name of the policy's own samples gives way to `on`."""
        sources = self.config["analyses"]["figure3"]["sources"]
        policies = self.analysed("figure3", [(source,) for source in sources])
        own = [policy for policy in policies if self.origins(policy.initial, policy.source) == [str(policy.initial)]]
        return [policy for policy in policies if policy not in own or policy.source == ON or ON not in sources]

    def boundary_cost_files(self, pattern: str, kind: str | None = None) -> list[str]:
        """Files for each model whose boundary measurement is compared with training, under the study's first seed.

        {initial}: the SFT policy; {sampled}: where its samples are meant; {trained}: of it on the preference data; {split}:
        what boundaries are measured on. A `kind` of sharded outputs gives the benchmarks of all its jobs, model after model.
        """
        settings, shards = self.config["analyses"]["boundary_cost"], self.shards.of(kind) if kind else 1
        return [
            (self.shards.log(kind, pattern) if kind else pattern).format(
                initial=initial,
                sampled=self.names.sampled(initial),
                trained=initial.then(settings["method"], OFF),
                split=self.config["boundary"]["split"],
                scatteritem=f"{shard}-of-{shards}",
            )
            for initial in (Policy.parse(self.names.labelled(f"{model}/sft")) for model in settings["models"])
            for shard in range(1, shards + 1)
        ]
