"""Models and data sets of the Hugging Face hub: download files, or say in one sentence why that cannot be done.

A branch or a tag of the hub may mean another commit tomorrow. What was made before and what is made after would then stand
on different weights or rows under one name, so the commits that a study began with are remembered in files that no rule
makes (`--pin`), and another one stops the program.
"""

import argparse
import contextlib
import datetime
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json

DATE = "date"  # in the files of --pin, and in manifests
MODEL_ID = r"[\w.-]+(?:/[\w.-]+)?"


def find(path: str, revision: str, patterns: Sequence[str]) -> tuple[Path, str | None]:
    """Folder with those files of a model whose names match, and the commit they come from; None for a folder here.

    Raises:
        BadInput: no such folder, or the hub does not give the model.
    """
    if Path(path).is_dir():
        return Path(path), None
    if not re.fullmatch(MODEL_ID, path) or path.startswith("."):
        raise BadInput(f"{path} is neither a folder nor a model id of the form ORGANISATION/NAME")
    folder = download(path, revision, patterns)
    return folder, folder.name


def cache_folder() -> Path:
    """Where the hub's own library keeps what it has downloaded."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache/huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub")


def add_hub_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--revision` and `--pin` to a program's flags."""
    parser.add_argument("--revision", default="main", help="branch, tag or commit on the hub (default: %(default)s)")
    parser.add_argument(
        "--pin",
        type=Path,
        metavar="FILE",
        help="remember the commit here, and stop if it is another one than last time",
    )


@contextlib.contextmanager
def same_commit(pin: Path | None, path: str, revision: str, commit: str | None) -> Iterator[None]:
    """Make sure that a revision means the commit that `pin` remembers; if the block ends well, remember it from now on.

    Args:
        pin: JSON file, an object with a commit for each `PATH@REVISION` besides what else is remembered; None: nothing is
            checked or remembered.
        path, revision: what was asked of the hub.
        commit: what that means now; None for a folder, or where the hub did not say.

    Raises:
        BadInput: it was another commit before.
    """
    if pin is None or commit is None:
        yield
        return
    name = f"{path}@{revision}"
    if (before := _pins(pin).get(name, commit)) != commit:
        raise BadInput(
            f"{path}: the revision {revision} was {before[:10]} when this study began and is {commit[:10]} now; "
            f"set `revision: {before}` to go on with that one, or delete {pin} to make everything of the new one"
        )
    yield
    write_json(pin, {**_pins(pin), name: commit})  # read again: the block may have remembered something, too


def first_day(pin: Path | None) -> datetime.date:
    """The day that `pin` remembers; else today, which it remembers from now on."""
    today = datetime.date.today().isoformat()
    if pin is None:
        return datetime.date.fromisoformat(today)
    pins = {DATE: today, **_pins(pin)}
    write_json(pin, pins)
    return datetime.date.fromisoformat(pins[DATE])


def _pins(pin: Path) -> dict[str, str]:
    return read_json(pin) if pin.exists() else {}


def dataset_commit(path: str, revision: str) -> str | None:
    """Commit that a revision of a data set means; None for a folder, or where the hub does not say."""
    from huggingface_hub import HfApi

    if Path(path).exists():
        return None
    try:
        return HfApi().dataset_info(path, revision=revision).sha
    except Exception:  # of several network libraries; whoever loads the data says what is wrong, or has it in a cache
        return None


def download(path: str, revision: str, patterns: Sequence[str]) -> Path:
    """Download files of a hub model into the hub's cache; without a network, take them from there."""
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(snapshot_download(path, revision=revision, allow_patterns=list(patterns)))
    except errors.GatedRepoError as error:
        page = f"https://huggingface.co/{path}"
        raise BadInput(f"{path} is gated: accept its terms on {page}, then set HF_TOKEN to a token of yours") from error
    except errors.RevisionNotFoundError as error:
        raise BadInput(f"{path} has no revision {revision} on the hub") from error
    except errors.RepositoryNotFoundError as error:
        raise BadInput(f"{path} is no folder here and no model on the hub (or a private one: set HF_TOKEN)") from error
    except errors.LocalEntryNotFoundError as error:
        raise BadInput(
            f"there is no folder {path} here, the hub cannot be reached, and its local cache lacks {path} at {revision}"
        ) from error
    except Exception as error:  # the hub's client lets several network libraries' errors through
        raise BadInput(f"{path} cannot be downloaded from the hub: {type(error).__name__}: {error}") from error
