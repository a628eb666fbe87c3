"""Tokenizer and configuration of a reward model as it is published, whichever Transformers saved it.

Environment pairrm has Transformers 4, which llm-blender needs. Transformers 5 writes three things otherwise: tokenizers of no
class of their own are of the class TokenizersBackend, which 4 does not know; special tokens without a name are a list under
`extra_special_tokens`, at which 4 stops; the base of rotary positions lies in `rope_parameters`, which 4 passes over without
a word, so that all scores are those of another network. They are read here as 5 reads them.
"""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.core.libraries import importing_libraries, quiet_libraries

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

ROTARY_SETTINGS = {
    "rope_theta": ("rope_theta", "rotary_emb_base"),
    "partial_rotary_factor": ("partial_rotary_factor", "rotary_pct"),
}
"""Transformers 5's names of settings in `rope_parameters`, and those that networks of Transformers 4 have for them."""


def tokenizer_and_config(folder: Path, name: str) -> tuple["PreTrainedTokenizerBase", "PreTrainedConfig"]:
    """Read a reward model's tokenizer and configuration; no code that came with it is run.

    Args:
        folder: with the files as they were published.
        name: of the reward model, for errors.

    Raises:
        BadInput: Transformers knows no such tokenizer or network, or the network has more than one score.
    """
    with importing_libraries():
        import transformers
    quiet_libraries()
    try:
        tokenizer, config = _tokenizer(folder), _config(folder)
    except BadInput:
        raise
    except Exception as error:  # a damaged file, an architecture with code of its own, a tokenizer that lacks a package
        raise cannot_be_loaded(name, error) from error
    unknown = [kind for kind in config.architectures or () if not hasattr(transformers, kind)]
    if unknown:
        raise BadInput(
            f"the reward model {name} is a {unknown[0]}, which Transformers {transformers.__version__} lacks"
        )
    if config.num_labels != 1:
        raise BadInput(f"{name} gives {config.num_labels} scores; a reward model with one is needed")
    return tokenizer, config


def cannot_be_loaded(name: str, error: Exception) -> BadInput:
    """What is said of a reward model at which Transformers has stopped."""
    reason = (str(error).strip().splitlines() or [""])[0]
    return BadInput(f"the reward model {name} cannot be loaded ({type(error).__name__}: {reason:.200})")


def _tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    import transformers

    path = folder / "tokenizer_config.json"
    settings = read_json(path) if path.is_file() else {}
    changes, extra = {}, settings.get("extra_special_tokens")
    if isinstance(extra, list):
        changes = {"additional_special_tokens": extra, "extra_special_tokens": {}}
    kind, loader = settings.get("tokenizer_class"), transformers.AutoTokenizer
    is_known = not kind or any(hasattr(transformers, name) for name in (kind, f"{kind}Fast"))
    if not is_known and (folder / "tokenizer.json").is_file():  # which says all about what becomes of a text
        loader = transformers.PreTrainedTokenizerFast
    return loader.from_pretrained(folder, local_files_only=True, **changes)


def _config(folder: Path) -> "PreTrainedConfig":
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    written = read_json(folder / "config.json")
    takes = inspect.signature(type(config).__init__).parameters
    rope = written.pop("rope_parameters", None)
    if rope is None or "rope_parameters" in takes:
        return config
    settings = {new: rope.pop(new) for new in ROTARY_SETTINGS if rope.get(new) is not None}
    moved = {next((old for old in ROTARY_SETTINGS[new] if old in takes), None): settings[new] for new in settings}
    if rope.get("rope_type") != "default":
        moved["rope_scaling"] = rope
    if "rope_theta" not in settings or not moved.keys() <= takes.keys():  # it has several, by kind of layer
        raise BadInput(
            f"{folder}/config.json has rope_parameters that Transformers 4 cannot read; save the model with Transformers 4"
        )
    return type(config)(**{**written, **moved})
