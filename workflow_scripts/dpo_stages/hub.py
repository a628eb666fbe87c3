"""Models of the Hugging Face hub: download their files, or say in one sentence why that cannot be done."""

import re
from collections.abc import Sequence
from pathlib import Path

from dpo_stages.program import BadInput

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
        raise BadInput(f"the hub cannot be reached, and its local cache lacks {path} at {revision}") from error
    except Exception as error:  # the hub's client lets several network libraries' errors through
        raise BadInput(f"{path} cannot be downloaded from the hub: {type(error).__name__}: {error}") from error
