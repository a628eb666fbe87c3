"""A policy's model card, from its manifest and how it came about. Standard library only."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dpo_stages.study import paths
from dpo_stages.study.choices import BY_RACE, BY_SCORE
from dpo_stages.study.policies import BLEND, OFF, ON, PICK, POOL, data_of, is_mixed

DATA = "Off-policy data"
"""What the preference data are called where it is said what a study is made of."""

OTHER_DATA = "Other off-policy data"
"""The same of `other_data`."""

_PAPER = "https://arxiv.org/abs/2508.10530"
_LOADED = """\
From this folder, or with its id on the hub instead of `.`:

```python
from transformers import pipeline

answer = pipeline("text-generation", ".")([{"role": "user", "content": "Why is the sky blue?"}])
print(answer[0]["generated_text"][-1]["content"])
```

```bash
python -m vllm.entrypoints.openai.api_server --model .   # answers at http://localhost:8000/v1/chat/completions
```
"""


_MADE_WHOLE = """\
Where no `model*.safetensors` are here, the adapter is what was kept (`keep: adapter`). This makes them, in the study's folder:

```bash
envs/run train workflow_scripts/merge_policy.py {policy}
```

"""
_BESIDE = """\
What LoRA has trained lies in `adapter/` as PEFT saves it, for {base}; the policy is the sum, rounded. From this folder{where}:

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("{base}"), "adapter")
```

```bash
python -m vllm.entrypoints.openai.api_server --model {base} --tokenizer . --enable-lora --max-lora-rank {rank} --lora-modules policy=adapter
```
"""
_VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""That vLLM takes as the largest."""


def card(
    name: str,
    manifest: Mapping[str, Any],
    ledger: Mapping[str, Any],
    base: Mapping[str, Any],
    trace: Mapping[str, Any] | None,
    about: Mapping[str, str],
) -> str:
    """The card, in Markdown with the front matter of the hub.

    Args:
        name: of the policy, perhaps with auto in its history.
        manifest: of the policy that it stands for.
        ledger: beside that.
        base: manifest of the base model.
        trace: as `traces.trace` gives it; None for an SFT policy.
        about: what the study is made of, by what it is in words.
    """
    parts = [
        "\n".join(_front_matter(base, trained=trace is not None)),
        f"# {name}",
        _beginning(name, base, trace),
    ]
    if trace:
        parts.append("\n".join(_iterations(trace["steps"], about)))
        parts.append(f"It took {trace['samples_drawn']:,} samples of policies and {trace['labels_made']:,} labels.")
    whole = _MADE_WHOLE.format(policy=paths.policy(name)) if "beside" in manifest else ""
    parts.append(f"## How it is loaded\n\n{whole}{_LOADED}".rstrip())
    if "beside" in manifest:
        parts.append(f"### The adapter alone\n\n{_adapter(name, manifest)}".rstrip())
    if "arguments" in manifest:
        parts.append("\n".join(_training(manifest, ledger)))
    parts.append("\n".join(["## What it was made with", "", *_made_with(manifest, ledger, about)]))
    return "\n\n".join(parts) + "\n"


def _front_matter(base: Mapping[str, Any], trained: bool) -> Iterator[str]:
    yield "---"
    if base.get("revision"):  # a commit of the hub; a folder's name says nothing to others
        yield f"base_model: {base['path']}"
    yield from ("library_name: transformers", "pipeline_tag: text-generation")
    yield f"tags: [{'dpo, trl, ' if trained else ''}dpo-stages]"
    yield "---"


def _origin(base: Mapping[str, Any]) -> str:
    if not base.get("revision"):
        return "a model that was given as a folder"
    return f"[{base['path']}](https://huggingface.co/{base['path']}) at commit {base['revision'][:10]}"


def _beginning(name: str, base: Mapping[str, Any], trace: Mapping[str, Any] | None) -> str:
    if trace is None:
        return f"The policy that preference optimisation starts from, made from {_origin(base)}."
    stands_for = trace["resolved_policy"]
    chosen = (
        f" Its name leaves the choice of the data to a measurement; it is `{stands_for}`." if name != stands_for else ""
    )
    iterations = len(trace["steps"])
    return (
        f"A language model made from {_origin(base)} by {iterations} iteration{'s' if iterations > 1 else ''} of preference "
        f"optimisation on off-policy or on-policy data ([the paper]({_PAPER})).{chosen}"
    )


def _iterations(steps: Sequence[Mapping[str, Any]], about: Mapping[str, str]) -> Iterator[str]:
    yield "## How it came about\n"
    for number, step in enumerate(steps, start=1):
        yield f"{number}. `{step['policy']}` from `{step['initial_policy']}`, on {_source(step, about)}.{_decision(step)}"


def _source(step: Mapping[str, Any], about: Mapping[str, str]) -> str:
    source, named = data_of(step["source"])
    data = named or about.get(DATA, "the preference data")
    if source == OFF:
        return f"off-policy pairs: responses of {data}"
    if source == ON:
        return f"on-policy pairs: its initial policy's own samples for the prompts of {data}"
    if source == POOL:
        return f"the best and the worst of its initial policy's own samples and the responses of {data} together"
    if source == PICK:
        return (
            f"pairs of {data} where the chosen response beats the initial policy's own best, and own pairs for the others, "
            f"{step['on_policy_share']:.0%} of the prompts"
        )
    if is_mixed(source):
        return f"a mixture: own samples for {step['on_policy_share']:.0%} of the prompts, {data} for the others"
    return f"samples of another policy (`{source}`)"


def _decision(step: Mapping[str, Any]) -> str:
    """What was measured to take these pairs, if anything was, and what decided."""
    initial = step["initial_policy"]
    if "race_leader" in step:
        ahead, epochs = step["race_leader"], step["race_epochs"]
        found = (
            f"the race from `{initial}` is {step['verdict']} after {epochs:g} epochs of training, with `{ahead}` ahead"
        )
    elif "boundary_score" in step:
        low, high = step["interval"]
        score = f"{step['boundary_score']:.3f} ({low:.3f} to {high:.3f})"
        against = f" against {step['compared_with']}" if "compared_with" in step else ""
        found = f"the boundary score of `{initial}`{against} is {score}, which is {step['verdict']}"
        if "order" in step:
            found += f"; first to last: {step['order'].removesuffix('.')}"
    else:
        return ""
    warned = "".join(f" Warning: {warning}." for warning in step.get("warnings", ()))
    if step["named_source"] == BLEND:
        return f" The share follows from a measurement: {found}.{warned}"
    by = step["decided_by"]
    return f" Decided by {f'the {by}' if by in (BY_SCORE, BY_RACE) else by}: {found}.{warned}"


def _adapter(name: str, manifest: Mapping[str, Any]) -> str:
    """How the adapter is loaded beside its base: a model of the hub, or a folder of the study, seen from the policy's own."""
    rank = manifest["arguments"]["lora"]["rank"]
    largest = next((one for one in _VLLM_RANKS if one >= rank), rank)
    base, where = manifest["beside"]["base"], ""
    if base.startswith("results/"):
        where = ", as it lies in the study"
        if base.startswith("results/policies/") and not base.endswith("/sft"):
            where += f" (where that policy's weights are not there either, the command above makes those of {base}/manifest.json)"
        base = os.path.relpath(base, Path(paths.policy(name)).parent)
    return _BESIDE.format(base=base, rank=largest, where=where)


def _training(manifest: Mapping[str, Any], ledger: Mapping[str, Any]) -> Iterator[str]:
    yield "## Settings of its last training\n"
    yield "| setting | value |\n|---|---|"
    shown = {**manifest["arguments"], "examples": ledger.get("rows_out"), "steps": ledger.get("steps")}
    for name, value in shown.items():
        if value is not None:
            yield f"| {name.replace('_', ' ')} | {value} |"


def _made_with(manifest: Mapping[str, Any], ledger: Mapping[str, Any], about: Mapping[str, str]) -> Iterator[str]:
    for what, which in about.items():
        yield f"- {what}: {which}"
    if versions := manifest.get("versions"):
        yield f"- Versions: {', '.join(f'{package} {version}' for package, version in versions.items())}"
    made = ledger.get("provenance", {})
    if commit := made.get("commit"):
        changed = re.sub(r"^[0-9a-f]{40}", lambda found: f"commit {found[0][:10]}", commit)
        yield f"- Workflow: dpo-stages, {changed}"
    if ended := made.get("ended"):
        yield f"- Finished: {ended}"
