"""Rankers read straight from their files, in a quarter of the time that llm-blender takes to start.

When a preference model is put into its folder, llm-blender loads it once, its tokenizer is written out as
`tokenizer.json`, and what is read here is held against what the library loaded: see `allow_direct_reading`. Afterwards
neither llm-blender nor Transformers has to be imported to label, except for close calls (see `pairrm`).
"""

import functools
from pathlib import Path

import torch

from dpo_stages.core.files import read_json
from dpo_stages.preferences.options import TOKENIZER
from dpo_stages.preferences.pairrm.attention import is_supported
from dpo_stages.preferences.pairrm.network import RankerNetwork, bfloat16_network
from dpo_stages.preferences.pairrm.scoring import PairRM
from dpo_stages.preferences.pairrm.tokens import PairEncoder, Tokens
from dpo_stages.preferences.pairs import Pair

WEIGHTS = ("pytorch_model.bin", "model.safetensors")  # in the order in which llm-blender looks for them
TOLERANCE = 1e-5


def load_directly(
    ranker: Path, base: Path | None, tokenizer: Path, name: str, version: str, device: str, precision: str = "float32"
) -> PairRM:
    """Read a ranker without importing llm-blender, unless close calls call for it.

    Args:
        ranker: folder in llm-blender's layout.
        base: folder of its base model; None: the ranker's own.
        tokenizer: the `tokenizer.json` that `allow_direct_reading` wrote.
        name: see `PairRM`.
        version: see `PairRM`.
        device: see `PairRM`.
        precision: float32, or bfloat16 for all but close calls.
    """
    from tokenizers import Tokenizer

    settings = read_json(ranker / "config.json")
    weights = {key: value.to(device, torch.float32) for key, value in _read_weights(ranker).items()}
    config = _backbone_config(ranker, base)
    network = RankerNetwork(weights, config)
    coarse = bfloat16_network(weights, config, device) if precision == "bfloat16" else None
    separator = "[SEP]"
    encoder = PairEncoder(
        Tokenizer.from_file(str(tokenizer)), separator, settings["source_maxlength"], settings["candidate_maxlength"]
    )

    @functools.cache
    def blender() -> object:
        from dpo_stages.preferences.pairrm.llm_blender import load_blender

        return load_blender(ranker, base, device)

    def library_logit(source: Tokens, left: Tokens, right: Tokens) -> float:
        from dpo_stages.preferences.pairrm.llm_blender import library_logit

        return library_logit(blender(), source, left, right)

    return PairRM(network, encoder, library_logit, name, version, device, coarse)


def allow_direct_reading(folder: Path, ranker: Path, base: Path | None) -> None:
    """Write `tokenizer.json` into a preference model's folder if reading it directly gives what llm-blender loads.

    Raises:
        RuntimeError: it is of the kind that can be read directly, but is not read as llm-blender reads it.
    """
    from dpo_stages.preferences.pairrm.llm_blender import library_encoder, library_logit, load_blender

    blender = load_blender(ranker, base, "cpu")
    if not is_supported(_backbone_config(ranker, base)):
        return
    library = library_encoder(blender)
    expected = library.encode(PROBES)
    library.tokenizer.save(str(folder / TOKENIZER))  # which encoding has left without truncation and padding
    direct = load_directly(ranker, base, folder / TOKENIZER, "", "", "cpu")
    if expected != direct.encoder.encode(PROBES):
        raise RuntimeError("its tokenizer reads texts in another way than llm-blender does")
    for order in expected:
        difference = abs(library_logit(blender, *order) - float(direct._logits(direct.network, [order])[0]))
        if not difference <= TOLERANCE:
            raise RuntimeError(f"its logits differ from llm-blender's by {difference}")


PROBES = [
    Pair([{"role": "user", "content": prompt}], first, second)
    for prompt, first, second in (
        ("Name a prime number.", "7 is one.", "Nine, I think, is a prime number; so is 15."),
        ("Écris « bonjour »  en\tarabe :\n", "مرحبا \U0001f44b", "\u3000ｆｕｌｌ width [SEP] [MASK]"),
        ("", "", "word " * 3000),
        ("long " * 3000, "first", "second"),
    )
]


def _read_weights(ranker: Path) -> dict[str, torch.Tensor]:
    file = next(ranker / name for name in WEIGHTS if (ranker / name).is_file())
    if file.suffix == ".bin":
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    from safetensors.torch import load_file

    return load_file(file)


def _backbone_config(ranker: Path, base: Path | None) -> dict[str, object]:
    return read_json((base or ranker) / "config.json")
