"""Tables of pairs to be labelled: candidates of the workflow, and pairs of one's own."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json_lines
from dpo_stages.core.parquet import read_schema, read_table
from dpo_stages.data.candidates import read_candidates, truncated_responses
from dpo_stages.data.preferences import BY_BOTH, NO_OWN_LABEL, OTHER_OWN_LABEL, preference, require_own_labels
from dpo_stages.data.shards import Shard
from dpo_stages.data.thoughts import HIDE, count_thoughts, shown, whole_responses
from dpo_stages.preferences.pairs import Pair, Verdicts

if TYPE_CHECKING:
    import pyarrow as pa

RESPONSES = ("response_1", "response_2")
TEXTS = ("prompt", *RESPONSES)


class PairTable(Protocol):
    """A table with a pair a row, and how a labelled row of it looks."""

    pairs: Sequence[Pair]
    labelled_schema: "pa.Schema"

    def __len__(self) -> int:
        """Rows of the table, with and without a pair in them."""

    def label(self, verdicts: Verdicts) -> tuple[list[dict], dict[str, int], dict[str, object]]:
        """Labelled rows, rows dropped by reason, and further counts for the ledger."""


def read_pairs(
    path: str | os.PathLike,
    shard: Shard,
    drop_truncated: bool = False,
    drop_ties: bool = True,
    drop_disputed: bool = False,
    thoughts: str = HIDE,
) -> PairTable:
    """Read candidates of the workflow or pairs of one's own; which of the two it is, the prompt's type tells.

    Args:
        path: the file.
        shard: which of its rows are wanted.
        drop_truncated: leave out pairs with a response that was cut when it was sampled, where the file tells.
        drop_ties: leave out candidates without a preference; else the second one is chosen.
        drop_disputed: leave out candidates whose own label differs from the preference model's, or is missing.
        thoughts: whether thoughts are shown, see `data/thoughts`; the labelled rows hold them in any case.

    Raises:
        BadInput: a column is missing or of another type, the file cannot be read, or none of its candidates has the label of
            its own that `drop_disputed` asks for.
    """
    import pyarrow as pa

    path = Path(path)
    if path.suffix == ".jsonl":
        return OwnPairs(shard(_checked(read_json_lines(path), path)), thoughts)
    texts = pa.schema([pa.field(name, pa.string()) for name in TEXTS])
    columns = read_schema(path)
    if "prompt" in columns.names and pa.types.is_list(columns.field("prompt").type):
        candidates = read_candidates(path)
        if drop_disputed:
            require_own_labels(candidates["original_preference"].to_pylist(), path)
        rows = shard(candidates).to_pylist()
        return WorkflowCandidates(rows, drop_truncated, drop_ties, drop_disputed, thoughts)
    return OwnPairs(shard(read_table(path, texts)).to_pylist(), thoughts)


def _checked(rows: list[dict], path: Path) -> list[dict]:
    for number, row in enumerate(rows, start=1):
        for name in TEXTS:
            if name not in row:
                raise BadInput(f"{path}, row {number}: lacks {name}; every row needs {', '.join(TEXTS)}")
            if row[name] is not None and not isinstance(row[name], str):
                raise BadInput(f"{path}, row {number}: {name} should be text, found {row[name]!r:.40}")
    return rows


@dataclass(frozen=True)
class WorkflowCandidates:
    """Candidates of the workflow, see `schemas.CANDIDATES`; labelled, they are `schemas.PREFERENCES`."""

    rows: list[dict]
    drop_truncated: bool
    drop_ties: bool
    drop_disputed: bool
    thoughts: str

    @cached_property
    def _whole(self) -> list[dict]:
        """The rows that are not left out for a response that was cut."""
        return [row for row in self.rows if not (self.drop_truncated and (row["truncated_1"] or row["truncated_2"]))]

    @cached_property
    def kept(self) -> list[dict]:
        """The rows that the preference model is asked about."""
        return [row for row in self._whole if not (self.drop_disputed and row["original_preference"] is None)]

    @property
    def pairs(self) -> list[Pair]:
        """A pair for each row that is labelled."""
        return [
            Pair(row["prompt"], *(shown(text, self.thoughts) for text in whole_responses(row))) for row in self.kept
        ]

    @property
    def labelled_schema(self) -> "pa.Schema":
        """Columns of preference data."""
        from dpo_stages.data.schemas import PREFERENCES

        return PREFERENCES

    def __len__(self) -> int:
        return len(self.rows)

    def label(self, verdicts: Verdicts) -> tuple[list[dict], dict[str, int], dict[str, object]]:
        """Preference data of the pairs in which the model sees a difference, or of all where ties are kept.

        Agreement with the data set's own labels is that of all decided pairs, before any is left out for it.
        """
        kept, labelled, agreements = self.kept, [], []
        dropped = {"cut responses": len(self.rows) - len(self._whole), "identical responses": 0, "ties": 0}
        if self.drop_disputed:
            dropped |= {NO_OWN_LABEL: len(self._whole) - len(kept), OTHER_OWN_LABEL: 0}
        logits, flips = verdicts.logits.tolist(), verdicts.order_flips.tolist()
        for row, logit, flip in zip(kept, logits, flips, strict=True):
            first, second = row["response_1"], row["response_2"]
            if logit == 0 and self.drop_ties:
                dropped["identical responses" if first == second else "ties"] += 1
                continue
            original = row["original_preference"]
            agrees = None if original is None or logit == 0 else (original == 1) == (logit > 0)
            if agrees is not None:
                agreements.append(agrees)
            if self.drop_disputed and not agrees:
                dropped["ties" if logit == 0 else OTHER_OWN_LABEL] += 1
                continue
            labelled.append(preference(row, 1 if logit > 0 else 2, logit, flip, agrees))
        counts: dict[str, object] = {"labelled_by": BY_BOTH} if self.drop_disputed else {}
        counts |= truncated_responses(row[name] for row in self.rows for name in ("truncated_1", "truncated_2"))
        counts |= count_thoughts((text for row in kept for text in whole_responses(row)), self.thoughts)
        if agreements:
            counts["agreement_with_original"] = sum(agreements) / len(agreements)
        return labelled, dropped, counts


@dataclass(frozen=True)
class OwnPairs:
    """Pairs of texts; labelled, each keeps its place."""

    rows: list[dict]
    thoughts: str

    @property
    def pairs(self) -> list[Pair]:
        """A pair for each row that is whole; half a surrogate pair, which no file can hold, becomes U+FFFD."""
        return [
            Pair(
                [{"role": "user", "content": _whole(row["prompt"])}],
                *(shown(_whole(row[name]), self.thoughts) for name in RESPONSES),
            )
            for row in self.rows
            if _is_whole(row)
        ]

    @property
    def labelled_schema(self) -> "pa.Schema":
        """The texts and what the model says of them."""
        import pyarrow as pa

        labels = {"logit": pa.float32(), "chosen_first": pa.bool_(), "order_flip": pa.bool_()}
        return pa.schema([*((name, pa.string()) for name in TEXTS), *labels.items()])

    def __len__(self) -> int:
        return len(self.rows)

    def label(self, verdicts: Verdicts) -> tuple[list[dict], dict[str, int], dict[str, object]]:
        """A row for every row, in the same order."""
        labels = zip(verdicts.logits.tolist(), verdicts.order_flips.tolist(), strict=True)
        labelled = []
        for row in self.rows:
            logit, flip = next(labels) if _is_whole(row) else (None, None)
            texts = {name: None if row[name] is None else _whole(row[name]) for name in TEXTS}
            chosen_first = logit > 0 if logit else None
            labelled.append({**texts, "logit": logit, "chosen_first": chosen_first, "order_flip": flip})
        missing = sum(not _is_whole(row) for row in self.rows)
        said = (row[name] for row in self.rows for name in RESPONSES if _is_whole(row))
        return labelled, {}, {"rows_without_text": missing, **count_thoughts(said, self.thoughts)}


def _is_whole(row: dict) -> bool:
    return all(row[name] is not None for name in TEXTS)


def _whole(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
