"""What an audit finds between two sources, on the prompts of which both have an answer."""

from collections.abc import Mapping
from dataclasses import asdict

from dpo_stages.audit.source import TIE
from dpo_stages.audit.statistics import mean, share


def contrast(
    first: Mapping[str, Mapping], second: Mapping[str, Mapping], chosen: Mapping[str, Mapping] | None, confidence: float
) -> dict:
    """Hold a source against another one.

    Args:
        first, second: answers on the pairs of each, rows of `columns.ANSWERS` by prompt.
        chosen: answers on chosen response of the first against chosen response of the second; None: nobody was asked.
        confidence: of the intervals.

    Returns:
        Estimates, or None where there is nothing to tell: `agreement`, first less second on the prompts that neither ties on;
        `chosen`, how often the first one's chosen response is better, ties left out; `rejected`, the same of rejected
        responses, which nobody was asked about: the yardstick's logits are added up, as those of Bradley and Terry's model
        add up, over the prompts that have all three. `chosen_ties`: prompts left out of `chosen`.
    """
    both = [
        (first[prompt]["preferred"], second[prompt]["preferred"])
        for prompt in first
        if prompt in second and TIE not in (first[prompt]["preferred"], second[prompt]["preferred"])
    ]
    found = {"agreement": mean([one - other for one, other in both], confidence), "chosen": None, "rejected": None}
    ties = None
    if chosen is not None:
        votes = [answer["preferred"] for answer in chosen.values() if answer["preferred"] != TIE]
        ties = len(chosen) - len(votes)
        found["chosen"] = share(sum(vote == 1 for vote in votes), len(votes), confidence)
        better = [gap > 0 for gap in _gaps_of_rejected(first, second, chosen) if gap]
        found["rejected"] = share(sum(better), len(better), confidence)
    return {name: one and asdict(one) for name, one in found.items()} | {"chosen_ties": ties}


def _gaps_of_rejected(
    first: Mapping[str, Mapping], second: Mapping[str, Mapping], chosen: Mapping[str, Mapping]
) -> list[float]:
    """How much better the first one's rejected response is, in logits: as the chosen ones differ, less what lies within."""
    logits = (
        (chosen[prompt]["logit"], first[prompt]["logit"], second[prompt]["logit"])
        for prompt in chosen
        if prompt in first and prompt in second
    )
    return [
        between - of_first + of_second for between, of_first, of_second in logits if None not in (of_first, of_second)
    ]
