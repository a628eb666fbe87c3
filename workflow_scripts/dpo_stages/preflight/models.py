"""Models and preference models in folders, and whether the hub can be asked for the others."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.core.hub import cache_folder
from dpo_stages.models.architectures import architecture_of, heads_too_odd_for_cpu, is_reward_model, not_a_writer
from dpo_stages.models.templates import own_template
from dpo_stages.preflight.hosts import refused
from dpo_stages.preflight.jobs import Jobs
from dpo_stages.preflight.trainings import sampled, served, trainings
from dpo_stages.study import paths
from dpo_stages.study.parameters import tensors_of
from dpo_stages.study.study import Study

WEIGHTS = ("*.safetensors", "*.bin")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spm.model", "vocab.txt")


def models(study: Study, jobs: Jobs) -> Iterator[str]:
    """What is wrong with base models: those about to be fetched from a folder, and those here already that jobs are about."""
    fetched = [job["base"] for job in jobs.of("fetch_model")]
    trained = [name for name, _ in trainings(study, jobs)]
    asked = sampled(jobs)
    by_vllm = [*asked, *served(study, jobs)]
    for name in dict.fromkeys([*fetched, *trained, *by_vllm]):
        settings = study.config["models"][name]
        folder = Path(settings["path"]) if name in fetched else Path(paths.base_model(name)).parent
        if not folder.is_dir():
            continue  # the hub's, or made by a job
        if name in fetched:
            yield from _as_given(name, settings, folder)
        lengths = {"sampling.max_length": study.config["sampling"]["max_length"]} if name in (*fetched, *asked) else {}
        lengths |= {"max_length": study.config["max_length"]} if name in (*fetched, *trained) else {}
        yield from _context(name, folder, lengths)
        if not study.gpu and name in by_vllm and (reason := heads_too_odd_for_cpu(config_of(folder))):
            yield f"models.{name} {reason}"
        yield from _targets(study, jobs, name, folder)


def _as_given(name: str, settings: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """What a folder lacks that is taken as a base model."""
    yield from _folder(f"models.{name}.path", folder, "a model")
    if reason := not_a_writer(config_of(folder)):
        yield f"models.{name}.path names {folder}, {reason}"
    if settings["chat_template"] is None and not own_template(folder):
        yield (
            f"models.{name}: {folder} has no chat template, without which nothing can be asked; name a file as "
            f"models.{name}.chat_template, for a base model that is fine-tuned first "
            '"{workflow}/workflow_scripts/dpo_stages/models/chat_templates/zephyr.jinja"'
        )


def _folder(key: str, folder: Path, what: str) -> Iterator[str]:
    if not (folder / "config.json").is_file():
        yield f"{key} names {folder}, which is no folder of {what}: it has no config.json"
        return
    for patterns, kind in ((WEIGHTS, "weights"), (TOKENIZERS, "tokenizer")):
        if not any(next(folder.glob(pattern), None) for pattern in patterns):
            yield f"{key} names {folder}, which has no {kind} (none of {', '.join(patterns)})"


def _context(name: str, folder: Path, lengths: Mapping[str, int]) -> Iterator[str]:
    context = context_of(folder)
    if context is None:
        return
    for key, length in lengths.items():
        if length > context:
            yield f"{key} is {length}, and models.{name} reads no more than {context} tokens; set it to {context} or less"


def _targets(study: Study, jobs: Jobs, name: str, folder: Path) -> Iterator[str]:
    """Layers beside which LoRA is to train that the weights of a model do not have."""
    layers = {tensor.split(".")[-2] for tensor in tensors_of(folder) if tensor.endswith(".weight")}
    for (model, key), settings in trainings(study, jobs).items():
        lora = settings["lora"]
        if model != name or not layers or not lora or lora["targets"] == "all-linear":
            continue
        wanted = {lora["targets"]} if isinstance(lora["targets"], str) else set(lora["targets"])
        if missing := sorted(wanted - layers):
            yield (
                f"{key}.lora.targets names {', '.join(missing)}, and models.{name} has no such layer; it has {', '.join(sorted(layers))}"
            )


def config_of(folder: Path) -> Mapping[str, Any]:
    """The configuration of a network; an empty one where there is none that can be read."""
    try:
        config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    except BadInput:
        return {}
    return config if isinstance(config, dict) else {}


def context_of(folder: Path) -> int | None:
    """How many tokens a model reads; None where its configuration does not say."""
    context = config_of(folder).get("max_position_embeddings")
    return context if isinstance(context, int) else None


def network(folder: Path) -> Path:
    """Where in a preference model's folder its network lies: llm-blender's layout may have it in a folder of its own."""
    return folder / "ranker" if (folder / "ranker").is_dir() else folder


def preference_models(study: Study, jobs: Jobs) -> Iterator[str]:
    """What is wrong with the folders of preference models."""
    for name in dict.fromkeys(job["name"] for job in jobs.of("fetch_preference_model")):
        key, path = f"preference_models.{name}.path", study.config["preference_models"][name]["path"]
        folder = Path(path)
        if not folder.is_dir():
            continue
        model = network(folder)
        config = config_of(model)
        if config.get("ranker_type"):
            continue  # it is opened when it is fetched
        yield from _folder(key, model, "a preference model")
        if config and not is_reward_model(config):
            yield (
                f"{key} names {folder}, whose network is {architecture_of(config) or 'of no kind'}; a ranker in llm-blender's layout or a reward model "
                "(…ForSequenceClassification with one score) is expected"
            )


def hub(study: Study, jobs: Jobs) -> Iterator[str]:
    """One sentence with all that is to come from the hub, where neither the hub nor its cache here has it."""
    sections = {"models": ("fetch_model", "base"), "preference_models": ("fetch_preference_model", "name")}
    wanted = {
        f"{section}.{job[wildcard]}.path": ("models", study.config[section][job[wildcard]]["path"])
        for section, (rule, wildcard) in sections.items()
        for job in jobs.of(rule)
    }
    wanted |= {
        f"datasets.{job['dataset']}.path": ("datasets", path)
        for job in jobs.of("prepare_dataset")
        if (path := study.config["datasets"][job["dataset"]]["path"])
    }
    missing = {
        key: path
        for key, (kind, path) in wanted.items()
        if not path.startswith((".", "/", "~"))  # no id; that the folder is missing is said elsewhere
        and not Path(path).is_dir()
        and not (cache_folder() / f"{kind}--{path.replace('/', '--')}").is_dir()
    }
    if missing and (reason := _unreachable()):
        named = ", ".join(f"{path} ({key})" for key, path in missing.items())
        yield f"{named}: there is no such folder here, and {reason}; correct the path, or bring the folder"


def _unreachable() -> str | None:
    """Why the hub cannot be asked; None if it can."""
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
        return "HF_HUB_OFFLINE forbids to ask the hub"
    url = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    reason = refused(url)
    return f"the hub ({urlsplit(url).hostname}) cannot be reached ({reason})" if reason else None
