"""Preferences in the forms that people keep them in, recognised by the columns of each record.

    pairs        chosen and rejected: texts, conversations that may begin with the prompt, or dialogues in one text
    responses    a list of texts or objects, with scores or ranks (1 is best), or without
    rated rows   one response and its score a row; those of a prompt belong together

A prompt is a text, a conversation or a dialogue. What a form is called in `Responses.form` are the columns that were read.
"""

from dpo_stages.data.forms.dialogues import BROKEN, is_dialogue, is_open_dialogue, prompt_of_dialogue, turns_of_dialogue
from dpo_stages.data.forms.record import (
    Malformed,
    Record,
    Turn,
    Unusable,
    ends_with,
    in_context,
    kind_of,
    names,
    number_of,
    prompt_of,
    text_of,
    turns_of,
)
from dpo_stages.data.forms.responses import Responses

PROMPT = ("prompt", "instruction", "question", "input")
CHOSEN = ("chosen", "chosen_response", "preferred_output")
REJECTED = ("rejected", "rejected_response", "non_preferred_output")
RESPONSES = ("responses", "completions", "answers", "generations")
RESPONSE = ("response", "completion", "answer", "output")
TEXT = ("text", "response", "answer", "content")
SCORES = ("scores", "ratings", "ranks")
SCORE = (
    "score",
    "overall_score",
    "rating",
    "fine_grained_score",
    "fine-grained_score",
    "reward",
    "helpfulness",
    "rank",
)
SCORES_OF_PAIRS = ("score_chosen", "score_rejected")
"""Of a pair; where they are equal it has no label."""
RANKS = ("rank", "ranks")
"""Of what is counted from the best."""

PLAIN = "prompt, chosen, rejected"
IN_DIALOGUES = ", in dialogues of Human and Assistant"


def preferences(record: Record, position: int) -> Responses:
    """What a record of any of these forms holds.

    Raises:
        Malformed: it has none of them, or a value that does not fit.
        Unusable: a dialogue in it is broken.
    """
    if record.get("responses") is not None:  # files of several forms in one have empty columns
        return _several(record, "responses")
    chosen, rejected = record.first_of(CHOSEN), record.first_of(REJECTED)
    if chosen and rejected:
        return _pair(record, chosen, rejected)
    if (several := record.first_of(RESPONSES)) and several != "responses":
        return _several(record, several)
    response, score = record.first_of(RESPONSE), record.first_of(SCORE)
    if response and score:
        return _rated(record, response, score)
    raise Malformed(f"has neither chosen and rejected nor responses; it has {names(record)}{_looks_like(record)}")


def _pair(record: Record, *columns: str) -> Responses:
    values = [record[name] for name in columns]
    in_dialogues = all(map(is_dialogue, values))
    if in_dialogues:
        values = [turns_of_dialogue(value, name) for value, name in zip(values, columns, strict=True)]
        if values[0][:-1] != values[1][:-1] or values[0][-1]["role"] != "assistant":
            raise Unusable(BROKEN)
    read = [_context_and_response(record, value, name) for value, name in zip(values, columns, strict=True)]
    (prompt, chosen, column, opened), (other_prompt, rejected, *_) = read
    if prompt != other_prompt:
        raise Malformed(f"{' and '.join(columns)} do not answer the same prompt")
    form = ", ".join([*([column] if column else []), *columns]) + (IN_DIALOGUES if in_dialogues or opened else "")
    scores = [record.get(name) for name in SCORES_OF_PAIRS]
    tied = None not in scores and scores[0] == scores[1]
    return Responses(in_context(record, prompt, column or "prompt"), [(chosen, 0 if tied else 1), (rejected, 0)], form)


def _several(record: Record, name: str) -> Responses:
    prompt, column, opened = _prompt(record)
    prompt = in_context(record, prompt, column)
    value = record[name]
    if not isinstance(value, list):
        raise Malformed(f"{name} is {kind_of(value)}; a list of texts, or of objects with text and score, is expected")
    if all(isinstance(one, dict) for one in value):
        responses, score = _objects(value, name)
    else:
        texts = [text_of(one, f"{name}, number {number}") for number, one in enumerate(value, start=1)]
        scores, score = _column_of_scores(record, name, len(texts))
        responses = list(zip(texts, scores, strict=True))
    if opened:
        responses = [(text.strip(), score) for text, score in responses]
    how = "without scores" if score is None else f"by {score}{' (1 is best)' if score in RANKS else ''}"
    return Responses(prompt, responses, f"{column}, {name} {how}{IN_DIALOGUES if opened else ''}", score)


def _objects(value: list[dict], name: str) -> tuple[list[tuple[str, float | None]], str | None]:
    """Text and score of each object, and what the score is called in them."""
    score = next((key for key in SCORE if any(one.get(key) is not None for one in value)), None)  # null is none
    responses = []
    for number, one in enumerate(value, start=1):
        where = f"{name}, number {number}"
        key = next((key for key in TEXT if one.get(key) is not None), next((key for key in TEXT if key in one), None))
        if key is None or score not in (None, *one):
            raise Malformed(f"{where} is no object with text and {score or 'score'}")
        number_or_none = None if score is None else _score(one[score], score, f"{where}, {score}")
        responses.append((text_of(one[key], f"{where}, {key}"), number_or_none))
    return responses, score


def _column_of_scores(record: Record, name: str, length: int) -> tuple[list[float | None], str | None]:
    """The scores of responses that are texts, from a column beside them, and its name."""
    column = record.first_of(SCORES)
    scores = record[column] if column else None
    if scores is None:
        return [None] * length, None
    if not isinstance(scores, list) or len(scores) != length:
        found = f"a list of {len(scores)}" if isinstance(scores, list) else kind_of(scores)
        raise Malformed(f"{column} is {found}; a number for each of the {length} {name} is expected")
    return [_score(score, column, f"{column}, number {place}") for place, score in enumerate(scores, start=1)], column


def _rated(record: Record, response: str, score: str) -> Responses:
    prompt, column, opened = _prompt(record)
    text = text_of(record[response], response)
    value = record[score]
    if isinstance(value, str):  # as tables of text have it
        try:
            value = float(value)
        except ValueError as error:
            raise Malformed(f"{score} is {value!r:.40}; a number is expected") from error
    form = f"{column}, {response} by {score}, the rows of a prompt together{IN_DIALOGUES if opened else ''}"
    rated = (text.strip() if opened else text, _score(value, score, score))
    return Responses(in_context(record, prompt, column), [rated], form, score, one_of_several=True)


def _score(value: object, column: str, where: str) -> float:
    """A score, of which a higher one is better."""
    number = number_of(value, where)
    return -number if column in RANKS else number


def _prompt(record: Record) -> tuple[list[Turn], str, bool]:
    """The prompt, the column that it stands in, and whether that is a dialogue."""
    column = record.first_of(PROMPT) or "prompt"
    value = record.column(column)
    if column == "input" and isinstance(value, dict):
        if tools := record["input"].get("tools"):
            raise Malformed(f"input.tools holds {tools!r:.40}, which would change the prompt; leave it out")
        return prompt_of(value.get("messages"), "input.messages"), column, False
    if is_open_dialogue(value):
        return prompt_of_dialogue(value, column), column, True
    return prompt_of(value, column), column, False


def _context_and_response(record: Record, value: object, name: str) -> tuple[list[Turn], str, str | None, bool]:
    """What a response of a pair answers, its text, the column of the prompt if there is one, and whether that is a dialogue."""
    if isinstance(value, str):
        prompt, column, opened = _prompt(record)
        text = text_of(value, name)
        return prompt, text.strip() if opened else text, column, opened
    if not isinstance(value, list):
        raise Malformed(f"{name} is {kind_of(value)}; a text or a list of turns is expected")
    turns = turns_of(value, name)
    ends_with(turns, "assistant", name)
    before, response = turns[:-1], turns[-1]["content"]
    if record.get("prompt") is None and (before or not record.first_of(PROMPT[1:])):
        ends_with(before, "user", f"{name} before its last turn, in a record without prompt,")
        return before, response, None, False
    prompt, column, opened = _prompt(record)
    if before and before[-len(prompt) :] != prompt:
        raise Malformed(f"{name} does not begin with {column}")
    return before or prompt, response, column, opened


def _looks_like(record: Record) -> str:
    """What a record seems to be that holds no preference, and what to do."""
    if "label" in record and record.first_of(RESPONSE):
        return (
            ", which looks like single responses with a label (KTO): a preference needs two responses of one prompt, "
            "so put a good and a bad one of each prompt into a row as chosen and rejected"
        )
    if record.first_of(("messages", "conversations")):
        return ", which looks like conversations without a preference: those are read with the kind chat"
    if record.first_of(RESPONSE):
        return (
            ", which looks like single responses without a score: a preference needs two responses of one prompt, or the "
            "score of each"
        )
    return "; if others of these are meant, name them: `columns: {prompt: …, chosen: …, rejected: …}`" if record else ""
