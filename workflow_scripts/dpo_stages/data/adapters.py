"""Rows of every supported data set in the form of `dpo_stages.data.schemas`: one adapter a data set, behind `adapt`.

An adapter is a pure function of one record; `dpo_stages.data.forms` has them. What cannot be read (a missing column, a number
for a text, a score that is no number) stops the program with the record's number. What can be read and cannot be used is
dropped and counted:

    empty prompt          the last turn of the prompt has no text but white space
    empty response        a response (of a pair, of a conversation, of the reference) has no text but white space
    unfinished            a conversation does not end with a turn of the user and one of the assistant
    begins with assistant a conversation begins with a turn of the assistant, which no chat template renders
    identical responses   there is no second response that differs from the first
    duplicate prompt      the same prompt was kept already: the first usable record of a prompt stays, or on request the last
    broken dialogue       of a dialogue in one text the turns do not alternate, or chosen and rejected go apart too early
    no second response    a prompt whose responses stand in rows of their own has one row alone
    joined to its prompt  one more response of a prompt whose responses stand in rows of their own

Texts are kept as they are, white space included, but for that around the turns of dialogues in one text. Rows keep the order of
the records.

Columns of local data that are part of a prompt join it: `system` becomes its first turn, `input` follows the instruction or
the user's text after an empty line. Others that would change it (`history`, `tools`, …) stop the program where they hold
anything. Columns that nothing reads are named in the summary.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from dpo_stages.core.errors import BadInput
from dpo_stages.data.forms import chats
from dpo_stages.data.forms.preferences import preferences
from dpo_stages.data.forms.record import (
    BEGINS_WITH_ASSISTANT,
    EMPTY_PROMPT,
    EMPTY_RESPONSE,
    Malformed,
    Record,
    Unusable,
)
from dpo_stages.data.forms.responses import IDENTICAL, Responses, Row, group_of, pair_of
from dpo_stages.data.prompts import prompt_id, seeded_number

KINDS = ("preferences", "chat", "instructions")
TWO, ALL = "two", "all"
"""How many responses of a prompt become candidates."""

DUPLICATE, BEYOND_LIMIT, JOINED = "duplicate prompt", "beyond the limit", "joined to its prompt"
ALWAYS_COUNTED = (EMPTY_PROMPT, EMPTY_RESPONSE, chats.UNFINISHED, BEGINS_WITH_ASSISTANT, IDENTICAL, DUPLICATE)

ADAPTERS: dict[tuple[str, str], Callable[[Record, int], Responses | Row]] = {
    ("local", "preferences"): preferences,
    ("local", "chat"): chats.chat,
    ("local", "instructions"): chats.instructions,
    ("ultrafeedback_binarized", "preferences"): chats.ultrafeedback_binarized,
    ("ultrachat_200k", "chat"): chats.ultrachat_200k,
    ("alpaca_eval", "instructions"): chats.alpaca_eval,
    ("auto", "preferences"): preferences,
    ("auto", "chat"): chats.chat,
    ("auto", "instructions"): chats.instructions,
}
OF_ANY_FORM = ("local", "auto")
"""Adapters that recognise columns, and for which they may be named: of files here, of data sets of the hub."""


@dataclass
class Understood:
    """What was understood of a record, before it becomes a row.

    Attributes:
        found: a prompt with its responses, or the row; what makes the record unusable.
        unread: columns with something in them that nothing has read.
    """

    found: Responses | Row | Unusable
    unread: list[str] = field(default_factory=list)


@dataclass
class Adapted:
    """Rows of one data set, and what became of the records.

    Attributes:
        rows: of the kind's schema, in the order of the records, each prompt once.
        records: number of records read.
        prompts: number of different prompts in them, of dropped records too.
        dropped: number of records dropped, by reason.
        unused: columns with something in them that nothing has read.
        forms: number of rows by the form that they were recognised as; empty where the adapter reads one form alone.
    """

    rows: list[Row]
    records: int = 0
    prompts: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    forms: dict[str, int] = field(default_factory=dict)


def adapt(
    records: Iterable[dict],
    adapter: str,
    kind: str,
    seed: int,
    origin: str,
    duplicates: str = "first",
    columns: Mapping[str, str] | None = None,
    responses: str = TWO,
) -> Adapted:
    """Bring the records of a data set into the form of `dpo_stages.data.schemas`.

    Args:
        records: as the data set has them.
        adapter: name of the data set's adapter, the first half of a key of `ADAPTERS`.
        kind: preferences (`OFF_POLICY_CANDIDATES`), chat (`CHAT`) or instructions (`INSTRUCTIONS`).
        seed: seed of the rejected responses of records with scores.
        origin: where the records come from, for messages.
        duplicates: which usable record of a prompt stays, "first" or "last"; its row stands where the first one was.
        columns: the data set's names of columns, by the names that the adapter reads.
        responses: of preferences: "two" of a prompt, or "all" (`OFF_POLICY_GROUPS`).

    Raises:
        BadInput: the adapter has no such kind, a record cannot be read, or no record can be used.
    """
    understood = understand(records, adapter, kind, origin, columns)
    return rows_of(understood, seed, origin, duplicates, responses)


def understand(
    records: Iterable[dict], adapter: str, kind: str, origin: str, columns: Mapping[str, str] | None = None
) -> list[Understood]:
    """What each record says; the arguments are those of `adapt`. Rated rows of a prompt are joined, in the place of the first.

    Raises:
        BadInput: the adapter has no such kind, or a record cannot be read.
    """
    check_adapter(adapter, kind)
    read, understood = ADAPTERS[adapter, kind], []
    groups: dict[str, Responses] = {}
    for position, plain in enumerate(records):
        try:
            record = Record(plain, columns or {})
            found = read(record, position)
        except Unusable as reason:
            understood.append(Understood(reason.with_traceback(None)))  # which would keep the record
            continue
        except Malformed as error:
            raise BadInput(f"{origin}, record {position + 1}: {error}") from error
        if isinstance(found, Responses) and found.one_of_several:
            first = groups.setdefault(prompt_id(found.prompt), found)
            if first.scored_by != found.scored_by:
                raise BadInput(
                    f"{origin}, record {position + 1}: its rating is {found.scored_by}, and that of an earlier response of its "
                    f"prompt {first.scored_by}; keep one, or name it: `columns: {{score: …}}`"
                )
            if first is not found:
                first.responses += found.responses
                understood.append(Understood(Unusable(JOINED, found.prompt)))
                continue
        understood.append(Understood(found, record.unread()))
    return understood


def rows_of(
    understood: Iterable[Understood], seed: int, origin: str, duplicates: str = "first", responses: str = TWO
) -> Adapted:
    """The rows of what was understood; the arguments are those of `adapt`.

    Raises:
        BadInput: no record can be used.
    """
    adapted = Adapted([], dropped=dict.fromkeys(ALWAYS_COUNTED, 0))
    prompts: set[object] = set()  # of records that are dropped
    places: dict[object, int] = {}  # of rows by prompt
    forms: list[str] = []  # of rows
    unused: dict[str, None] = {}  # in the order in which they appear
    for one in understood:
        adapted.records += 1
        try:
            row = row_of(one.found, seed, responses)
        except Unusable as reason:
            adapted.dropped[str(reason)] = adapted.dropped.get(str(reason), 0) + 1
            if reason.prompt:
                prompts.add(prompt_id(reason.prompt))
            continue
        place = places.setdefault(row["prompt_id"], len(adapted.rows))
        if place < len(adapted.rows):
            adapted.dropped[DUPLICATE] += 1
            if duplicates == "first":
                continue
        adapted.rows[place : place + 1] = [row]
        forms[place : place + 1] = [one.found.form if isinstance(one.found, Responses) else ""]
        unused |= dict.fromkeys(one.unread)
    adapted.unused, adapted.prompts = list(unused), len(prompts | places.keys())
    adapted.forms = {form: forms.count(form) for form in dict.fromkeys(forms) if form}
    if not adapted.rows:
        counts = ", ".join(f"{count} {reason}" for reason, count in adapted.dropped.items() if count)
        raise BadInput(f"{origin} has no record that can be used ({counts or 'it has none at all'})")
    return adapted


def row_of(found: Responses | Row | Unusable, seed: int, responses: str = TWO) -> Row:
    """The row of what was understood of a record.

    Raises:
        Unusable: it cannot be used.
    """
    if isinstance(found, Unusable):
        raise found
    if isinstance(found, Responses):
        return group_of(found) if responses == ALL else pair_of(found, seed)
    return found


def check_adapter(adapter: str, kind: str) -> None:
    """Make sure that there is such an adapter for such a kind of rows.

    Raises:
        BadInput: there is none; the message says what the adapter reads.
    """
    kinds = [known for name, known in ADAPTERS if name == adapter]
    if not kinds:
        raise BadInput(f"there is no adapter {adapter}; choose one of {', '.join(adapter_names())}")
    if kind not in kinds:
        raise BadInput(
            f"the adapter {adapter} reads {' and '.join(kinds)}, not {kind}; choose another --kind or --adapter"
        )


def adapter_names() -> list[str]:
    return list(dict.fromkeys(name for name, _ in ADAPTERS))


def keep_subset(adapted: Adapted, limit: int | None, seed: int) -> Adapted:
    """Keep at most `limit` rows: a random subset, in which that of every smaller limit is contained.

    Which rows stay depends on the seed and their prompts alone, not on their order. The rest counts as dropped.
    """
    if limit is None:
        return adapted
    ranked = sorted(adapted.rows, key=lambda row: seeded_number(seed, row["prompt_id"], "subset"))
    kept = {row["prompt_id"] for row in ranked[:limit]}
    rows = [row for row in adapted.rows if row["prompt_id"] in kept]
    dropped = {**adapted.dropped, BEYOND_LIMIT: len(adapted.rows) - len(rows)}
    return replace(adapted, rows=rows, dropped=dropped)
