"""Fetch a base model from the hub, or take it from a local folder: safetensors, configuration and tokenizer, no more.

The tokenizer must have a chat template, its own or the one of --chat-template; training, sampling and evaluation use
that one and nothing else. The token that ends the assistant's turn in the template becomes an end of sequence of
generation, which base models often do not declare: a policy that learns to end its turn must be stopped there.

The model is not loaded, and no code that came with it is run: weights that exist only as pickles are refused. A local
folder's files become hard links where the file system allows it.
"""

import argparse
import json
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, replacing_folder, write_json, write_text
from dpo_stages.core.hub import add_hub_flags, download, find, same_commit
from dpo_stages.core.libraries import importing_libraries, quiet_libraries
from dpo_stages.core.manifests import MANIFEST, link_files, write_manifest
from dpo_stages.core.program import finish, run
from dpo_stages.models.weights import CONFIG, GENERATION_CONFIG, INDEX

TEMPLATE = "chat_template.jinja"
TOKENIZER_CONFIG = "tokenizer_config.json"
SMALL_FILES = (
    CONFIG,
    GENERATION_CONFIG,
    INDEX,
    TEMPLATE,
    TOKENIZER_CONFIG,
    "tokenizer.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
SINGLE_WEIGHTS = "model.safetensors"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", required=True, metavar="ID_OR_FOLDER", help="as Qwen/Qwen2.5-1.5B, or a folder")
    add_hub_flags(parser)
    parser.add_argument("--chat-template", type=Path, metavar="FILE", help="template that replaces the model's own")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="MANIFEST", help=f"…/{MANIFEST}; its folder is replaced"
    )
    arguments = parser.parse_args()
    if arguments.output.name != MANIFEST:
        raise BadInput(f"--output must end in {MANIFEST}, which lists the files beside it; got {arguments.output}")
    if arguments.chat_template and not arguments.chat_template.is_file():
        raise BadInput(f"--chat-template {arguments.chat_template} does not exist")
    return arguments


def weight_files(folder: Path) -> list[str]:
    """Names of the safetensors files of a model whose small files are in `folder`."""
    if (folder / INDEX).exists():
        return sorted(set(read_json(folder / INDEX)["weight_map"].values()))
    return [SINGLE_WEIGHTS]


def check_config(folder: Path, path: str) -> dict:
    """Read the model's configuration; it must be of an architecture that Transformers knows, in full precision."""
    from transformers import AutoConfig

    if not (folder / CONFIG).is_file():
        raise BadInput(f"{path} has no {CONFIG}: it is no model in the Transformers format")
    config = read_json(folder / CONFIG)
    try:
        AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"{path} is of the type {config.get('model_type')!r}, which this version of Transformers does not know; "
            "models that need code of their own are not supported"
        ) from error
    if "quantization_config" in config:
        raise BadInput(f"{path} is quantised and cannot be trained; take the model it was made from")
    return config


def set_template(folder: Path, template: str) -> None:
    """Make `template` the only chat template of the tokenizer in `folder`."""
    settings = read_json(folder / TOKENIZER_CONFIG) if (folder / TOKENIZER_CONFIG).exists() else {}
    settings.pop("chat_template", None)
    write_json(folder / TOKENIZER_CONFIG, settings)
    write_text(folder / TEMPLATE, template)


def end_generation_at(folder: Path, config: dict, token: int) -> None:
    """Make `token` one of the ends of sequence that generation stops at."""
    file = folder / GENERATION_CONFIG
    settings = read_json(file) if file.exists() else {"bos_token_id": config.get("bos_token_id")}
    ends = settings.get("eos_token_id", config.get("eos_token_id"))
    ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if token not in ends or not file.exists():
        settings["eos_token_id"] = [*ends, token] if token not in ends else ends
        write_json(file, settings)


def main() -> None:
    arguments = parse_arguments()
    template = arguments.chat_template.read_text(encoding="utf-8") if arguments.chat_template else None
    with importing_libraries():
        from dpo_stages.models.chat_tokens import end_of_turn, load_tokenizer
    quiet_libraries()
    source, commit = find(arguments.path, arguments.revision, SMALL_FILES)
    pinned = same_commit(arguments.pin, arguments.path, arguments.revision, commit)
    with pinned, replacing_folder(arguments.output.parent) as folder:
        link_files(source, (name for name in SMALL_FILES if (source / name).is_file()), folder)
        config = check_config(folder, arguments.path)
        if template is not None:
            set_template(folder, template)
        tokenizer = load_tokenizer(folder)
        if len(tokenizer) > config.get("vocab_size", len(tokenizer)):
            raise BadInput(
                f"{arguments.path} has {len(tokenizer)} tokens and embeddings for {config['vocab_size']}: "
                "the tokenizer belongs to another model"
            )
        end_generation_at(folder, config, end_of_turn(tokenizer))
        weights = weight_files(folder)
        if commit:
            source = download(arguments.path, commit, weights)
        missing = [name for name in weights if not (source / name).is_file()]
        if missing:
            raise BadInput(
                f"{arguments.path} has no {missing[0]}: only weights in safetensors are taken, since pickles "
                "(pytorch_model.bin) can run code; the hub offers converted revisions of many models"
            )
        link_files(source, weights, folder)
        write_manifest(folder, {"path": arguments.path, "revision": commit})
    files = len(json.loads(arguments.output.read_text(encoding="utf-8"))["files"])
    finish(arguments.output, files, files, {}, revision=commit or "local folder")


if __name__ == "__main__":
    run(main)
