"""What can be measured of two sources of preference data before anything is trained on them."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from labels import Labeller
from policies import Response
from training import Labelled
from worlds import World

from dpo_stages.preferences.pairs import vote


def measure_source(world: World, pairs: Sequence[Labelled], ties: int, reference, audited: int) -> dict[str, float]:
    """Measures of one source's labelled pairs.

    Args:
        world: who judges.
        pairs: its labelled pairs.
        ties: pairs that are left out because the labeller sees no difference.
        reference: log-probabilities of their responses under the initial policy, of `reference_logps`.
        audited: pairs on which the labels are held against the judge, in the order of the prompts, which is random.

    Returns:
        audited, agreements: pairs asked, and how many the judge prefers the chosen response of; its ties are half.
        margin: mean decision of the labeller, in its own unit. ties: their share.
        chosen_logp, rejected_logp: nats a token, under the initial policy. likeness: of chosen and rejected, see `likeness`.
        longer_by: chosen less rejected, characters. cut: share of responses that were cut.
    """
    instructions = world.prompts("train")
    asked = pairs[:audited]
    agreements = sum(
        vote(world.judge(instructions[pair.position], pair.chosen.text, pair.rejected.text)) for pair in asked
    )
    tokens = np.array([[len(pair.chosen.ids), len(pair.rejected.ids)] for pair in pairs]).T
    chosen, rejected = (reference.numpy() / tokens).mean(axis=1)
    return {
        "audited": len(asked),
        "agreements": agreements,
        "margin": float(np.mean([pair.margin for pair in pairs])),
        "ties": ties / (ties + len(pairs)),
        "chosen_logp": float(chosen),
        "rejected_logp": float(rejected),
        "likeness": float(np.mean([likeness(pair.chosen, pair.rejected) for pair in pairs])),
        "longer_by": float(np.mean([len(pair.chosen.text) - len(pair.rejected.text) for pair in pairs])),
        "cut": float(np.mean([[pair.chosen.cut, pair.rejected.cut] for pair in pairs])),
    }


def likeness(first: Response, second: Response) -> float:
    """Share of the tokens that two responses have in common, each as often as both have it (Dice's coefficient)."""
    common = Counter(first.ids) & Counter(second.ids)
    return 2 * common.total() / (len(first.ids) + len(second.ids))


def measure_cell(
    world: World,
    labeller: Labeller,
    test: Mapping[str, Mapping[int, tuple[Response, Response]]],
    labelled: Mapping[str, Sequence[Labelled]],
    off: str,
    on: str,
    asked: int,
) -> dict[str, float]:
    """Measures that compare an off-policy source with an on-policy one.

    Args:
        world: who judges.
        labeller: who labels.
        test: candidates of the test prompts by source.
        labelled: labelled training pairs by source.
        off: name of the off-policy source.
        on: name of the on-policy source.
        asked: prompts on which chosen is compared with chosen and rejected with rejected; those that both sources have.

    Returns:
        boundary_score: share of comparisons that the policy's own test candidates win, by the labeller.
        chosen_judge, chosen_labeller: how often the off-policy chosen response is preferred to the on-policy one, by the
        judge's probability and by the labeller's votes; rejected_judge: the same of the rejected ones.
    """
    instructions = world.prompts("test")
    comparisons = [
        (instructions[row], own.text, other.text)
        for row in test[off]
        for own in test[on][row]
        for other in test[off][row]
    ]
    pairs = {name: {pair.position: pair for pair in labelled[name]} for name in (off, on)}
    rows = sorted(pairs[off].keys() & pairs[on].keys())[:asked]
    prompts = world.prompts("train")
    chosen, rejected = (
        [(prompts[row], *(getattr(pairs[name][row], side).text for name in (off, on))) for row in rows]
        for side in ("chosen", "rejected")
    )
    return {
        "boundary_score": _votes(labeller, comparisons),
        "chosen_judge": _judged(world, chosen),
        "chosen_labeller": _votes(labeller, chosen),
        "rejected_judge": _judged(world, rejected),
    }


def _votes(labeller: Labeller, pairs: Sequence[tuple[str, str, str]]) -> float:
    return float(np.mean([vote(logit) for logit in labeller(pairs)]))


def _judged(world: World, pairs: Sequence[tuple[str, str, str]]) -> float:
    return float(np.mean([0.5 * (1 + np.tanh(world.judge(*pair) / 2)) for pair in pairs]))
