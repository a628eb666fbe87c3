"""Comparisons of arms: a table becomes columns that are checked, each pair named one way round, and one array a look."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TypeAlias

import numpy as np

from dpo_boundary.blocks import positions
from dpo_boundary.columns import AnyTable, as_columns, check_lengths, named, numbers, without_unknown
from dpo_boundary.errors import BadInput
from dpo_boundary.files import Layout, read_columns, source_of

REQUIRED = ("prompt_id", "arm_1", "arm_2", "arm_1_preferred")
OPTIONAL = ("run", "share", "length_1", "length_2")
LAYOUT = Layout(REQUIRED, OPTIONAL, ("prompt_id", "arm_1", "arm_2", "run"))
ONLY_RUN, ONLY_LOOK = "1", 1.0
DECIMALS = 6  # of a share, so that one written with single precision is the same


@dataclass(frozen=True)
class ArmComparisons:
    """Columns of a race, one element a comparison; the first arm of a pair is the one whose name sorts first.

    Attributes:
        arms: names of the arms, sorted.
        runs: names of the runs, sorted.
        prompt_ids: identifiers of the prompts, sorted.
        share: of an epoch that the arms were trained on.
        first: position of the pair's first arm in `arms`.
        second: position of its second one.
        run: position of the run in `runs`.
        prompt: position of the prompt in `prompt_ids`.
        preferred: how far the first arm's response is preferred, in [0, 1]; 0.5 is a tie.
        longer: length of the first arm's response less that of the second's, in any one unit; None if unknown.
    """

    arms: tuple[str, ...]
    runs: tuple[str, ...]
    prompt_ids: tuple[str, ...]
    share: np.ndarray
    first: np.ndarray
    second: np.ndarray
    run: np.ndarray
    prompt: np.ndarray
    preferred: np.ndarray
    longer: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.preferred)

    def shares(self) -> list[float]:
        """Shares of an epoch at which there is a comparison, smallest first."""
        return np.unique(self.share).tolist()

    def arms_at(self, share: float) -> list[str]:
        """Arms that have a comparison at this look, sorted."""
        here = self.share == share
        return [self.arms[number] for number in np.union1d(self.first[here], self.second[here])]


@dataclass(frozen=True)
class LookArrays:
    """Comparisons of one look: each pair of its arms, in each run, on each prompt.

    Attributes:
        pairs: names of the two arms of each pair.
        runs: names of the runs.
        scores: (pairs, runs, prompts) how far the first arm of the pair is preferred; prompts in seeded order.
        longer: (pairs, runs, prompts) length of its response less that of the other's; None if unknown.
        ignored: comparisons of other arms.
    """

    pairs: tuple[tuple[str, str], ...]
    runs: tuple[str, ...]
    scores: np.ndarray
    longer: np.ndarray | None
    ignored: int


ArmTable: TypeAlias = "ArmComparisons | AnyTable"


def as_arm_comparisons(table: ArmTable, share: float = ONLY_LOOK) -> ArmComparisons:
    """Check comparisons of arms in any of the forms that `decide_race` takes and give them as arrays.

    Args:
        table: the comparisons.
        share: of an epoch, where the table has no column of that name.

    Raises:
        BadInput: it is no table, a column is missing, a value is not what it should be, an arm is compared with itself, or a pair is
            compared twice on one prompt of one run and look.
    """
    if isinstance(table, ArmComparisons):
        return table
    if isinstance(table, (str, os.PathLike)):
        return read_arm_comparisons([table], [share])
    columns = without_unknown(as_columns(table, REQUIRED, OPTIONAL), OPTIONAL)
    preferred = numbers(columns, "arm_1_preferred")
    check_lengths(columns)
    odd = preferred[~((preferred >= 0) & (preferred <= 1))]
    if len(odd):
        raise BadInput(
            f"arm_1_preferred is {odd[0]:g} in {len(odd)} of {len(preferred)} comparisons; it lies between 0, where the "
            "response of arm_2 is preferred, and 1, where that of arm_1 is"
        )
    (names_1, first), (names_2, second) = (named(columns, name, "would be one arm") for name in ("arm_1", "arm_2"))
    arms = tuple(sorted({*names_1, *names_2}))
    first, second = np.searchsorted(arms, names_1)[first], np.searchsorted(arms, names_2)[second]
    if (first == second).any():
        raise BadInput(f"arm {arms[first[first == second][0]]} is compared with itself; leave that out")
    swapped = first > second
    prompt_ids, prompt = named(columns, "prompt_id", "would be one prompt")
    runs, run = (ONLY_RUN,), np.zeros(len(preferred), int)
    if "run" in columns:
        runs, run = named(columns, "run", "would be one run")
    shares = np.full(len(preferred), round(share, DECIMALS))
    if "share" in columns:
        shares = np.round(numbers(columns, "share"), DECIMALS)
        if not (np.isfinite(shares) & (shares > 0)).all():
            raise BadInput(
                "the column share of the comparisons holds shares of an epoch; each is above 0, such as 0.05"
            )
    longer = None
    if "length_1" in columns and "length_2" in columns:
        longer = numbers(columns, "length_1") - numbers(columns, "length_2")
        if not np.isfinite(longer).all():
            raise BadInput("the columns length_1 and length_2 of the comparisons hold a length that is infinite")
        longer = np.where(swapped, -longer, longer)
    made = ArmComparisons(
        arms=arms,
        runs=runs,
        prompt_ids=prompt_ids,
        share=shares,
        first=np.where(swapped, second, first),
        second=np.where(swapped, first, second),
        run=run,
        prompt=prompt,
        preferred=np.where(swapped, 1 - preferred, preferred),
        longer=longer,
    )
    _refuse_repeats(made)
    return made


def _refuse_repeats(made: ArmComparisons) -> None:
    keys = np.stack([made.share, made.first, made.second, made.run, made.prompt])
    kinds, times = np.unique(keys, axis=1, return_counts=True)
    if (times > 1).any():
        share, first, second, run, prompt = kinds[:, times.argmax()]
        raise BadInput(
            f"arms {made.arms[int(first)]} and {made.arms[int(second)]} are compared {times.max()} times on prompt "
            f"{made.prompt_ids[int(prompt)]} in run {made.runs[int(run)]} after {share:g} of an epoch; keep one, such as "
            "the mean over both orders of presentation"
        )


def read_arm_comparisons(paths: Sequence[Path | str], shares: Sequence[float] = ()) -> ArmComparisons:
    """Read the comparisons of a race, one a row, from one file or several.

    Args:
        paths: files, or "-" for standard input, as `files.read_columns` takes them. One without the column share is a
            look: the first file the first of `shares`, and so on.
        shares: of an epoch, of the looks that were announced; none where one file is the only look.

    Raises:
        BadInput: a file is missing or broken, lacks a column, or holds a value that is not what it should be; or
            nothing says which look it is.
    """
    shares = sorted(shares) or [ONLY_LOOK]
    parts: list[dict[str, np.ndarray]] = []
    for number, path in enumerate(paths):
        columns = {name: np.asarray(column) for name, column in read_columns(path, LAYOUT).items()}
        columns = without_unknown(columns, OPTIONAL)
        try:
            if "share" not in columns:
                if number >= len(shares):
                    raise BadInput(
                        f"it is file {number + 1} and has no column share; add one, or announce a share for each file"
                    )
                columns["share"] = np.full(len(columns[REQUIRED[0]]), shares[number])
            as_arm_comparisons(columns)
        except BadInput as error:
            raise BadInput(f"{source_of(path)}: {error}") from error
        parts.append(columns)
    names = [name for name in (*REQUIRED, *OPTIONAL) if any(name in part for part in parts)]
    for name in names:
        for path, part in zip(paths, parts, strict=True):
            if name not in part:
                raise BadInput(f"{source_of(path)} lacks the column {name}, which another file has; add it there")
    return as_arm_comparisons({name: np.concatenate([part[name] for part in parts]) for name in names})


def arrays_at(comparisons: ArmComparisons, share: float, arms: Collection[str], seed: int) -> LookArrays:
    """The comparisons among these arms at one look, as arrays.

    Args:
        comparisons: of the race.
        share: of an epoch; which look.
        arms: those still in, two at least.
        seed: of the order of the prompts.

    Raises:
        BadInput: a pair of them is not compared, a run of a pair lacks a prompt that others have, or there is one prompt.
    """
    wanted = np.isin(comparisons.arms, list(arms))
    here = comparisons.share == share
    chosen = here & wanted[comparisons.first] & wanted[comparisons.second]
    pairs = list(combinations(np.flatnonzero(wanted), 2))
    number_of = {pair: number for number, pair in enumerate(pairs)}
    first, second = comparisons.first[chosen], comparisons.second[chosen]
    pair = np.array([number_of[key] for key in zip(first, second, strict=True)], int)
    for number, (one, other) in enumerate(pairs):
        if not (pair == number).any():
            raise BadInput(
                f"after {share:g} of an epoch arms {comparisons.arms[one]} and {comparisons.arms[other]} are both in the "
                "race, and nothing compares them; add that pair"
            )
    runs, run = np.unique(comparisons.run[chosen], return_inverse=True)
    prompts, prompt = np.unique(comparisons.prompt[chosen], return_inverse=True)
    prompt_ids = tuple(comparisons.prompt_ids[number] for number in prompts)
    there = np.zeros((len(pairs), len(runs), len(prompts)), bool)
    there[pair, run, prompt] = True
    if not there.all():
        missing, of_run, of_prompt = np.argwhere(~there)[0]
        one, other = (comparisons.arms[arm] for arm in pairs[missing])
        raise BadInput(
            f"after {share:g} of an epoch run {comparisons.runs[runs[of_run]]} of arms {one} and {other} lacks prompt "
            f"{prompt_ids[of_prompt]}, which another run or pair has; compare it there, or leave it out of all"
        )
    if len(prompts) < 2:
        raise BadInput(f"after {share:g} of an epoch there is one prompt, {prompt_ids[0]}; a race needs two at least")
    order = positions(prompt_ids, seed)

    def array(column: np.ndarray) -> np.ndarray:
        made = np.empty(there.shape)
        made[pair, run, prompt] = column[chosen]
        return made[:, :, order]

    return LookArrays(
        pairs=tuple((comparisons.arms[one], comparisons.arms[other]) for one, other in pairs),
        runs=tuple(comparisons.runs[number] for number in runs),
        scores=array(comparisons.preferred),
        longer=None if comparisons.longer is None else array(comparisons.longer),
        ignored=int(here.sum() - chosen.sum()),
    )
