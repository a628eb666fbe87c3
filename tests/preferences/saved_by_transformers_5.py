"""Write small random reward models as Transformers 5 saves them, and what it reads and scores: `FOLDER TEXTS.json`."""

import json
import sys
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}</s>{% endfor %}"
SPECIAL = ["<s>", "</s>", "<unk>", "<|user|>", "<|assistant|>"]
CORPUS = ["the murrow eats honey and lives in caves, isn't it 2026? naïve café 中文"] * 20
SIZES = {
    "vocab_size": 600,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
SIZES |= {"num_key_value_heads": 2}


def by_bytes() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def like_llamas() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 0)]
    )
    return tokenizer


def write(folder: Path, network: str, rope: dict, tokenizer: Tokenizer, kind: str | None) -> None:
    """Write a reward model with a tokenizer of a class; None for one of no class of its own."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{network}Config")(**SIZES, num_labels=1, pad_token_id=1, rope_parameters=rope)
    model = getattr(transformers, f"{network}ForSequenceClassification")(config)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder)
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "extra_special_tokens": SPECIAL[3:]}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=TEMPLATE, **names).save_pretrained(folder)
    if kind:
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "tokenizer_class": kind}))
        AutoTokenizer.from_pretrained(folder).save_pretrained(folder)


def read(folder: Path, texts: list[str]) -> dict[str, object]:
    """The class of a folder's tokenizer, tokens of texts, and scores of them as answers to the first."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    scores = []
    for text in texts:
        turns = [{"role": "user", "content": texts[0]}, {"role": "assistant", "content": text}]
        ids = tokenizer.apply_chat_template(turns, return_dict=False)
        with torch.no_grad():
            scores.append(model(input_ids=torch.tensor([ids])).logits.item())
    kind = json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"]
    return {"class": kind, "tokens": tokenizer(texts).input_ids, "scores": scores}


if __name__ == "__main__":
    root, texts = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    scaled = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaled |= {"original_max_position_embeddings": 64, "rope_theta": 5e5}
    plain = {"rope_type": "default", "rope_theta": 1e6}
    write(root / "generic", "Llama", scaled, by_bytes(), None)
    write(root / "llama", "Llama", plain, like_llamas(), "LlamaTokenizerFast")
    write(root / "mistral", "Mistral", plain, like_llamas(), "LlamaTokenizerFast")
    write(root / "qwen", "Qwen2", plain, by_bytes(), "Qwen2Tokenizer")
    write(root / "gpt", "GPTNeoX", {**plain, "partial_rotary_factor": 0.5}, by_bytes(), "GPT2Tokenizer")
    found = {folder.name: read(folder, texts) for folder in sorted(root.iterdir()) if folder.is_dir()}
    (root / "read.json").write_text(json.dumps(found))
