"""Manifests of folders that hold a model: the hash of every file, checked when one is read.

The manifest is the folder's edge in the DAG. Files that two folders have in common are hard links.
"""

import os
import shutil
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, sha256, write_json

MANIFEST = "manifest.json"


def write_manifest(folder: str | os.PathLike, about: dict, absent: Mapping[str, str] | None = None) -> None:
    """Write `manifest.json` into a checkpoint folder: `about`, and the SHA-256 of every other file in it.

    The manifest is the folder's edge in the DAG. It depends on the content alone (no times, no host), so that a
    checkpoint made again with the same bytes leaves the same manifest and reruns nothing.

    Args:
        folder: of the checkpoint.
        about: what else the manifest says.
        absent: hashes of files that belong to the checkpoint as well and are made when they are needed.
    """
    folder = Path(folder)
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST and not path.name.endswith(".ledger.json")
    )
    hashes = {path.relative_to(folder).as_posix(): sha256(path) for path in files} | dict(absent or {})
    write_json(folder / MANIFEST, {**about, "files": dict(sorted(hashes.items(), key=lambda item: Path(item[0])))})


def read_manifest(path: str | os.PathLike, absent: Container[str] = ()) -> dict:
    """Read a checkpoint's manifest and make sure that every file it lists is there, unchanged.

    Args:
        path: the `manifest.json` itself.
        absent: files that need not be there.

    Raises:
        BadInput: a listed file is missing or its hash differs from the manifest's.
    """
    path = Path(path)
    manifest = parse_manifest(path)
    for name, expected in manifest["files"].items():
        file = path.parent / name
        if name in absent:
            continue
        if not file.is_file():
            raise BadInput(f"{file} is listed in {path} but missing; delete {path} to have the checkpoint made again")
        if sha256(file) != expected:
            raise BadInput(f"{file} is not the file that {path} lists; delete {path} to have the checkpoint made again")
    return manifest


def parse_manifest(path: Path) -> dict:
    """What a manifest says, whatever has become of the files.

    Raises:
        BadInput: it is none.
    """
    manifest = read_json(path)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise BadInput(f"{path} is not a manifest: it has no 'files'")
    return manifest


def link_files(source: Path, names: Iterable[str], target: Path) -> None:
    """Put files of one folder into another as hard links, as copies where the file system cannot link them.

    Nothing in this workflow writes into a finished file, so sharing one is safe, and it costs no space.
    """
    for name in names:
        file, link = (source / name).resolve(), target / name
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, link)
        except OSError:
            shutil.copyfile(file, link)
