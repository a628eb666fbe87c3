"""How difficult the instructions of a set are, and the gamed baselines that length control leans on: read, fit, write."""

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpo_stages.core import files
from dpo_stages.core.errors import BadInput
from dpo_stages.evaluation.judgements import DATA, Judgements, require_same_judge, whole_number
from dpo_stages.evaluation.length_control import GamedBaselines, fit_difficulties, standardised
from dpo_stages.judges.record import name_rows

PUBLISHED = DATA / "df_gamed.csv"
_VERSIONS = ("verbose", "concise")
_GAMED_COLUMNS = ("model", "preference", "index", "std_delta_len", "instruction_difficulty")


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
    rows = files.read_csv(path, _GAMED_COLUMNS)
    models = list(dict.fromkeys(row["model"] for row in rows))
    try:
        index = np.array([whole_number(row["index"]) for row in rows], dtype=np.int64)
        values = np.array([[float(row[column]) for column in ("preference", *_GAMED_COLUMNS[3:])] for row in rows])
        judge = json.loads(rows[0]["judge"]) if rows[0].get("judge") else None
        policies = int(rows[0]["policies"]) if rows[0].get("policies") else None
    except ValueError as error:
        raise BadInput(f"{path} is not a table of gamed baselines ({error})") from error
    version = np.array([models.index(row["model"]) for row in rows], dtype=np.int64)
    indices = [np.sort(index[version == number]) for number in range(len(models))]
    if len(models) != 2 or len(indices[0]) != len(np.unique(index)) or not np.array_equal(indices[0], indices[1]):
        raise BadInput(f"{path} should hold two gamed baselines, each with every instruction once")
    if not np.isfinite(values[:, 1:]).all() or (values[:, 0] < 0).any() or (values[:, 0] > 1).any():
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
