"""A small model with a chat template, data for it, and flags of the programs of training."""

import copy
import random
from pathlib import Path

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
CHATML = (  # ends a turn with a line of its own
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '</s>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
WORDS = ["the", "a", "red", "blue", "small", "cat", "dog", "tree", "river", "runs", "sleeps", "likes", "sees", "under"]


def sentence(generator: random.Random, length: int) -> str:
    return " ".join(generator.choices(WORDS, k=length))


def make_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<pad>", "<|system|>", "<|user|>", "<|assistant|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    generator = random.Random(0)
    tokenizer.train_from_iterator([sentence(generator, 12) for _ in range(200)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=special[3:],
        chat_template=CHAT_TEMPLATE,
    )


def with_template(tokenizer, template: str):
    """A copy of a tokenizer with another chat template."""
    other = copy.deepcopy(tokenizer)
    other.chat_template = template
    return other


def write_model(folder: Path, seed: int = 0, hidden_size: int = 32, layers: int = 2, **config) -> Path:
    """Write a random Llama; returns its manifest."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from dpo_stages.core.manifests import write_manifest

    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden_size,
        "intermediate_size": 3 * hidden_size,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.2,  # so that random log-probabilities are far from uniform
    }
    model = LlamaForCausalLM(LlamaConfig(**{**settings, **config}))
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_manifest(folder, {"policy": "tiny/sft"})
    return folder / "manifest.json"


def preference_rows(count: int, seed: int = 0, longest: int = 20) -> list[dict]:
    from dpo_stages.data.prompts import prompt_id

    generator = random.Random(seed)
    rows = []
    for number in range(count):
        prompt = [{"role": "user", "content": f"{number} {sentence(generator, generator.randint(3, 10))}"}]
        rows.append(
            {
                "prompt_id": prompt_id(prompt),
                "prompt": prompt,
                "chosen": sentence(generator, generator.randint(1, longest)),
                "rejected": sentence(generator, generator.randint(1, longest)),
                "logit": 1.0,
                "chosen_first": True,
                "order_flip": False,
                "original_agrees": None,
            }
        )
    return rows


def chat_rows(count: int, seed: int = 0) -> list[dict]:
    from dpo_stages.data.prompts import prompt_id

    generator = random.Random(seed)
    rows = []
    for number in range(count):
        messages = [
            {"role": role, "content": f"{number} {sentence(generator, generator.randint(2, 9))}"}
            for _ in range(generator.randint(1, 3))
            for role in ("user", "assistant")
        ]
        rows.append({"prompt_id": prompt_id(messages[:1]), "messages": messages})
    return rows


def reference_flags(model: Path, preferences: Path, output: Path, **changes: object) -> list[object]:
    flags = {"max_length": 96, "dtype": "float32", **changes}
    return as_flags(policy=model, preferences=preferences, output=output, **flags)


def training_flags(folder: Path, **changes: object) -> list[object]:
    """Flags of 6 steps of 8 pairs for the fixtures' 48; the policy and its checkpoints lie under `folder`."""
    flags = {
        "learning_rate": 1e-3,
        "epochs": 1,
        "batch_size": 8,
        "per_device_batch_size": 4,
        "warmup_ratio": 0.1,
        "scheduler": "cosine",
        "max_length": 96,
        "dtype": "float32",
        "seed": 0,
        "policy": "tiny/dpo/off",
        "checkpoints": folder / "checkpoints",
        "checkpoint_minutes": 15,
        "output": folder / "policy" / "manifest.json",
        **changes,
    }
    return as_flags(**flags)


def as_flags(**flags: object) -> list[object]:
    return [part for name, value in flags.items() for part in (f"--{name.replace('_', '-')}", value)]


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a policy but the ledger, which tells times."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".ledger.json"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def small_config(architecture: str, vocabulary: int, tied: bool, grouped: bool):
    """A configuration of two small layers; `tied` to the embedding, queries in groups."""
    import transformers

    return getattr(transformers, f"{architecture}Config")(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
        initializer_range=0.2,
        tie_word_embeddings=tied,
        **({"num_key_value_heads": 1, "head_dim": 32} if grouped else {}),
    )
