"""What helps where an audit finds labels that are not to be trusted, as far as its figures say so."""

from collections.abc import Mapping

from dpo_stages.audit.source import CANNOT_TELL, MOST_FLIPS, TRUSTWORTHY

OTHER_LABELS = (
    "Label with another preference model, or from more candidates a prompt, of which best and worst are further apart."
)
OTHER_THAN_OWN = (
    "Let the preference model label them (`labels: model`), or keep those alone that it labels alike (`labels: agree`)."
)


def advice(found: Mapping, own: bool = False) -> list[str]:
    """Sentences, none where there is nothing to do.

    Args:
        found: of one source, as `source.found_of_labels` gives it.
        own: whether the labels are those of the data set itself.
    """
    if found["verdict"] == CANNOT_TELL:
        if found["order_flips"] is not None and found["order_flips"] > MOST_FLIPS:
            return [f"{_percent(found['order_flips'])} of its preferences hang on the order: name another yardstick."]
        return ["It prefers neither response of any pair: name another yardstick."]
    closer, clearer, gain = (found[name] for name in ("closer", "clearer", "gain_of_clearer"))
    if gain is None:
        return [] if found["verdict"] == TRUSTWORTHY else [OTHER_THAN_OWN if own else OTHER_LABELS]
    halves = (
        f"{_percent(clearer['estimate'])} are right in the half with a margin of {found['median_margin']:.2f} or more, "
        f"{_percent(closer['estimate'])} in the closer half"
    )
    if found["verdict"] == TRUSTWORTHY:
        return [f"Dropping close pairs would leave better labels: {halves}."] if gain["low"] > 0 else []
    if clearer["low"] > 0.5:
        return [OTHER_LABELS, f"Dropping close pairs helps: {halves}."]
    return [OTHER_LABELS, f"Dropping close pairs does not help enough: {halves}."]


def itself(yardstick: str) -> list[str]:
    """What is said where the yardstick is the preference model that labelled."""
    return [f"{yardstick} labelled these pairs itself, so nobody was asked: name another yardstick, or bring votes."]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
