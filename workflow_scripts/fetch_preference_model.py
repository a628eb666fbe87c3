"""Fetch a preference model from the hub or from a local folder: a ranker in llm-blender's layout, PairRM above all, or a
reward model (sequence classification with one score).

Of a reward model, configuration, tokenizer and safetensors go into `model/`; the first two are tried. The day of the first fetch is
written into a chat template that asks for today's, so that labels do not depend on the day. Of a ranker, into the folder
of the manifest go `ranker/` (the ranker as published) and, where the ranker names one, `base/` (the base model, which gives
the tokenizer and the architecture). The model is loaded with llm-blender and scores a few pairs before anything appears
under the output's name. A local folder's files become hard links where the file system allows it.
"""

import argparse
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import replacing_folder
from dpo_stages.core.hub import add_hub_flags, find, first_day, same_commit
from dpo_stages.core.manifests import MANIFEST, link_files, write_manifest
from dpo_stages.core.program import finish, run
from dpo_stages.models.architectures import is_reward_model
from dpo_stages.models.templates import fix_template, own_template
from dpo_stages.preferences.opening import (
    base_beside,
    check_ranker,
    find_preference_model,
    model_config,
)
from dpo_stages.preferences.options import (
    BASE,
    RANKER,
    RANKER_KIND,
    REWARD_MODEL,
    REWARD_MODEL_KIND,
    SAFETENSORS,
    SMALL_FILES,
    WEIGHTS,
)
from dpo_stages.preferences.published import tokenizer_and_config

RANKER_FILES = (*SMALL_FILES, *WEIGHTS)
REWARD_MODEL_FILES = (*SMALL_FILES, SAFETENSORS)
BASE_FILES = (*SMALL_FILES, "pytorch_model.bin", "model.safetensors")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", required=True, metavar="ID_OR_FOLDER", help="as llm-blender/PairRM, or a folder")
    add_hub_flags(parser)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="MANIFEST", help=f"…/{MANIFEST}; its folder is replaced"
    )
    arguments = parser.parse_args()
    if arguments.output.name != MANIFEST:
        raise BadInput(f"--output must end in {MANIFEST}, which lists the files beside it; got {arguments.output}")
    return arguments


def names(folder: Path, patterns: tuple[str, ...]) -> list[str]:
    """Files of a folder that match one of the patterns; of two formats of weights the one that llm-blender takes."""
    found = sorted({file.name for pattern in patterns for file in folder.glob(pattern) if file.is_file()})
    if "pytorch_model.bin" in found and "model.safetensors" in found:
        found.remove("model.safetensors")
    return found


def base_of(ranker: Path, config: dict) -> str | None:
    """The base model that a ranker's configuration names: a folder beside it, else what it says; None: the ranker."""
    if not config.get("model_name"):
        return None
    beside = [ranker / config["model_name"], ranker.parent / BASE]
    return next((str(folder) for folder in beside if folder.is_dir()), config["model_name"])


def main() -> None:
    arguments = parse_arguments()
    source, commit = find_preference_model(arguments.path, arguments.revision)
    folder = source / RANKER if (source / RANKER).is_dir() else source
    about = {"source": arguments.path, "revision": commit}
    pinned = same_commit(arguments.pin, arguments.path, arguments.revision, commit)
    with pinned, replacing_folder(arguments.output.parent) as target:
        if is_reward_model(model_config(folder)):
            about |= put_reward_model(folder, target, arguments.pin, arguments.path)
        else:
            about |= put_ranker(folder, target, arguments.pin)
        write_manifest(target, about)
        files = sum(1 for file in target.rglob("*") if file.is_file())
    finish(arguments.output, 1, 1, {}, files=files, revision=commit or "local")


def put_ranker(folder: Path, target: Path, pin: Path | None) -> dict[str, str | None]:
    """Put a ranker and its base model into `target` and try it out; what the manifest says of it."""
    base = base_of(folder, check_ranker(folder))
    about = {"kind": RANKER_KIND}
    link_files(folder, names(folder, RANKER_FILES), target / RANKER)
    if base is not None:
        base_folder, base_commit = find(base, "main", BASE_FILES)
        with same_commit(pin, base, "main", base_commit):
            link_files(base_folder, names(base_folder, BASE_FILES), target / BASE)
        about |= {"base": base, "base_revision": base_commit}
    try_out(target)
    return about


def put_reward_model(folder: Path, target: Path, pin: Path | None, name: str) -> dict[str, str | None]:
    """Put a reward model into `target`, with the date in a chat template that asks for it, and try what is quick to read.

    Returns:
        What the manifest says of it.
    """
    if not list(folder.glob(SAFETENSORS)):
        raise BadInput(f"{folder} has no {SAFETENSORS}; of reward models no pickles are taken, since they can run code")
    link_files(folder, names(folder, REWARD_MODEL_FILES), target / REWARD_MODEL)
    template = own_template(target / REWARD_MODEL)
    written = {} if template is None else fix_template(target / REWARD_MODEL, template, lambda: first_day(pin))
    tokenizer_and_config(target / REWARD_MODEL, name)
    return {"kind": REWARD_MODEL_KIND, **written}


def try_out(folder: Path) -> None:
    """Load the model with llm-blender; if it may be read without it from now on, see that this gives the same."""
    from dpo_stages.preferences.pairrm.direct import allow_direct_reading

    try:
        allow_direct_reading(folder, folder / RANKER, base_beside(folder / RANKER))
    except (OSError, ValueError, KeyError, RuntimeError, AssertionError) as error:
        raise BadInput(f"llm-blender cannot use this preference model: {error}") from error


if __name__ == "__main__":
    run(main)
