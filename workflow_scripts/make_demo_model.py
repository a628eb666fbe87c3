"""Make one base model of the demo: a small model of a real architecture, trained on conversations of the tiny world.

The tokenizer is a byte-level BPE trained on the conversations of --tokenizer-data; the same files give every model the
same tokenizer. The model learns --data by plain causal language modelling: every token of a conversation counts, the
user's as well as the assistant's. One thread, so that the same seed gives the same bytes.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.arguments import seed
from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json_lines, replacing_folder, sha256
from dpo_stages.core.libraries import importing_libraries, quiet_libraries, without_hub
from dpo_stages.core.manifests import MANIFEST, write_manifest
from dpo_stages.core.program import ProgressReport, finish, run

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

VOCABULARY_SIZE = 1024
PADDING, END = "<|pad|>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
# A turn is its role's token, the text and <|end|> with nothing in between, so a text cannot merge with what surrounds
# it. The generation block marks what the assistant says, for losses on that alone.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|' + message['role'] + '|>' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{- message['content'] + '<|end|>' -}}{%- endgeneration -%}"
    "{%- else -%}"
    "{{- message['content'] + '<|end|>' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)

ARCHITECTURES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "phi": "PhiForCausalLM"}
HIDDEN_SIZE, LAYERS, HEAD_SIZE = 96, 2, 32  # 32 is the smallest head that vLLM's attention on CPUs knows
CONTEXT = 512  # tokens
BATCH_SIZE, WARMUP_RATIO, WEIGHT_DECAY, MAX_GRADIENT_NORM = 16, 0.1, 0.01, 1.0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="NAME", help="name of the model in the study")
    parser.add_argument("--architecture", required=True, choices=ARCHITECTURES)
    parser.add_argument(
        "--tokenizer-data", type=Path, nargs="+", required=True, metavar="JSONL", help="conversations for the tokenizer"
    )
    parser.add_argument("--data", type=Path, required=True, metavar="JSONL", help="conversations to train on")
    parser.add_argument("--epochs", type=int, required=True, help="passes over --data")
    parser.add_argument("--learning-rate", type=float, required=True, help="peak; linear warm-up, then cosine to zero")
    parser.add_argument("--seed", type=seed, required=True, help="seed of the initial weights and the batches' order")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="MANIFEST", help=f"…/{MANIFEST}; its folder is replaced"
    )
    arguments = parser.parse_args()
    if arguments.output.name != MANIFEST:
        raise BadInput(f"--output must end in {MANIFEST}, which lists the files beside it; got {arguments.output}")
    if arguments.epochs < 1 or not 0 < arguments.learning_rate < float("inf"):
        raise BadInput("--epochs and --learning-rate must be positive and finite")
    return arguments


def read_conversations(path: Path) -> list[list[dict[str, str]]]:
    """Read `{"messages": [{"role", "content"}, ...]}` lines."""
    conversations = []
    for number, row in enumerate(read_json_lines(path), start=1):
        turns = row.get("messages")
        if not isinstance(turns, list) or not turns:
            raise BadInput(f"{path}, row {number}: has no list of turns under 'messages'")
        for turn in turns:
            if not isinstance(turn, dict) or not all(isinstance(turn.get(key), str) for key in ("role", "content")):
                raise BadInput(f"{path}, row {number}: a turn needs a 'role' and a 'content', both of them text")
            if f"<|{turn['role']}|>" not in ROLES:
                raise BadInput(f"{path}, row {number}: the role {turn['role']!r} is none of system, user, assistant")
        conversations.append(turns)
    if not conversations:
        raise BadInput(f"{path} has no conversation")
    return conversations


def train_tokenizer(conversations: list[list[dict[str, str]]]) -> "PreTrainedTokenizerFast":
    """Train a byte-level BPE of at most `VOCABULARY_SIZE` tokens on the texts of conversations.

    The tokenizer adds no special token by itself: they all come from the chat template, so none can be doubled.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[PADDING, END, *ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((turn["content"] for turns in conversations for turn in turns), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PADDING,
        eos_token=END,
        extra_special_tokens=list(ROLES),
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT,
    )


def make_config(architecture: str, tokenizer: "PreTrainedTokenizerFast") -> "PreTrainedConfig":
    """Configuration of a small model: proportions and details are those of the architecture's published models."""
    from transformers import LlamaConfig, MistralConfig, PhiConfig

    common = {
        "architectures": [ARCHITECTURES[architecture]],
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN_SIZE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HIDDEN_SIZE // HEAD_SIZE,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "dtype": "float32",
    }
    if architecture == "phi":
        return PhiConfig(**common, intermediate_size=4 * HIDDEN_SIZE)
    gated = {"intermediate_size": 11 * HIDDEN_SIZE // 4, "tie_word_embeddings": True}
    if architecture == "llama":
        return LlamaConfig(**common, **gated)
    return MistralConfig(**common, **gated, num_key_value_heads=1, head_dim=HEAD_SIZE, sliding_window=None)


def encode(tokenizer: "PreTrainedTokenizerFast", conversations: list[list[dict[str, str]]]) -> "list[torch.Tensor]":
    """Token ids of whole conversations through the chat template."""
    import torch

    texts = [tokenizer.apply_chat_template(turns, tokenize=False) for turns in conversations]
    return [torch.tensor(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]


def train(model: "PreTrainedModel", rows: "list[torch.Tensor]", padding: int, arguments: argparse.Namespace) -> float:
    """Minimise the mean negative log-likelihood of every next token; returns its mean over the last epoch, in nats."""
    import torch
    from torch.nn.functional import cross_entropy
    from torch.nn.utils.rnn import pad_sequence
    from transformers import get_cosine_schedule_with_warmup

    order = torch.Generator().manual_seed(arguments.seed)
    steps_an_epoch = -(-len(rows) // BATCH_SIZE)
    steps = arguments.epochs * steps_an_epoch
    optimiser = torch.optim.AdamW(model.parameters(), lr=arguments.learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = get_cosine_schedule_with_warmup(optimiser, round(WARMUP_RATIO * steps), steps)
    progress = ProgressReport(f"training {arguments.model}", steps)
    model.train()
    for _ in range(arguments.epochs):
        losses = []
        for positions in torch.randperm(len(rows), generator=order).split(BATCH_SIZE):
            ids = pad_sequence([rows[i] for i in positions], batch_first=True, padding_value=padding)
            # Padding is on the right, behind everything that is predicted, so causal attention needs no mask.
            logits = model(input_ids=ids[:, :-1], use_cache=False).logits
            loss = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=padding)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            losses.append(loss.item())
            progress.advance()
    progress.close()
    return sum(losses) / len(losses)


def main() -> None:
    arguments = parse_arguments()
    conversations = read_conversations(arguments.data)
    vocabulary_texts = [turns for path in arguments.tokenizer_data for turns in read_conversations(path)]

    without_hub()
    with importing_libraries():
        import torch
        from transformers import AutoModelForCausalLM
    quiet_libraries()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(arguments.seed)
    tokenizer = train_tokenizer(vocabulary_texts)
    rows = encode(tokenizer, conversations)
    if (longest := max(map(len, rows))) > CONTEXT:
        raise BadInput(f"{arguments.data} has a conversation of {longest} tokens; the model's context is {CONTEXT}")
    model = AutoModelForCausalLM.from_config(make_config(arguments.architecture, tokenizer), dtype=torch.float32)
    loss = train(model, rows, tokenizer.pad_token_id, arguments)
    about = {
        "model": arguments.model,
        "architecture": ARCHITECTURES[arguments.architecture],
        "arguments": {name: getattr(arguments, name) for name in ("epochs", "learning_rate", "seed")},
        "inputs": {
            "data": sha256(arguments.data),
            "tokenizer_data": [sha256(path) for path in arguments.tokenizer_data],
        },
    }
    with replacing_folder(arguments.output.parent) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_manifest(folder, about)
    finish(arguments.output, len(conversations), len(rows), {}, parameters=model.num_parameters(), last_loss=loss)


if __name__ == "__main__":
    run(main)
