"""Reading with clear errors, writing whole files or none, and the manifests of checkpoint folders."""

import codecs
import contextlib
import csv
import fcntl
import glob
import gzip
import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from dpo_stages.core.errors import BadInput

PART = ".part"
_PLACES, _PLACE = 64, 16384  # of a file in a fingerprint, and bytes of one


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it over `path` on success, delete it on failure.

    A reader therefore sees the old file, the whole new file or no file, never a part of one. What a killed process left
    of an earlier attempt at `path` is deleted.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _delete_leftovers(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
    temporary = Path(name)
    try:
        _lock(handle)
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes private files; results are shared like any other file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Like `replacing` for a folder: the content appears under `path` at once, replacing what was there."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _delete_leftovers(path)
    temporary, earlier = (
        Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)) for _ in range(2)
    )
    handles = [os.open(folder, os.O_RDONLY) for folder in (temporary, earlier)]
    try:
        for handle in handles:
            _lock(handle)
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if path.exists():
            path.replace(earlier)  # at once, where deleting it would show parts of it for a while
        temporary.replace(path)
    finally:
        for folder in (temporary, earlier):
            shutil.rmtree(folder, ignore_errors=True)
        for handle in handles:
            os.close(handle)


@contextlib.contextmanager
def scratch_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary folder beside `path` and delete it in the end, with what killed processes have left of such."""
    path = Path(path)
    _delete_leftovers(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=PART) as name:
        handle = os.open(name, os.O_RDONLY)
        try:
            _lock(handle)
            yield Path(name)
        finally:
            os.close(handle)


def _delete_leftovers(path: Path) -> None:
    """Delete temporary files and folders of `path` that no process works on any more, as their locks tell."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*{PART}"):
        with contextlib.suppress(OSError):
            handle = os.open(leftover, os.O_RDONLY if leftover.is_dir() else os.O_RDWR)
            try:
                if _lock(handle):
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            finally:
                os.close(handle)


def _lock(handle: int) -> bool:
    """Lock an open file or folder until it is closed; False if another process has, or the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: object) -> None:
    """Write JSON with a stable layout, whole or not at all; NaN and infinities are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_text(path: str | os.PathLike) -> str:
    """Read UTF-8 text, gzipped where the name ends in .gz, or say in one sentence why that cannot be done."""
    try:
        return b"".join(_lines(path)).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def _lines(path: str | os.PathLike) -> Iterator[bytes]:
    """Lines of a file, gzipped where its name ends in .gz, without a byte order mark."""
    require_file(path)
    try:
        with gzip.open(path) if str(path).endswith(".gz") else open(path, "rb") as file:
            for number, line in enumerate(file):
                yield line if number else line.removeprefix(codecs.BOM_UTF8)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{path} is not a whole gzip file ({error}); make it again") from error


def read_json(path: str | os.PathLike, or_lines: bool = False) -> object:
    """Read JSON, or say in one sentence why that cannot be done.

    Args:
        path: the file.
        or_lines: whether it may be JSON Lines by another name, which become a list.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:  # json refuses absurdly long numbers with a plain ValueError
        if or_lines and str(error).startswith("Extra data"):
            return read_json_lines(path)
        raise BadInput(f"{path} is not valid JSON: {error}") from error


def read_json_lines(path: str | os.PathLike) -> list[dict]:
    """Read one JSON object a line; blank lines are skipped, anything else is an error that names its line."""
    rows = []
    with contextlib.closing(_lines(path)) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise BadInput(f"{path}, line {number}: not UTF-8 text; save the file as UTF-8") from error
            except (ValueError, RecursionError) as error:
                raise BadInput(f"{path}, line {number}: not valid JSON ({error})") from error
            if not isinstance(row, dict):
                raise BadInput(f"{path}, line {number}: expected a JSON object, found {type(row).__name__}")
            rows.append(row)
    return rows


def read_csv(path: str | os.PathLike, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV file with a header, gzipped if its name ends in .gz, as rows of text; a value left out is empty.

    Raises:
        BadInput: the file is missing or torn, has no row or a row with more values than columns, or lacks one of
            `columns`.
    """
    require_file(path)
    opener = gzip.open if str(path).endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            rows, names = list(reader), reader.fieldnames or []
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        raise BadInput(f"{path} is not a whole CSV file ({error})") from error
    if missing := [column for column in columns if column not in names]:
        raise BadInput(f"{path} lacks the column {', '.join(missing)}")
    if not rows:
        raise BadInput(f"{path} has no rows")
    if longer := [number for number, row in enumerate(rows, start=2) if None in row]:
        raise BadInput(f"{path}, line {longer[0]}: more values than columns")
    return rows


def first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def require_file(path: str | os.PathLike) -> None:
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"{path} is a folder; a file is expected")
    if not path.exists():
        raise BadInput(f"{path} does not exist")
    if path.stat().st_size == 0:
        raise BadInput(f"{path} is empty")


def sha256(path: str | os.PathLike) -> str:
    """Hash of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(folder: str | os.PathLike, patterns: Sequence[str]) -> str:
    """Hash of a folder's files, quick enough for every start of a workflow: 64 places of a large file stand for all of it.

    Names, sizes and bytes count, times do not: a touched or copied folder is the same. Another training of a model changes
    its weights nearly everywhere.

    Args:
        folder: hidden files in it are left out.
        patterns: as in `Path.glob`; the files that count.
    """
    folder, found = Path(folder), hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts):
            continue
        size = path.stat().st_size
        found.update(f"{name.as_posix()} {size}\0".encode())
        with open(path, "rb") as file:
            for place in range(0, size, max(size // _PLACES, _PLACE)):
                file.seek(place)
                found.update(file.read(_PLACE))
    return found.hexdigest()
