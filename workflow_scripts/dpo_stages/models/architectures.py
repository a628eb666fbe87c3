"""What a model's configuration says of its network, before it is loaded. Standard library only."""

from collections.abc import Mapping
from typing import Any

CLASSIFIER = "ForSequenceClassification"
"""How networks that give a text a score are called."""

WRITERS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
"""How networks that write text are called; the last is a language model among other things where there is no encoder."""


def architecture_of(config: Mapping[str, Any]) -> str | None:
    """What a network is called; None where its configuration does not say."""
    return next(iter(config.get("architectures") or ()), None)


def of_text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a configuration that is about text, where a network reads other things as well."""
    return config.get("text_config") or config


def is_reward_model(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is of a network that classifies sequences."""
    return any(name.endswith(CLASSIFIER) for name in config.get("architectures") or ())


def not_a_writer(config: Mapping[str, Any]) -> str | None:
    """Why a network is no language model that could be sampled and trained; None if it may be one.

    Args:
        config: of the network; one that names no architecture is taken by its type.
    """
    name = architecture_of(config)
    if (name and not name.endswith(WRITERS)) or config.get("is_encoder_decoder"):
        return (
            f"whose network is {name or config.get('model_type')}; a causal language model (…ForCausalLM) is expected as the model to be aligned, and a "
            "reward model belongs into preference_model"
        )
    return None


VLLM_CPU_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
"""Head sizes that attention on CPU cores takes, from CPUAttentionBackend.get_supported_head_sizes() of the locked vLLM (a test
in its environment holds this to it)."""


def heads_too_odd_for_cpu(config: Mapping[str, Any]) -> str | None:
    """Why vLLM cannot sample of a network on CPU cores; None if it can, or if the configuration does not say."""
    text = of_text(config)
    heads, width = text.get("num_attention_heads"), text.get("hidden_size")
    size = text.get("head_dim") or (
        width // heads if isinstance(heads, int) and heads and isinstance(width, int) else None
    )
    if not isinstance(size, int) or size in VLLM_CPU_HEADS or text.get("kv_lora_rank"):  # which has heads of two sizes
        return None
    return (
        f"has attention heads of size {size}, and vLLM samples on CPU cores only with {', '.join(map(str, VLLM_CPU_HEADS))}; take "
        "another model, or a GPU"
    )
