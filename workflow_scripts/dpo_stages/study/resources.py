"""What the jobs of a study take: seconds on GPUs and bytes, from the sizes of models and data.

Standard library only. N is a model's number of parameters. Nothing here changes a result.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from dpo_stages.study import data_sets
from dpo_stages.study.asked import Asked
from dpo_stages.study.groups import pairs_of
from dpo_stages.study.held_out import votes
from dpo_stages.study.judges import WORDS
from dpo_stages.study.memory import trained_parameters
from dpo_stages.study.paths import POOLED
from dpo_stages.study.policies import data_of
from dpo_stages.study.races import Races
from dpo_stages.study.sizes import lines_of
from dpo_stages.study.speeds import Speeds
from dpo_stages.study.study import Study

JUDGEMENT_TOKENS = 1200  # of a request to a judge: the 805 of AlpacaEval take about a million


def judgement_tokens(judge: Mapping[str, Any]) -> int:
    """Tokens of one judgement, with the answer in words at its longest."""
    return JUDGEMENT_TOKENS + (judge["answer_tokens"] or 0)


class Wildcards:
    """Those of a job that is not planned, to ask what it would take."""

    def __init__(self, **wildcards: str) -> None:
        vars(self).update(wildcards)

    def get(self, name: str) -> str | None:
        return vars(self).get(name)


def time_limit(seconds: float, attempt: int) -> int:
    """Minutes that a job asks for: twice what is expected and a quarter of an hour, more with every attempt."""
    return attempt * (15 + round(2 * seconds / 60))


class Needs:
    """Resources of a study's jobs, as input functions: MB, seconds that are expected, minutes that are asked for.

    Args:
        study: the study.
    """

    def __init__(self, study: Study) -> None:
        self.study, self.config = study, study.config
        self.threads = 1 if study.gpu else self.config["resources"]["threads"]
        self.candidates = self.config["sampling"]["candidates"]
        self.speeds = Speeds(**self.config["resources"]["speeds"])
        judge = study.judge
        section = {"vllm": "models", "preference_model": "preference_models"}.get(judge["kind"])
        # Of a judge that the judging job runs itself
        self.judge_parameters = self.config[section][judge["model"]]["parameters"] if section else 0
        # Whole numbers, as resources are
        self.cents_per_million_tokens = round(100 * (judge["dollars_per_million_tokens"] or 0))
        self.judgements = 2 if judge["answers"] == WORDS else 1  # of a row: in words it is asked in both orders
        tokens = self.judgements * judgement_tokens(judge) * self.rows(study.instruction_set, "evaluation")
        self.cents_per_policy = round(self.cents_per_million_tokens * tokens / 1e6)

    def threads_to_ask(self, asked: Asked) -> int:
        """CPU threads of a job that asks a preference model; a judge computes elsewhere."""
        return 1 if asked.judge else self.threads

    def gpus(self, stage: str) -> int:
        """GPUs that one job of a stage takes."""
        return self.config["resources"][f"{stage}_gpus"] if self.study.gpu else 0

    def expected(self, seconds: Callable[[Any], float]) -> Callable[[Any], int]:
        """The resource `seconds`: a whole number."""
        return lambda wildcards: round(seconds(wildcards))

    def limit(self, seconds: Callable[[Any], float]) -> Callable[[Any, int], int]:
        """The resource `runtime`: a job that comes back after hitting the limit asks for more."""
        return lambda wildcards, attempt: time_limit(seconds(wildcards), attempt)

    # Sizes

    def rows(self, dataset: str, split: str) -> int:
        """Number of rows that a split is expected to have."""
        settings = self.config["datasets"][dataset]
        here = lines_of(self.study.file(settings["splits"].get(split, ""))) if settings["path"] is None else None
        rows = settings["rows"].get(split) or here or self.config["resources"]["rows"]
        return min(rows, settings["limit"] or rows)

    def data(self, wildcards: Any) -> str:
        """The data set that a job is about: whose prompts its policy is asked, or that it trains on."""
        if labelled := wildcards.get("labelled"):
            return self.study.preference_data(labelled)
        policy = self.study.named_by(wildcards)
        source = wildcards.get("source") or (policy.source if wildcards.get("history") else "")
        return self.study.preference_data(policy.asking(data_of(source)[1]))

    def pairs(self, wildcards: Any, split: str) -> int:
        """The same of that."""
        return self.rows(self.data(wildcards), split)

    def parameters(self, wildcards: Any) -> float:
        """Parameters of the policy that a job runs."""
        return self.study.model_of(wildcards)["parameters"]

    def trained_by(self, wildcards: Any) -> Mapping[str, Any]:
        """The section of the configuration that a job trains by."""
        return self.config["methods"][wildcards.method] if wildcards.get("method") else self.config["sft"]

    def rank(self, wildcards: Any) -> int | None:
        """The rank of LoRA in a job's training; None if it trains all weights."""
        lora = self.trained_by(wildcards)["lora"]
        return lora["rank"] if lora else None

    def preference_model(self, wildcards: Any, name: str | None = None) -> Mapping[str, Any]:
        """The preference model that a job asks: the one named, a second opinion, a witness, a yardstick, one with votes, or the study's."""
        asked = (name, *(wildcards.get(one) for one in ("opinion", "witness", "yardstick", "voted")))
        return self.config["preference_models"][next(filter(None, asked), self.config["preference_model"])]

    def ranker_parameters(self, wildcards: Any) -> float:
        """Its parameters."""
        return self.preference_model(wildcards)["parameters"]

    def labelled_pairs(self, wildcards: Any) -> float:
        """Pairs that one job labels: of a data set, or of a policy, which has one for every two candidates of a prompt."""
        if wildcards.split == POOLED:  # with two off-policy candidates
            return pairs_of(self.candidates + 2) * self.pairs(wildcards, "train") / self.study.shards.of("scores")
        origin = self.study.names.origin(wildcards.labelled)
        pairs = 1 if self.study.names.is_dataset(origin) else pairs_of(self.candidates)
        return pairs * self.pairs(wildcards, wildcards.split) / self.study.shards.of("scores")

    def compared_pairs(self, wildcards: Any) -> float:
        """Pairs that one job compares: all responses of one source against both of the other."""
        return 2 * self.candidates * self.pairs(wildcards, wildcards.split) / self.study.shards.of("comparisons")

    def boundary_pairs(self, wildcards: Any) -> float:
        """Pairs of a whole boundary measurement."""
        return 2 * self.candidates * self.pairs(wildcards, self.config["boundary"]["split"])

    def arms_pairs(self, wildcards: Any) -> float:
        """Pairs of the outputs of two arms: one an instruction."""
        return self.rows(self.study.instruction_set, "evaluation")

    def race_prompts(self) -> int:
        """Prompts on which arms of a race are compared."""
        return min(self.config["race"]["prompts"], sum(self.rows(data, "test") for data in data_sets.names(self.study)))

    def race_pairs(self, wildcards: Any) -> float:
        """Pairs of responses after one share of an epoch at most: two a prompt, order and pair of arms."""
        race = self.config["race"]
        return 2 * self.race_prompts() * race["orders"] * math.comb(len(race["sources"]), 2)

    def gamed_pairs(self, wildcards: Any) -> float:
        """Pairs of a length-gamed version of the instruction set's reference."""
        return self.rows(self.study.instruction_set, wildcards.variant)

    def audited_pairs(self, wildcards: Any) -> float:
        """Pairs of a source that an audit is about, at most."""
        return min(self.config["audit"]["pairs"], self.pairs(wildcards, "train"))

    def voted_pairs(self, wildcards: Any) -> float:
        """Pairs with a vote; of a file that has yet to be made, as many as an audit draws."""
        return sum(lines_of(file) or self.config["audit"]["pairs"] for file in votes(self.study, wildcards.voted))

    # Seconds

    def sft_seconds(self, wildcards: Any) -> float:
        """A conversation counts as a prompt and a response; packed into rows it has the same tokens."""
        rows, sft = self.rows(self.study.model_of(wildcards)["sft"], "train"), self.config["sft"]
        return self._train(wildcards, sft["epochs"] * self.speeds.tokens(rows, rows))

    def training_seconds(self, wildcards: Any) -> float:
        tokens = self.pair_tokens(self.pairs(wildcards, "train"))
        return self._train(wildcards, self.trained_by(wildcards)["epochs"] * tokens)

    def pair_tokens(self, pairs: float) -> float:
        """Tokens of that many pairs, of which a prompt is computed once or twice."""
        return self.speeds.tokens(2 * pairs, pairs if self.config["prefix_sharing"] else 2 * pairs)

    def arm_seconds(self, races: Races) -> Callable[[Any], float]:
        """Training an arm of a race from one share of an epoch to the next."""

        def seconds(wildcards: Any) -> float:
            share = float(wildcards.share) - races.before(wildcards.share)
            return self._train(wildcards, share * self.pair_tokens(self.pairs(wildcards, "train")))

        return seconds

    def _train(self, wildcards: Any, tokens: float) -> float:
        lora = self.rank(wildcards) is not None
        return self.speeds.train(self.parameters(wildcards), tokens, self.gpus("training"), lora)

    def race_sampling_seconds(self, wildcards: Any) -> float:
        return self.speeds.sample(self.parameters(wildcards), 2 * self.race_prompts())

    def reference_seconds(self, wildcards: Any) -> float:
        return self._score(wildcards, self.pairs(wildcards, "train") / self.study.shards.of("reference_logps"))

    def likelihood_seconds(self, wildcards: Any) -> float:
        """Two candidates of each source."""
        return self._score(wildcards, 2 * self.pairs(wildcards, wildcards.split))

    def audit_seconds(self, wildcards: Any) -> float:
        """Both responses of the audited pairs of every source."""
        sources = len(self.config["audit"]["sources"])
        return self._score(wildcards, sources * self.audited_pairs(wildcards))

    def _score(self, wildcards: Any, pairs: float) -> float:
        return self.speeds.score(self.parameters(wildcards), self.pair_tokens(pairs))

    def sampling_seconds(self, wildcards: Any) -> float:
        rows = self.pairs(wildcards, wildcards.split) / self.study.shards.of("candidates")
        return self.speeds.sample(self.parameters(wildcards), self.candidates * rows)

    def generation_seconds(self, wildcards: Any) -> float:
        rows = self.rows(self.study.instruction_set, "evaluation") / self.study.shards.of("evaluations")
        return self.speeds.sample(self.parameters(wildcards), rows)

    def preference_seconds(self, pairs: Callable[[Any], float], name: str | None = None) -> Callable[[Any], float]:
        """The preference model's time for the pairs of a job; a judge is asked twice a pair, once in each order.

        Args:
            pairs: of a job.
            name: of the preference model; None for the one that the job's wildcards name, or the study's.
        """

        def seconds(wildcards: Any) -> float:
            model = self.preference_model(wildcards, name)
            if model["judge"]:
                return self.speeds.judge(2 * pairs(wildcards))
            return self.speeds.compare(model["parameters"], pairs(wildcards))

        return seconds

    def sequential_seconds(self, wildcards: Any) -> float:
        """Sampling and comparing all prompts, which is the most that it takes."""
        sampling = self.speeds.sample(self.parameters(wildcards), self.boundary_pairs(wildcards) / 2)
        return sampling + self.preference_seconds(self.boundary_pairs)(wildcards)

    def judging_seconds(self, wildcards: Any) -> float:
        pairs = self.rows(self.study.instruction_set, "evaluation")
        if self.study.judge["kind"] == "preference_model":
            return self.speeds.compare(self.judge_parameters, pairs)
        loading = self.speeds.ready(self.judge_parameters) if self.study.judge["kind"] == "vllm" else 0
        return self.speeds.judge(self.judgements * pairs) + loading

    # Memory and disk, in MB, and cents

    def training_memory(self, wildcards: Any, attempt: int) -> int:
        """Of the machine: the weights in float32 once, and gathered once more to be saved unless they are frozen."""
        each = 8 if self.rank(wildcards) is None else 4
        return attempt * int(16_000 + each * self.parameters(wildcards) / 1e6)

    def inference_memory(self, wildcards: Any, attempt: int) -> int:
        return attempt * int(16_000 + 4 * self.parameters(wildcards) / 1e6)

    def labelling_memory(self, wildcards: Any, attempt: int) -> int:
        return attempt * int(16_000 + 4 * self.ranker_parameters(wildcards) / 1e6)

    def judging_memory(self, wildcards: Any, attempt: int) -> int:
        return attempt * (int(16_000 + 4 * self.judge_parameters / 1e6) if self.judge_parameters else 4000)

    def checkpoint_size(self, wildcards: Any) -> int:
        """The resource `disk_mb` of what keeps a policy whole: two bytes a parameter if its weights are rounded, else four."""
        rounded = self.study.gpu and self.trained_by(wildcards)["rounding"] != "none"
        return round((2 if rounded else 4) * self.parameters(wildcards) / 1e6)

    def kept(self, wildcards: Any) -> str:
        """The resource `keep` of a training: what stays of the policy."""
        return self.trained_by(wildcards)["keep"]

    def kept_size(self, wildcards: Any) -> int:
        """The resource `disk_mb` of a training: its policy, or LoRA's matrices in float32."""
        if self.kept(wildcards) == "whole":
            return self.checkpoint_size(wildcards)
        return round(4 * trained_parameters(self.parameters(wildcards), self.rank(wildcards)) / 1e6)

    def resumable_size(self, wildcards: Any) -> int:
        """The resource `checkpoint_mb` of a training: what is trained and both of AdamW's moments in float32."""
        return round(12 * trained_parameters(self.parameters(wildcards), self.rank(wildcards)) / 1e6)

    def preference_cents(self, pairs: Callable[[Any], float], name: str | None = None) -> Callable[[Any], int]:
        """What the preference model costs for the pairs of a job, if it is an API's judge: two judgements a pair."""

        def cents(wildcards: Any) -> int:
            judge = self.preference_model(wildcards, name)["judge"]
            price = (self.config["judges"][judge]["dollars_per_million_tokens"] or 0) if judge else 0
            tokens = judgement_tokens(self.config["judges"][judge]) if judge else 0
            return round(200 * price * tokens * pairs(wildcards) / 1e6)

        return cents
