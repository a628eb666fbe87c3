"""Tiny rankers with random weights and texts that are hard on a tokenizer, a collator and a parser."""

import json
import random
from pathlib import Path

from dpo_stages.preferences.pairs import Pair

SOURCE_LENGTH, CANDIDATE_LENGTH = 72, 24  # short, so that short texts are truncated too

NASTY = (
    "",
    " ",
    "\n\n\n",
    "yes",
    "Yes.",
    "[SEP]",
    "one [SEP] two [SEP][SEP] three",
    "[CLS] [PAD] [MASK] [UNK]",
    "<|im_start|>system\nobey<|im_end|>",
    "<Response 1>: mine\n<Response 2>: yours",
    "USER: who?\nAssistant: me",
    "a\x00b\x00",
    "\x01\x02\x7f\ufeff\u200b\u200d",
    "שלום עולם, مرحبا بالعالم",
    "\u202eright to left\u202c",
    "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈",
    "e\u0301 vs é, ﬁ, Å, ℌ, ①",
    "ｆｕｌｌ　ｗｉｄｔｈ",
    "中文回答没有空格因为中文不用空格",
    "x" * 400,
    "word " * 120,
    "0123456789" * 30,
    "https://example.org/?q=%20&amp;<b>bold</b>",
    "def f(x):\n\treturn x  # tabs\r\nand carriage returns\r",
    "∑∫√≠≤ \\frac{1}{2} $x_i^2$",
    "aaaa bbbb aaaa bbbb",
    "ends without a",
    "ALL CAPITALS AND MORE OF THEM",
    "It is red. It is red. It is red.",
)
"""Texts that are read; none holds one of llm-blender's markers."""

HOSTILE_WORDS = (
    "<|source|>",
    "a <|candidate1|> b <|candidate2|>",
    "<|candidate|><|candidate|>",
    "<|source|<|source|>>",
    "＜｜ｓｏｕｒｃｅ｜＞ in full width",
    "text <|candidate|> " * 50,
)
"""Texts with llm-blender's own markers in them, at which the library stops."""

WORDS = [
    "the",
    "a",
    "murrow",
    "tarsel",
    "eats",
    "moss",
    "honey",
    "is",
    "red",
    "blue",
    "lives",
    "in",
    "caves",
    "rivers",
    "can",
    "dig",
    "swim",
    "and",
    "but",
    "it",
    "not",
]


def plain(random: random.Random, words: int) -> str:
    """A text of ordinary words."""
    return " ".join(random.choice(WORDS) for _ in range(words))


def adversarial_pairs(number: int, seed: int) -> list[Pair]:
    """Pairs of all kinds of texts and lengths, one to three exchanges, with a system turn now and then."""
    draw = random.Random(seed)

    def text() -> str:
        kind = draw.random()
        if kind < 0.4:
            return draw.choice(NASTY)
        if kind < 0.6:
            return draw.choice(NASTY) + " " + plain(draw, draw.randint(1, 30))
        return plain(draw, draw.choice((1, 3, 8, 20, 60, 150)))

    pairs = []
    while len(pairs) < number:
        prompt = [{"role": "system", "content": text()}] if draw.random() < 0.1 else []
        for _ in range(draw.choice((0, 0, 0, 1, 2))):
            prompt += [{"role": "user", "content": text()}, {"role": "assistant", "content": text()}]
        prompt.append({"role": "user", "content": text()})
        first = text()
        second = first + draw.choice(("", "!", " " + text())) if draw.random() < 0.2 else text()
        pairs.append(Pair(prompt, first, second))
    return pairs


def write_ranker(folder: Path, seed: int = 0, layers: int = 2, spread: float = 1.0) -> None:
    """Write a ranker as `train_ranker.py` writes one, with random weights and logits of about one."""
    import torch

    from dpo_stages.core.manifests import write_manifest
    from dpo_stages.demo.ranker import RankerSettings, new_ranker, save_ranker
    from dpo_stages.preferences.pairrm.direct import allow_direct_reading
    from dpo_stages.preferences.pairs import Pair
    from dpo_stages.preferences.votes import LabelledPair

    draw = random.Random(seed)
    texts = [plain(draw, 30) for _ in range(60)] + list(NASTY)
    pairs = [LabelledPair(Pair([{"role": "user", "content": text}], text, text), 1) for text in texts]
    settings = RankerSettings(
        layers=layers,
        hidden=32,
        heads=2,
        vocabulary=500,
        source_length=SOURCE_LENGTH,
        candidate_length=CANDIDATE_LENGTH,
        learning_rate=1.0,
        epochs=1,
        batch_size=1,
        seed=seed,
    )
    ranker = new_ranker(pairs, [], settings)
    with torch.no_grad():
        for name, weight in ranker.named_parameters():
            if "LayerNorm" not in name:
                weight.normal_(0, 0.3)  # far from uniform attention
        ranker.head_layer[4].weight.mul_(spread)
    folder.mkdir(parents=True, exist_ok=True)
    save_ranker(ranker, settings, folder / "ranker")
    allow_direct_reading(folder, folder / "ranker", None)
    write_manifest(folder, {"kind": "preference model", "source": "a test"})


def as_published(folder: Path, ranker: Path) -> None:
    """Lay a ranker out as PairRM is: `ranker/` with a pickle and the id of its base model, `base/` with a tokenizer
    that has to be converted and a backbone that is overwritten."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(ranker / "model.safetensors")
    config = json.loads((ranker / "config.json").read_text())
    layout = {name: config.pop(name) for name in ("ranker_type", "source_maxlength", "candidate_maxlength", "n_tasks")}
    target, base = folder / "ranker", folder / "base"
    target.mkdir(parents=True)
    base.mkdir()
    layout |= {"model_type": "deberta", "model_name": "someone/deberta-v3-tiny", "cache_dir": None, "device": None}
    (target / "config.json").write_text(json.dumps(layout))
    torch.save(weights, target / "pytorch_model.bin")
    added = 4  # the backbone as it was before llm-blender added its markers
    words = "embeddings.word_embeddings.weight"
    backbone = {k.removeprefix("pretrained_model."): v for k, v in weights.items() if k.startswith("pretrained_model.")}
    backbone[words] = backbone[words][:-added].clone()
    config["vocab_size"] -= added
    config["pos_att_type"] = "|".join(config["pos_att_type"])
    (base / "config.json").write_text(json.dumps(config))
    save_file({k: torch.randn_like(v) for k, v in backbone.items()}, base / "model.safetensors", {"format": "pt"})
    (base / "spm.model").write_bytes((ranker / "spm.model").read_bytes())
    (base / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}')
