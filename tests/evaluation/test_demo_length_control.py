"""Length control is valid in the demo's world: it gives back what the judge would say if it did not like length."""

import math
from random import Random

import numpy as np
import pytest

from dpo_stages.demo import world
from dpo_stages.demo.lengths import concise, padded
from dpo_stages.demo.quality import JUDGE_TEMPERATURE, length_bias, quality, without_padding
from dpo_stages.demo.responders import REFERENCE, TEACHERS
from dpo_stages.evaluation import win_rate
from dpo_stages.evaluation.difficulties import fit_difficulties_of_set
from dpo_stages.evaluation.judgements import Judgements

INSTRUCTIONS = 1600  # fewer, and what a fit finds by chance is a point


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@pytest.fixture(scope="module", params=[0, 1])
def win_rates(request):
    """By policy: the hidden win rate, the judge's and the length-controlled one, in percent.

    The policies are the three teachers, and the same responses of theirs with more padding and with none.
    """
    random = Random(request.param)
    facts = world.draw_facts(random)
    instructions = world.draw_instructions(facts, INSTRUCTIONS, random)
    reference = [REFERENCE.write(facts, text, random) for text in instructions]
    hidden = {}

    def judged(name, answers):
        better_by = [
            quality(facts, text, answer) - quality(facts, text, other)
            for text, answer, other in zip(instructions, answers, reference, strict=True)
        ]
        lengths, other_lengths = (np.array(list(map(len, texts))) for texts in (answers, reference))
        hidden[name] = 100 * np.mean([sigmoid(by / JUDGE_TEMPERATURE) for by in better_by])
        preference = [
            sigmoid(by / JUDGE_TEMPERATURE + length_bias(longer_by))
            for by, longer_by in zip(better_by, lengths - other_lengths, strict=True)
        ]
        return Judgements(name, None, np.arange(INSTRUCTIONS), np.array(preference), other_lengths, lengths, name)

    def longer(texts):
        return [padded(text, random.randint(1, 3), random) for text in texts]

    policies = []
    for name, teacher in TEACHERS.items():
        answers = [teacher.write(facts, text, random) for text in instructions]
        versions = {
            name: answers,
            f"{name}, longer": longer(answers),
            f"{name}, shorter": list(map(without_padding, answers)),
        }
        policies += [judged(*version) for version in versions.items()]
    gamed = judged("verbose", longer(reference)), judged("concise", list(map(concise, reference)))
    difficulties = fit_difficulties_of_set(policies, *gamed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(win_rate, "RESAMPLES", 2)  # intervals are not asked for
        figures = {one.policy: win_rate.compute_win_rate(one, difficulties).figures for one in policies}
    return {name: (hidden[name], one["win_rate"], one["lc_win_rate"]) for name, one in figures.items()}


@pytest.mark.parametrize("teacher", TEACHERS)
def test_length_control_takes_the_length_bias_out(win_rates, teacher):
    for version, bias in (("", 0), (", longer", 1), (", shorter", -1)):
        hidden, raw, controlled = win_rates[f"{teacher}{version}"]
        print(f"{teacher}{version}: hidden {hidden:.1f}, raw {raw:.1f}, LC {controlled:.1f}")
        assert abs(controlled - hidden) < 1.0
        assert bias * (raw - hidden) > 5 if bias else abs(raw - hidden) < 2.0
