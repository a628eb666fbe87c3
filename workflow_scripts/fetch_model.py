"""Fetch a base model from the hub, or take it from a local folder: safetensors, configuration and tokenizer, no more.

The tokenizer must have a chat template, its own or the one of --chat-template; training, sampling and evaluation use
that one and nothing else. The token that ends the assistant's turn in the template becomes an end of sequence of
generation, which base models often do not declare: a policy that learns to end its turn must be stopped there.

The template is tried: one that alters a plain answer or several turns is refused, since what is trained of a text would
not be what is sampled; what else it alters is a warning. Values for its variables, and the date if it asks for today's, are written
into it, so that they hold wherever the model and the policies made of it are rendered.

The model is not loaded, and no code that came with it is run: weights that exist only as pickles are refused. A local
folder's files become hard links where the file system allows it.
"""

import argparse
import datetime
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, replacing_folder, write_json
from dpo_stages.core.hub import add_hub_flags, download, find, first_day, same_commit
from dpo_stages.core.libraries import importing_libraries, quiet_libraries
from dpo_stages.core.manifests import MANIFEST, link_files, write_manifest
from dpo_stages.core.program import finish, run
from dpo_stages.models.architectures import not_a_writer
from dpo_stages.models.templates import (
    TEMPLATE,
    TOKENIZER_CONFIG,
    fix_template,
    probe_template,
    set_template,
)
from dpo_stages.models.weights import CONFIG, GENERATION_CONFIG, INDEX

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

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
        "--chat-template-arguments",
        type=json_object,
        default={},
        metavar="JSON",
        help="values of variables that the template reads, an object (default: none)",
    )
    parser.add_argument(
        "--date",
        type=datetime.date.fromisoformat,
        metavar="YYYY-MM-DD",
        help="the day on which a template that asks for it is rendered (default: the day that --pin remembers, or today)",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="MANIFEST", help=f"…/{MANIFEST}; its folder is replaced"
    )
    arguments = parser.parse_args()
    if arguments.output.name != MANIFEST:
        raise BadInput(f"--output must end in {MANIFEST}, which lists the files beside it; got {arguments.output}")
    if arguments.chat_template and not arguments.chat_template.is_file():
        raise BadInput(f"--chat-template {arguments.chat_template} does not exist")
    return arguments


def json_object(text: str) -> dict[str, Any]:
    """A flag's value that is a JSON object."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError
    return value


def weight_files(folder: Path) -> list[str]:
    """Names of the safetensors files of a model whose small files are in `folder`."""
    if (folder / INDEX).exists():
        return sorted(set(read_json(folder / INDEX)["weight_map"].values()))
    return [SINGLE_WEIGHTS]


def check_config(folder: Path, path: str) -> dict:
    """Read the model's configuration; it must be a causal language model that Transformers knows, in full precision."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

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
    if reason := not_a_writer(config):
        raise BadInput(f"{path} is a model {reason}")
    if config.get("model_type") not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise BadInput(
            f"{path} is of the type {config.get('model_type')!r}, which Transformers does not load as a causal language model; "
            "take a model of text alone"
        )
    if "quantization_config" in config:
        raise BadInput(f"{path} is quantised and cannot be trained; take the model it was made from")
    return config


def try_template(tokenizer: "PreTrainedTokenizerBase") -> tuple[int, dict[str, Any]]:
    """Try the chat template: the token that ends the assistant's turn, and what the ledger says of the rest."""
    from dpo_stages.models.chat_tokens import end_of_turn

    end = end_of_turn(tokenizer)
    altered, system = probe_template(tokenizer, end)
    for name, how in altered.items():
        print(f"warning: the chat template alters {name}: {how}", file=sys.stderr)
    if system != "rendered":
        print(f"warning: system turns are {system}", file=sys.stderr)
    return end, {"altered_by_the_chat_template": list(altered), "system_turns": system}


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
        from dpo_stages.models.chat_tokens import load_tokenizer
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
        try:
            written = fix_template(
                folder,
                tokenizer.get_chat_template(),
                lambda: arguments.date or first_day(arguments.pin),
                arguments.chat_template_arguments,
            )
            end, tried = try_template(load_tokenizer(folder))
        except BadInput as error:
            raise BadInput(f"{arguments.path}: {error}") from error
        end_generation_at(folder, config, end)
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
        write_manifest(folder, {"path": arguments.path, "revision": commit, **written})
    files = len(json.loads(arguments.output.read_text(encoding="utf-8"))["files"])
    finish(arguments.output, files, files, {}, revision=commit or "local folder", **tried)


if __name__ == "__main__":
    run(main)
