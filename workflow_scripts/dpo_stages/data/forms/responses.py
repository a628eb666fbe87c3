"""A prompt with the responses of a data set, and the rows that it becomes: two candidates, or all of them.

Of several responses the best score is chosen, a random other one is rejected, as UltraFeedback was binarised. Empty responses
do not take part. Of several best scores the first in the record is chosen; the rejected response is drawn, from the seed and
the prompt alone, among all whose text differs from the chosen one's. A pair of equal scores, or of none, has no original
preference.
"""

from dataclasses import dataclass

from dpo_stages.data.forms.record import EMPTY_RESPONSE, Turn, Unusable, refuse_empty_prompt
from dpo_stages.data.prompts import prompt_id, seeded_number

Row = dict[str, object]

IDENTICAL, ALONE = "identical responses", "no second response"


@dataclass
class Responses:
    """A prompt and what answers it.

    Attributes:
        prompt: conversation that ends with the user's turn.
        responses: text and score of each, in the record's order; a higher score is better, None is none.
        form: which columns were read as what.
        scored_by: what the scores are called in the data; None where there are none but chosen and rejected.
        one_of_several: whether other records hold further responses of the same prompt.
    """

    prompt: list[Turn]
    responses: list[tuple[str, float | None]]
    form: str = ""
    scored_by: str | None = None
    one_of_several: bool = False


def pair_of(found: Responses, seed: int) -> Row:
    """The best response and a random other one, a row of `schemas.OFF_POLICY_CANDIDATES`.

    Raises:
        Unusable: there are no two.
    """
    written = _written(found)
    chosen, best = max(written, key=lambda response: _order(response[1]))  # the first of several
    others = [(text, score) for text, score in written if text != chosen]
    rejected, score = others[seeded_number(seed, prompt_id(found.prompt), "rejected") % len(others)]
    return {
        "prompt_id": prompt_id(found.prompt),
        "prompt": found.prompt,
        "response_1": chosen,
        "response_2": rejected,
        "original_preference": None if score == best else 1,
    }


def group_of(found: Responses) -> Row:
    """All responses, a row of `schemas.OFF_POLICY_GROUPS`; a text that stands there twice counts once, with its best score.

    Raises:
        Unusable: there are no two.
    """
    scores: dict[str, float | None] = {}
    for text, score in _written(found):
        scores[text] = max(scores.get(text, score), score, key=_order)
    known = None not in scores.values()
    return {
        "prompt_id": prompt_id(found.prompt),
        "prompt": found.prompt,
        "responses": list(scores),
        "original_scores": [float(score) for score in scores.values()] if known else None,
    }


def _written(found: Responses) -> list[tuple[str, float | None]]:
    """The responses that are not empty, of which at least two differ."""
    refuse_empty_prompt(found.prompt)
    written = [(text, score) for text, score in found.responses if text.strip()]
    if len({text for text, _ in written}) < 2:
        alone = found.one_of_several and len(found.responses) == 1
        raise Unusable(
            ALONE if alone else EMPTY_RESPONSE if len(written) < len(found.responses) else IDENTICAL, found.prompt
        )
    return written


def _order(score: float | None) -> float:
    return float("-inf") if score is None else score
