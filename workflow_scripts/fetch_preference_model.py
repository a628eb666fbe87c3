"""Fetch a preference model in llm-blender's layout, PairRM above all, from the hub or from a local folder.

Into the folder of the manifest go `ranker/` (the ranker as published) and, where the ranker names one, `base/` (the base
model, which gives the tokenizer and the architecture). The model is loaded with llm-blender and scores a few pairs
before anything appears under the output's name. A local folder's files become hard links where the file system allows it.
"""

import argparse
import re
from pathlib import Path

from dpo_stages.checkpoints import link_files
from dpo_stages.files import MANIFEST, replacing_folder, write_manifest
from dpo_stages.preference_models import BASE, RANKER, base_beside, check_ranker
from dpo_stages.program import BadInput, finish, run

RANKER_FILES = ("*.json", "*.bin", "*.safetensors", "*.model", "*.txt")
BASE_FILES = ("*.json", "*.model", "*.txt", "pytorch_model.bin", "model.safetensors")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", required=True, metavar="ID_OR_FOLDER", help="as llm-blender/PairRM, or a folder")
    parser.add_argument("--revision", default="main", help="branch, tag or commit on the hub (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="MANIFEST", help=f"…/{MANIFEST}; its folder is replaced"
    )
    arguments = parser.parse_args()
    if arguments.output.name != MANIFEST:
        raise BadInput(f"--output must end in {MANIFEST}, which lists the files beside it; got {arguments.output}")
    return arguments


def find(path: str, revision: str, patterns: tuple[str, ...]) -> tuple[Path, str | None]:
    """Folder of a model, downloaded if it is none here, and the commit it comes from.

    Raises:
        BadInput: no such folder, or the hub does not give the model.
    """
    if Path(path).is_dir():
        return Path(path), None
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", path) or path.startswith("."):
        raise BadInput(f"{path} is neither a folder nor a model id of the form ORGANISATION/NAME")

    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(path, revision=revision, allow_patterns=list(patterns)))
    except Exception as error:  # the hub's client lets several network libraries' errors through
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise BadInput(f"{path} at {revision} cannot be had from the hub ({type(error).__name__}: {reason})") from error
    return folder, folder.name


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
    source, commit = find(arguments.path, arguments.revision, RANKER_FILES)
    folder = source / RANKER if (source / RANKER).is_dir() else source
    base = base_of(folder, check_ranker(folder))
    about = {"kind": "preference model", "source": arguments.path, "revision": commit}

    with replacing_folder(arguments.output.parent) as target:
        link_files(folder, names(folder, RANKER_FILES), target / RANKER)
        if base is not None:
            base_folder, base_commit = find(base, "main", BASE_FILES)
            link_files(base_folder, names(base_folder, BASE_FILES), target / BASE)
            about |= {"base": base, "base_revision": base_commit}
        try_out(target)
        write_manifest(target, about)
        files = sum(1 for file in target.rglob("*") if file.is_file())
    finish(arguments.output, 1, 1, {}, files=files, revision=commit or "local")


def try_out(folder: Path) -> None:
    """Load the model with llm-blender; if it may be read without it from now on, see that this gives the same."""
    from dpo_stages.ranker_files import allow_direct_reading

    try:
        allow_direct_reading(folder, folder / RANKER, base_beside(folder / RANKER))
    except (OSError, ValueError, KeyError, RuntimeError, AssertionError) as error:
        raise BadInput(f"llm-blender cannot use this preference model: {error}") from error


if __name__ == "__main__":
    run(main)
