"""The same facts in more words or in fewer: padding that says nothing, and wording without any."""

import re
from random import Random

from dpo_stages.demo.quality import statement_pattern, without_padding
from dpo_stages.demo.world import CATEGORIES, PADDING


def padded(text: str, sentences: int, random: Random) -> str:
    """The text with so many sentences of padding that it does not have yet, in front of it and behind it.

    A text without an end gets them in front alone. The hidden quality stays what it was.
    """
    for sentence in random.sample([sentence for sentence in PADDING if sentence not in text], sentences):
        behind = text.endswith(".") and random.random() < 0.5
        text = f"{text} {sentence}" if behind else f"{sentence} {text}"
    return text


def concise(text: str) -> str:
    """The text with the same statements in fewer words: without padding, in short predicates and joined sentences.

    The hidden quality stays what it was.
    """
    return re.sub(
        r"[.;] it (?=\w)", ", ", statement_pattern().sub(_shortest, without_padding(text)), flags=re.IGNORECASE
    )


def _shortest(match: re.Match) -> str:
    if match.lastgroup == "animal":
        return match[0]
    predicates = CATEGORIES[match.lastgroup.rpartition("_")[0]].predicates
    return min(predicates, key=len).format(value=match[match.lastgroup].lower())
