"""Win rate and length-controlled win rate of a policy, with alpaca-eval's own code, and their intervals.

Input is a policy's annotations (see annotations.py), or AlpacaEval's judgements as numbers. `win_rate.json` holds:

    policy                the policy's name
    judge                 {"model", "version", "prompt", "endpoint"}; null where the numbers came without
    instructions          rows judged
    missing_instructions  instructions of the set without a row, by index
    win_rate              percent: mean probability that the policy's response beats the reference's
    standard_error        of win_rate, percent
    win_rate_interval     [low, high], percentile bootstrap over instructions
    lc_win_rate           length-controlled win rate, percent
    lc_interval           [low, high], percentile bootstrap over instructions, the model fitted again to each resample
    lc_kind               which difficulties it stands on, one of LC_KINDS
    lc_by_row_position    only with missing instructions and published difficulties: the value that alpaca-eval's
                          command line gives, which numbers the rows it has from 0 and so mixes up the difficulties
    truncated             responses that were cut at the limit of their length; null where nobody counted
    average_length        of the policy's responses, in characters; reference_length: of the reference's
    wins, draws, losses   rows with preference above, at and below one half
    confidence, resamples of the intervals
    resampled_from        hash of the instructions: resamples of two policies are paired where it is the same
    model                 coefficients of the fitted model (length, difficulty, policy) and its strength C
    package               version of alpaca-eval

The resamples themselves go into `win_rate_resamples.parquet` beside it: resample k of two policies draws the same
instructions, so the difference of two policies has its paired bootstrap already (see gains.py).
"""

import csv
import gzip
import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpo_stages import files
from dpo_stages.alpaca_eval_library import PROMPT
from dpo_stages.annotations import (
    check_preferences,
    describe_judge,
    judge_record,
    name_rows,
    read_annotations,
    unique_by_index,
)
from dpo_stages.length_control import (
    Floats,
    GamedBaselines,
    fit_difficulties,
    resample_counts,
    resampled_lc_win_rates,
    standardised,
)
from dpo_stages.program import BadInput

LC_KINDS = {
    "published": "difficulties published by AlpacaEval, for its 805 instructions and GPT-4-turbo as judge",
    "published for another judge": "difficulties published by AlpacaEval for GPT-4-turbo as judge; this judge is another",
    "fitted": "difficulties fitted jointly over the policies of the study, for its own instruction set and judge",
    "length alone": "no difficulties, which nobody knows for these instructions: controlled for length and nothing else",
}
PUBLISHED_FOR = "gpt-4-1106-preview"
RESAMPLES, SEED, CONFIDENCE = 1000, 0, 0.95

_DATA = Path(__file__).resolve().parent.parent / "alpaca_eval_data"
PUBLISHED = _DATA / "df_gamed.csv"
_REFERENCE_LENGTHS = _DATA / "reference_lengths.csv"
_VERSIONS = ("verbose", "concise")
_LIBRARY_COLUMNS = ("instruction", "output_1", "output_2", "generator_2", "annotator", "preference")
_GAMED_COLUMNS = ("model", "preference", "index", "std_delta_len", "instruction_difficulty")


@dataclass(frozen=True)
class Judgements:
    """What a win rate needs of a policy's annotations; arrays of equal length, ascending by index.

    Attributes:
        policy: its name.
        judge: see annotations.judge_record, None where it is not known.
        index: instruction.
        preference: probability in [0, 1] that the policy's response beats the reference's.
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
    def difference(self) -> Floats:
        """Length of the reference less that of the policy, as alpaca-eval takes it."""
        return (self.reference_length - self.length).astype(float)


def read_judgements(path: str | os.PathLike) -> Judgements:
    """Read `annotations.json`, or a CSV (also gzipped) with the columns index, len_1, len_2 and preference.

    len_1 and len_2 are the lengths of the reference and of the policy in characters; preference is in [1, 2]. What
    alpaca-eval's own command writes for AlpacaEval's instructions has no index, and gets it by the instruction's text.
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
        np.array([row["preference"] for row in ordered], dtype=float) - 1,
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
    known = {row["instruction_sha256"]: int(row["index"]) for row in _csv_rows(_REFERENCE_LENGTHS, ("index",))}
    found = [{**row, "index": known.get(hashlib.sha256(row["instruction"].encode()).hexdigest()[:16])} for row in rows]
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


def _read_csv(path: str | os.PathLike) -> list[dict]:
    rows = []
    for number, row in enumerate(_csv_rows(path, ("index", "len_1", "len_2", "preference")), start=2):
        try:
            rows.append(
                {
                    **{column: _whole(row[column]) for column in ("index", "len_1", "len_2")},
                    "preference": float(row["preference"] or "nan"),
                }
            )
        except ValueError as error:
            raise BadInput(f"{path}, line {number}: {error}") from error
    return rows


def _csv_rows(path: str | os.PathLike, columns: Sequence[str]) -> list[dict[str, str]]:
    if not Path(path).is_file():
        raise BadInput(f"{path} does not exist")
    opener = gzip.open if str(path).endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", restkey="")
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            rows = [] if missing else list(reader)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} is not a whole CSV file ({error})") from error
    if missing:
        raise BadInput(f"{path} lacks the column {', '.join(missing)}")
    if not rows:
        raise BadInput(f"{path} has no rows")
    if longer := [number for number, row in enumerate(rows, start=2) if "" in row]:
        raise BadInput(f"{path}, line {longer[0]}: more values than columns")
    return rows


def _whole(text: str) -> int:
    number = float(text or "nan")
    if not number.is_integer() or not 0 <= number < 1e9:
        raise ValueError(f"{text!r} is not a whole number from 0 to a billion")
    return int(number)


# The length-gamed baselines and the difficulties


@dataclass(frozen=True)
class Difficulties:
    """The gamed baselines of an instruction set, and what they were made for.

    Attributes:
        gamed: judgements of the gamed baselines and the difficulties.
        kind: published, fitted or length alone, see LC_KINDS.
        judge: of the fitted ones; None for the others.
        policies: how many policies the difficulties were fitted over.
        source: the file, for messages.
    """

    gamed: GamedBaselines
    kind: str
    judge: dict[str, str] | None
    policies: int | None
    source: str

    @property
    def indices(self) -> NDArray[np.int64]:
        return np.unique(self.gamed.index)

    def table(self) -> str:
        """The CSV that alpaca-eval reads. It finds an instruction's difficulty by row number, so the instructions are
        numbered by their place in the set here, and so must be those of the annotations."""
        place = np.searchsorted(self.indices, self.gamed.index)
        lines = [",".join([*_GAMED_COLUMNS, "not_gamed_baseline"])]
        columns = (self.gamed.version, self.gamed.preference, place, self.gamed.length_term, self.gamed.difficulty)
        ordered = zip(*(column[np.lexsort((place, self.gamed.version))].tolist() for column in columns), strict=True)
        lines += [f"{_VERSIONS[version]},{','.join(map(repr, values))},False" for version, *values in ordered]
        return "\n".join(lines) + "\n"


def read_difficulties(path: str | os.PathLike = PUBLISHED) -> Difficulties:
    """Read the gamed baselines and difficulties: AlpacaEval's `df_gamed.csv`, or what `write_difficulties` wrote."""
    rows = _csv_rows(path, _GAMED_COLUMNS)
    models = list(dict.fromkeys(row["model"] for row in rows))
    try:
        index = np.array([_whole(row["index"]) for row in rows], dtype=np.int64)
        values = np.array([[float(row[column]) for column in ("preference", *_GAMED_COLUMNS[3:])] for row in rows])
        judge = json.loads(rows[0]["judge"]) if rows[0].get("judge") else None
        policies = int(rows[0]["policies"]) if rows[0].get("policies") else None
    except ValueError as error:
        raise BadInput(f"{path} is not a table of gamed baselines ({error})") from error
    version = np.array([models.index(row["model"]) for row in rows], dtype=np.int64)
    indices = [np.sort(index[version == number]) for number in range(len(models))]
    if len(models) != 2 or len(indices[0]) != len(np.unique(index)) or not np.array_equal(indices[0], indices[1]):
        raise BadInput(f"{path} should hold two gamed baselines, each with every instruction once")
    if not np.isfinite(values).all() or values[:, 0].min() < 0 or values[:, 0].max() > 1:
        raise BadInput(f"{path} has a preference outside [0, 1] or a number that is not finite")
    gamed = GamedBaselines(index, version, values[:, 0], values[:, 1], values[:, 2])
    return Difficulties(gamed, "published" if judge is None else "fitted", judge, policies, str(path))


def without_difficulties(judgements: Judgements) -> Difficulties:
    """What a length-controlled win rate can stand on where neither difficulties nor gamed baselines are known.

    Every difficulty is zero, and so is all that the gamed rows say: their modelled probability is one half whatever the
    coefficients, and the fit is that of the policy's own rows, logit P = phi tanh(d / sd(d)) + theta.
    """
    size = len(judgements.index)
    zeros = np.zeros(2 * size)
    gamed = GamedBaselines(np.tile(judgements.index, 2), np.repeat([0, 1], size), zeros + 0.5, zeros, zeros)
    return Difficulties(gamed, "length alone", None, None, judgements.source)


def fit_difficulties_of_set(policies: Sequence[Judgements], verbose: Judgements, concise: Judgements) -> Difficulties:
    """Fit the difficulties of an instruction set jointly over a study's policies, see length_control.fit_difficulties.

    Args:
        policies: judgements of every policy of the study; one judge, the same instructions.
        verbose, concise: judgements of the two length-gamed versions of the set's own reference, by the same judge.

    Raises:
        BadInput: other instructions, another judge, the same policy twice, lengths without any spread.
    """
    gamed, everyone = (verbose, concise), (*policies, verbose, concise)
    first = everyone[0]
    for other in everyone[1:]:
        require_same_judge(first, other)
        if not np.array_equal(first.index, other.index):
            difference = sorted(set(first.index.tolist()) ^ set(other.index.tolist()))
            raise BadInput(f"{first.source} and {other.source} do not have the same rows: {name_rows(difference)}")
        if not np.array_equal(first.reference_length, other.reference_length):
            raise BadInput(f"{first.source} and {other.source} were not judged against the same reference")
    names = [judgements.policy for judgements in everyone]
    if len(set(names)) != len(names):
        raise BadInput(f"{max(names, key=names.count)} is given more than once; give each policy and baseline once")
    for baseline in gamed:
        if np.ptp(baseline.difference) == 0:
            raise BadInput(
                f"{baseline.source}: every response differs from the reference by the same number of characters; "
                "a length-gamed baseline must differ by different lengths"
            )
    length_terms = np.stack([standardised(judgements.difference) for judgements in gamed])
    preferences = np.stack([judgements.preference for judgements in gamed])
    difficulty = fit_difficulties(
        np.stack([judgements.preference for judgements in policies]),
        np.stack([standardised(judgements.difference) for judgements in policies]),
        preferences,
        length_terms,
    )
    size = len(first.index)
    table = GamedBaselines(
        np.tile(first.index, 2),
        np.repeat([0, 1], size),
        preferences.ravel(),
        length_terms.ravel(),
        np.tile(difficulty, 2),
    )
    return Difficulties(table, "fitted", first.judge, len(policies), "")


def write_difficulties(path: str | os.PathLike, difficulties: Difficulties) -> None:
    """Write fitted difficulties in the columns of AlpacaEval's `df_gamed.csv`, and the judge and number of policies."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*_GAMED_COLUMNS, "not_gamed_baseline", "policies", "judge"])
    gamed, judge = difficulties.gamed, json.dumps(difficulties.judge, sort_keys=True)
    columns = (gamed.version, gamed.preference, gamed.index, gamed.length_term, gamed.difficulty)
    for version, *values in zip(*(column.tolist() for column in columns), strict=True):
        writer.writerow([_VERSIONS[version], *values, False, difficulties.policies, judge])
    files.write_text(path, buffer.getvalue())


def require_same_judge(first: Judgements, second: Judgements) -> None:
    """Results of two judges never meet."""
    if first.judge != second.judge:
        raise BadInput(
            f"{first.source} was judged by {describe_judge(first.judge)} and {second.source} by "
            f"{describe_judge(second.judge)}; results of two judges cannot be used together"
        )


# Win rates


@dataclass(frozen=True)
class WinRate:
    """The content of `win_rate.json`, and the resamples behind its intervals, in percent."""

    figures: dict
    lc_resamples: Floats
    win_rate_resamples: Floats


def compute_win_rate(judgements: Judgements, difficulties: Difficulties) -> WinRate:
    """Win rate and length-controlled win rate of a policy with their intervals.

    Raises:
        BadInput: rows that the difficulties do not know, difficulties of another judge or instruction set, fewer than
            two rows, or responses that all differ from the reference by the same number of characters.
    """
    _check_fit_together(judgements, difficulties)
    place = np.searchsorted(difficulties.indices, judgements.index)
    package, coefficients, strength = _package_metrics(judgements, difficulties, place)
    counts = resample_counts(len(judgements.index), RESAMPLES, SEED)
    plain = lc = 100 * (counts @ judgements.preference) / len(judgements.index)
    if strength is not None:
        lc = resampled_lc_win_rates(
            judgements.index, judgements.preference, judgements.difference, difficulties.gamed, strength, counts
        )
    missing = np.setdiff1d(difficulties.indices, judgements.index)
    kind = difficulties.kind
    if kind == "published" and judgements.judge is not None and judgements.judge["model"] != PUBLISHED_FOR:
        kind = "published for another judge"
    figures = {
        "policy": judgements.policy,
        "judge": judgements.judge,
        "instructions": len(judgements.index),
        "missing_instructions": missing.tolist(),
        "win_rate": float(package["win_rate"]),
        "standard_error": float(package["standard_error"]),
        "win_rate_interval": percentile_interval(plain),
        "lc_win_rate": float(package["length_controlled_winrate"]),
        "lc_interval": percentile_interval(lc),
        "lc_kind": kind,
        "lc_description": LC_KINDS[kind],
        "difficulties_fitted_over": difficulties.policies,
        "truncated": judgements.truncated,
        "average_length": float(judgements.length.mean()),
        "reference_length": float(judgements.reference_length.mean()),
        "wins": int(package["n_wins"]),
        "draws": int(package["n_draws"]),
        "losses": int(package["n_wins_base"]),
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "resampled_from": hashlib.sha256(
            judgements.index.tobytes() + judgements.reference_length.tobytes()
        ).hexdigest(),
        "model": {**dict(zip(("length", "difficulty", "policy"), coefficients, strict=True)), "C": strength},
    }
    if len(missing) and difficulties.kind == "published":
        by_position, _, _ = _package_metrics(judgements, difficulties, np.arange(len(place)))
        figures["lc_by_row_position"] = float(by_position["length_controlled_winrate"])
    from dpo_stages.alpaca_eval_library import version

    figures["package"] = f"alpaca-eval {version()}"
    return WinRate(figures, lc, plain)


def percentile_interval(resamples: Floats, confidence: float = CONFIDENCE) -> list[float]:
    """[low, high] of the percentile bootstrap."""
    tail = 100 * (1 - confidence) / 2
    return [float(value) for value in np.percentile(resamples, [tail, 100 - tail])]


def write_win_rate(path: str | os.PathLike, result: WinRate) -> None:
    """Write `win_rate.json` and, beside it, `win_rate_resamples.parquet`."""
    import pyarrow as pa

    from dpo_stages.gains import RESAMPLES_SCHEMA, resamples_path

    resamples = {"lc_win_rate": result.lc_resamples, "win_rate": result.win_rate_resamples}
    files.write_table(resamples_path(path), pa.table(resamples, schema=RESAMPLES_SCHEMA), RESAMPLES_SCHEMA)
    files.write_json(path, result.figures)


def _check_fit_together(judgements: Judgements, difficulties: Difficulties) -> None:
    if unknown := np.setdiff1d(judgements.index, difficulties.indices).tolist():
        raise BadInput(f"{judgements.source} has {name_rows(unknown)}, which {difficulties.source} does not know")
    if difficulties.kind == "published":
        lengths = {int(row["index"]): int(row["length"]) for row in _csv_rows(_REFERENCE_LENGTHS, ("index", "length"))}
        expected = np.array([lengths[index] for index in judgements.index.tolist()])
        if np.mean(expected != judgements.reference_length) > 0.05:
            raise BadInput(
                f"{judgements.source} was not judged against AlpacaEval's reference, so AlpacaEval's difficulties mean "
                "nothing for it; fit those of its own set (fit_instruction_difficulty.py) and name --gamed-baselines"
            )
    elif difficulties.kind == "fitted" and judgements.judge != difficulties.judge:
        raise BadInput(
            f"{judgements.source} was judged by {describe_judge(judgements.judge)}, the difficulties of "
            f"{difficulties.source} stand on {describe_judge(difficulties.judge)}; fit them for this judge"
        )
    if len(judgements.index) < 2:
        raise BadInput(f"{judgements.source} has one row; a win rate needs at least two")
    if np.ptp(judgements.difference) == 0 and judgements.difference[0] != 0:
        raise BadInput(
            f"{judgements.source}: every response differs from the reference by {judgements.difference[0]:.0f} "
            "characters, so the effect of length cannot be told from that of quality"
        )


def _package_metrics(
    judgements: Judgements, difficulties: Difficulties, place: NDArray[np.int64]
) -> tuple[dict[str, float], list[float], float | None]:
    """alpaca-eval's own metrics, the coefficients of its model and the strength that its cross-validation chose.

    Rows go in by index, because the folds of its cross-validation, and with them the result, depend on their order.
    """
    import warnings

    from dpo_stages.alpaca_eval_library import load

    (glm,) = load("metrics.glm_winrate")
    import pandas as pd

    annotations = pd.DataFrame(
        {
            "index": place,
            "preference": judgements.preference + 1,
            "output_1": [range(length) for length in judgements.reference_length.tolist()],  # their lengths alone count
            "output_2": [range(length) for length in judgements.length.tolist()],
            "generator_1": "reference",
            "generator_2": "policy",
            "annotator": "judge",
        }
    )
    if not judgements.difference.any():
        # Nothing to control for, and alpaca-eval would divide by a spread of zero
        metrics = glm.get_winrate(annotations)
        return {**metrics, "length_controlled_winrate": metrics["win_rate"]}, [0.0, 0.0, 0.0], None
    fitted = []
    download, fit = glm.hf_hub_download, glm.fit_LogisticRegressionCV

    def fit_and_keep(*arguments: object, **options: object) -> object:
        fitted.append(fit(*arguments, **options))
        return fitted[-1]

    glm.hf_hub_download = lambda **_: io.StringIO(difficulties.table())
    glm.fit_LogisticRegressionCV = fit_and_keep
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn announces changes that the environment's pins keep away
            metrics = glm.get_length_controlled_winrate(annotations, save_weights_dir=None)
    finally:
        glm.hf_hub_download, glm.fit_LogisticRegressionCV = download, fit
    (model,) = fitted
    return metrics, [float(value) for value in model.coef_[0]], float(model.C_[0])
