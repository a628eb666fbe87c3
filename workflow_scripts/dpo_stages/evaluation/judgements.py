"""A policy's judgements as arrays, from this workflow's annotations, alpaca-eval's own, or a CSV of published ones."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpo_stages.core import files
from dpo_stages.core.errors import BadInput
from dpo_stages.evaluation.annotations import check_preferences, read_annotations, unique_by_index
from dpo_stages.evaluation.length_control import Floats
from dpo_stages.judges.alpaca_eval import PROMPT
from dpo_stages.judges.record import describe_judge, judge_record

PUBLISHED_FOR = "gpt-4-1106-preview"
DATA = Path(__file__).resolve().parent / "alpaca_eval_data"
REFERENCE_LENGTHS = DATA / "reference_lengths.csv"
_LIBRARY_COLUMNS = ("instruction", "output_1", "output_2", "generator_2", "annotator", "preference")


@dataclass(frozen=True)
class Judgements:
    """What a win rate needs of a policy's annotations; arrays of equal length, ascending by index.

    Attributes:
        policy: its name.
        judge: see record.judge_record, None where it is not known.
        index: instruction.
        preference: probability in [0, 1] that the policy's response beats the reference's; NaN where the judge gave none.
        reference_length, length: of the two responses, in characters.
        source: the file, for messages.
        truncated: how many of the policy's responses were cut at the limit of their length; None if nobody counted.
    """

    policy: str
    judge: dict[str, str] | None
    index: NDArray[np.int64]
    preference: Floats
    reference_length: NDArray[np.int64]
    length: NDArray[np.int64]
    source: str
    truncated: int | None = None

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Whether the judge gave a preference."""
        return ~np.isnan(self.preference)

    @property
    def difference(self) -> Floats:
        """Length of the reference less that of the policy, as alpaca-eval takes it."""
        return (self.reference_length - self.length).astype(float)


def read_judgements(path: str | os.PathLike) -> Judgements:
    """Read `annotations.json`, or a CSV (also gzipped) with the columns index, len_1, len_2 and preference.

    len_1 and len_2 are the lengths of the reference and of the policy in characters; preference is in [1, 2], or 0 for a
    draw as in alpaca-eval. What alpaca-eval's own command writes for AlpacaEval's instructions has no index, and gets it
    by the instruction's text; a row whose preference is null is there without one, as in alpaca-eval's own figures.
    """
    if str(path).endswith((".csv", ".csv.gz")):
        rows, judge, truncated = _read_csv(path), None, None
        policy = Path(path).name.removesuffix(".gz").removesuffix(".csv")
        ordered = [row for _, row in sorted(unique_by_index(rows, path).items())]
        check_preferences([row["index"] for row in ordered], [row["preference"] for row in ordered], path)
        lengths = [(row["len_1"], row["len_2"]) for row in ordered]
    else:
        ordered = _read_library_annotations(path) or read_annotations(path)
        policy, judge = ordered[0]["generator_2"], ordered[0]["judge"]
        counted = all("truncated" in row for row in ordered)
        truncated = sum(row["truncated"] is True for row in ordered) if counted else None
        lengths = [(len(row["output_1"]), len(row["output_2"])) for row in ordered]
    reference_length, length = np.array(lengths, dtype=np.int64).T
    return Judgements(
        policy,
        judge,
        np.array([row["index"] for row in ordered], dtype=np.int64),
        np.array([row["preference"] for row in ordered], dtype=float) - 1,  # None becomes NaN
        reference_length,
        length,
        str(path),
        truncated,
    )


def _read_library_annotations(path: str | os.PathLike) -> list[dict] | None:
    """Rows of alpaca-eval's own annotations.json with index and judge, ordered by index; None for this workflow's."""
    rows = files.read_json(path)
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict) or "index" in rows[0]:
        return None
    for number, row in enumerate(rows, start=1):
        if missing := [key for key in _LIBRARY_COLUMNS if not isinstance(row, dict) or key not in row]:
            raise BadInput(f"{path}, row {number}: lacks {', '.join(missing)}")
        if wrong := [key for key in _LIBRARY_COLUMNS[:-1] if not isinstance(row[key], str)]:
            raise BadInput(f"{path}, row {number}: {wrong[0]} should be text, found {row[wrong[0]]!r:.40}")
    known = {row["instruction_sha256"]: int(row["index"]) for row in reference_lengths()}
    found = [
        {
            **row,
            "index": known.get(hashlib.sha256(row["instruction"].encode()).hexdigest()[:16]),
            "preference": draw_as_half(row["preference"]),
        }
        for row in rows
    ]
    if unknown := [number for number, row in enumerate(found, start=1) if row["index"] is None]:
        raise BadInput(
            f"{path}, row {unknown[0]}: no index, and the instruction is none of AlpacaEval's, which alone are known by "
            "their text; judge with judge_outputs.py"
        )
    for key, what in (("generator_2", "policies"), ("annotator", "judges")):
        if len({row[key] for row in found}) != 1:
            raise BadInput(f"{path} holds annotations of several {what} (column {key}); one file holds those of one")
    ordered = [row for _, row in sorted(unique_by_index(found, path).items())]
    check_preferences([row["index"] for row in ordered], [row["preference"] for row in ordered], path)
    annotator = ordered[0]["annotator"]
    model = PUBLISHED_FOR if annotator == PROMPT else annotator
    judge = judge_record(model, model, annotator, "openai")
    return [{**row, "judge": judge} for row in ordered]


def reference_lengths() -> list[dict[str, str]]:
    """AlpacaEval's instructions: index, length of the reference's response in characters, hash of the text."""
    return files.read_csv(REFERENCE_LENGTHS, ("index", "length", "instruction_sha256"))


def _read_csv(path: str | os.PathLike) -> list[dict]:
    rows = []
    for number, row in enumerate(files.read_csv(path, ("index", "len_1", "len_2", "preference")), start=2):
        try:
            rows.append(
                {
                    **{column: whole_number(row[column]) for column in ("index", "len_1", "len_2")},
                    "preference": draw_as_half(float(row["preference"] or "nan")),
                }
            )
        except ValueError as error:
            raise BadInput(f"{path}, line {number}: {error}") from error
    return rows


def draw_as_half(preference: object) -> object:
    """alpaca-eval's older way to write a draw, 0, as the 1.5 that it reads; anything else as it is."""
    return 1.5 if preference == 0 and not isinstance(preference, bool) else preference


def whole_number(text: str) -> int:
    number = float(text or "nan")
    if not number.is_integer() or not 0 <= number < 1e9:
        raise ValueError(f"{text!r} is not a whole number from 0 to a billion")
    return int(number)


def require_same_judge(first: Judgements, second: Judgements) -> None:
    """Results of two judges never meet."""
    if first.judge != second.judge:
        raise BadInput(
            f"{first.source} was judged by {describe_judge(first.judge)} and {second.source} by "
            f"{describe_judge(second.judge)}; results of two judges cannot be used together"
        )
