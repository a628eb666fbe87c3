"""Folders that hold a model: everything that Transformers and vLLM need, and a manifest of it.

    config.json, generation_config.json, model*.safetensors   the model
    tokenizer.json, tokenizer_config.json, …                   the tokenizer, with its chat template
    manifest.json                                              provenance and the hash of every file

Files that two folders have in common are hard links, so that a policy takes the space of its weights alone.
"""

import fnmatch
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
WEIGHTS = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
INDEX = "model.safetensors.index.json"
TRAINING_LOG = "training_log.jsonl"

Change = Callable[[str, "torch.Tensor"], "torch.Tensor"]
"""Makes the new tensor of a tensor and its name."""


def is_weights(name: str) -> bool:
    """Whether a file of a checkpoint folder holds weights, or says which file does."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in WEIGHTS)


def load_model(folder: Path, max_length: int, narrow: bool = False, dropout: bool = True) -> "PreTrainedModel":
    """Load a policy in float32, the precision of the weights that training updates; no remote code is run.

    A kind of attention that its configuration asks for and that needs another package or a compiler is not taken.

    Args:
        folder: of the policy.
        max_length: tokens that it has to read at a time.
        narrow: take half the memory, for mixed precision alone; see `narrow_weights_of_products`.
        dropout: as configured; else there is none, which in attention is a number and no layer that could be taken out.

    Raises:
        BadInput: there is none, or it has no positions for `max_length` tokens: what it makes of more is noise or a crash.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    # PyTorch would take cuDNN's attention on recent GPUs, which is built anew for every length of a batch: a third of a training.
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if config._attn_implementation not in (None, "eager", "sdpa"):
            config._attn_implementation = None
        if not dropout:
            without_dropout(config)
        model = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise BadInput(f"{folder} has no causal language model that can be loaded: {error}") from error
    context = getattr(model.config.get_text_config(), "max_position_embeddings", max_length)
    if context < max_length:
        raise BadInput(
            f"the context of {folder} is {context} tokens, and --max-length {max_length} is longer; set max_length in the "
            f"configuration to {context} or less"
        )
    # Nothing is generated here, and some published settings of generation are refused when a checkpoint is saved.
    model.generation_config = GenerationConfig()
    if narrow:
        narrow_weights_of_products(model, embedding=stored_dtypes(folder) == {"BF16"})
    return model


def without_dropout(config: "PreTrainedConfig") -> None:
    """Set every rate of dropout in a model's configuration to 0."""
    for name, rate in vars(config).items():
        if name.endswith(("dropout", "_pdrop")) and isinstance(rate, float):
            setattr(config, name, 0.0)


def narrow_weights_of_products(model: "PreTrainedModel", embedding: bool) -> None:
    """Keep in bfloat16 what mixed precision rounds to it before each product anyway: the weights of linear layers.

    What an embedding looks up is float32, as before, so that log-probabilities in mixed precision are the same, bit for bit, in half
    the memory.

    Args:
        model: in float32.
        embedding: whether bfloat16 holds the embedding, too, exactly; it is asked of the files, since not every process of several
            has read them.
    """
    import torch

    lookup = model.get_input_embeddings()
    embedding &= type(lookup) is torch.nn.Embedding  # others compute with what they look up
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and (embedding or module.weight is not lookup.weight):
            module.weight.data = module.weight.data.bfloat16()
    if embedding:
        lookup.weight.data = lookup.weight.data.bfloat16()
        lookup.register_forward_hook(lambda module, inputs, output: output.float())


def write_config(source: Path, target: Path, dtype: str) -> None:
    """Write the configuration of a model trained from `source`: the same but for the precision of its weights."""
    config = read_json(source / CONFIG)
    config.pop("torch_dtype", None)
    write_json(target / CONFIG, {**config, "dtype": dtype})


def rewrite_weights(source: Path, target: Path, change: Change) -> None:
    """Write the weights of a folder to another one, or in their own place, each changed, one file at a time.

    Args:
        source: folder with weights.
        target: folder for them, in files of the same names.
        change: of each.
    """
    from safetensors.torch import load_file, save_file

    total = 0
    for path in sorted(source.glob("model*.safetensors")):
        tensors = load_file(path)
        for name in tensors:
            tensors[name] = change(name, tensors[name])
        total += sum(tensor.nbytes for tensor in tensors.values())
        save_file(tensors, target / path.name, metadata={"format": "pt"})
    if (source / INDEX).exists():
        content = read_json(source / INDEX)
        content["metadata"]["total_size"] = total
        write_json(target / INDEX, content)


def tensor_names(folder: Path) -> set[str]:
    """Names of the tensors in a folder's weights."""
    return {name for name, _ in _tensors(folder)}


def stored_dtypes(folder: Path) -> set[str]:
    """Precisions of the tensors in a folder's weights, as safetensors calls them."""
    from safetensors import safe_open

    found = set()
    for path in folder.glob("model*.safetensors"):
        with safe_open(path, framework="pt") as file:
            found |= {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 - no dictionary
    return found


def unchanged_weights(folder: Path, other: Path) -> float:
    """Share of a folder's floating-point weights that equal another's, compared in the precision of `folder`."""
    import torch

    others, same, total = dict(_tensors(other)), 0, 0
    for name, read in _tensors(folder):
        tensor = read()
        if tensor.is_floating_point():
            total += tensor.numel()
            same += torch.eq(tensor, others[name]().to(tensor.dtype)).sum().item() if name in others else 0
    return same / total


def _tensors(folder: Path) -> Iterator[tuple[str, object]]:
    """Names of a folder's tensors, each with a function that reads it."""
    from safetensors import safe_open

    for path in sorted(folder.glob("model*.safetensors")):
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
        for name in names:
            yield name, lambda path=path, name=name: _read_tensor(path, name)


def _read_tensor(path: Path, name: str) -> "torch.Tensor":
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.get_tensor(name)
