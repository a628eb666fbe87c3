"""What the parts of the GPU check work on: models of real shapes with random weights, and texts of given lengths.

A character is one token, so that lengths are known. The texts say nothing, and neither do the models: the check is of programs.
"""

import math
import random
import string
from dataclasses import dataclass
from pathlib import Path

from dpo_stages.core.libraries import importing_libraries, quiet_libraries
from dpo_stages.core.parquet import write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import CHAT, OFF_POLICY_CANDIDATES, PREFERENCES

PADDING, END = "<|endoftext|>", "<|im_end|>"  # Qwen's, which its tokenizer adds where they are missing
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{%- for message in messages -%}{{- '<|' + message['role'] + '|>' -}}"
    "{%- if message['role'] == 'assistant' -%}{%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}"
    "{%- else -%}{{- message['content'] + '<|im_end|>' -}}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


@dataclass(frozen=True)
class Shape:
    """Of a model like Qwen2.5, whose embeddings are tied."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    intermediate_size: int
    vocab_size: int


SHAPES = {
    "0.5B": Shape(896, 24, 14, 2, 4864, 151_936),
    "1.5B": Shape(1536, 28, 12, 2, 8960, 151_936),
    "135M": Shape(576, 30, 9, 3, 1536, 49_152),
    "tiny": Shape(64, 2, 2, 1, 128, 512),
}


@dataclass(frozen=True)
class Texts:
    """How long prompts and responses are: the mean in tokens, of a log-normal distribution as wide as real ones are."""

    prompt: float
    response: float
    prompt_width: float = 0.8
    response_width: float = 0.6

    def draw(self, draw: random.Random, mean: float, width: float) -> str:
        """A text of random letters."""
        length = draw.lognormvariate(math.log(mean) - width**2 / 2, width)
        return "".join(draw.choices(string.ascii_lowercase, k=max(4, min(round(length), round(2.4 * mean)))))

    def rows(self, count: int, seed: int = 0) -> list[tuple[str, str, str]]:
        """Prompts with two responses each."""
        draw = random.Random(seed)
        lengths = ((self.prompt, self.prompt_width), *[(self.response, self.response_width)] * 2)
        return [tuple(self.draw(draw, *length) for length in lengths) for _ in range(count)]


REAL, SHORT = Texts(250, 400), Texts(12, 16)


def make_model(folder: Path, shape: Shape, reward: bool = False) -> None:
    """Write a folder with a model of random weights in bfloat16, made on the GPU where there is one, and its tokenizer.

    Args:
        folder: that is made.
        shape: of the model.
        reward: a reward model, with one number for a head, instead of a language model.
    """
    with importing_libraries():
        import torch
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
        from transformers import (
            AutoModelForCausalLM,
            AutoModelForSequenceClassification,
            PreTrainedTokenizerFast,
            Qwen2Config,
        )
    quiet_libraries()
    tokens = [PADDING, END, *ROLES, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokens += [f"w{number}" for number in range(len(tokens), shape.vocab_size)]  # sampled, and never read
    tokenizer = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PADDING, eos_token=END, extra_special_tokens=list(ROLES),
        chat_template=TEMPLATE, clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)  # fmt: skip
    architecture = "Qwen2ForSequenceClassification" if reward else "Qwen2ForCausalLM"
    config = Qwen2Config(
        **vars(shape), architectures=[architecture], tie_word_embeddings=True, max_position_embeddings=4096,
        bos_token_id=None, eos_token_id=1, pad_token_id=0, **({"num_labels": 1} if reward else {}),
    )  # fmt: skip
    torch.manual_seed(0)
    family = AutoModelForSequenceClassification if reward else AutoModelForCausalLM
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = family.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)


def write_tables(folder: Path, texts: Texts, count: int) -> int:
    """Write `chat`, `pairs` and `candidates` (Parquet) of the same texts; returns their tokens, template left aside.

    A conversation is a prompt and its first response; a pair and candidates are a prompt and both. Tokens are those of
    `count` prompts with both responses, each of which is read behind its prompt.
    """
    chat, pairs, candidates, tokens = [], [], [], 0
    for prompt, first, second in texts.rows(count):
        turns = [{"role": "user", "content": prompt}]
        key = {"prompt_id": prompt_id(turns)}
        chat.append({**key, "messages": [*turns, {"role": "assistant", "content": first}]})
        two = {"response_1": first, "response_2": second, "original_preference": None}
        candidates.append({**key, "prompt": turns, **two})
        pairs.append(
            {**key, "prompt": turns, "chosen": first, "rejected": second, "logit": 1.0, "chosen_first": True, "order_flip": False}
        )  # fmt: skip
        tokens += 2 * len(prompt) + len(first) + len(second)
    for name, rows, schema in (("chat", chat, CHAT), ("pairs", pairs, PREFERENCES), ("candidates", candidates, OFF_POLICY_CANDIDATES)):  # fmt: skip
        write_table(
            folder / f"{name}.parquet", [{field: row.get(field) for field in schema.names} for row in rows], schema
        )
    return tokens
