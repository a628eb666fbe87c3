"""The demo's world: what the hidden quality rewards, how instructions are read, and which splits may not meet."""

import json
import math
from random import Random
from statistics import mean

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.demo import world
from dpo_stages.demo.differences import KINDS, SEVERAL, kind_of_difference
from dpo_stages.demo.faults import FAULTS, draw_label, draw_pair
from dpo_stages.demo.lengths import concise, padded
from dpo_stages.demo.quality import (
    _PLAIN_WORDS,
    LABEL_TEMPERATURE,
    LENGTH_SCALE,
    WEIGHTS,
    Assessment,
    length_bias,
    quality,
    statement_pattern,
    without_padding,
)  # fmt: skip
from dpo_stages.demo.quality import assess as assess_response
from dpo_stages.demo.responders import REFERENCE, RESPONDERS, TEACHERS, Responder

FACTS = world.draw_facts(Random(0))
ANIMAL, OTHER = world.ANIMALS[:2]


def said(animal, category, value=None, number=0):
    """A predicate about an animal: true unless another value is given."""
    return world.CATEGORIES[category].predicates[number].format(value=value or FACTS[animal][category])


def wrong(animal, category):
    return next(value for value in world.CATEGORIES[category].values if value != FACTS[animal][category])


def test_every_value_belongs_to_one_category_so_that_a_statement_can_be_read():
    values = [value for category in world.CATEGORIES.values() for value in category.values]
    assert len(values) == len(set(values))
    assert not {*values, *world.ANIMALS} & _PLAIN_WORDS


def test_the_truth_uses_every_value_about_as_often_as_any_other():
    for name, category in world.CATEGORIES.items():
        counts = [sum(FACTS[animal][name] == value for animal in world.ANIMALS) for value in category.values]
        assert sum(counts) == len(world.ANIMALS) and max(counts) <= 2
    assert world.draw_facts(Random(0)) == FACTS != world.draw_facts(Random(1))


@pytest.mark.parametrize("kind", world.KINDS)
def test_every_instruction_can_be_taken_apart_again(kind):
    texts = world.instructions(kind, FACTS, Random(0))
    assert len(texts) == len(set(texts))
    for text in texts:
        request = world.read_instruction(text)
        assert request.kind == kind and all(animal in text for animal in request.animals)
        assert (request.category is not None) == (kind in ("ask", "check"))
        assert (request.claim is not None) == (kind == "check")


def test_anything_else_is_no_instruction_of_this_world():
    for text in ("", "Tell me about the zebra.", "What is the capital of France?", f"Tell me about the {ANIMAL}. Now!"):
        with pytest.raises(ValueError, match="not an instruction"):
            world.read_instruction(text)


def test_kinds_come_in_their_shares_and_no_instruction_twice():
    drawn = world.draw_instructions(FACTS, 1000, Random(0))
    kinds = [world.read_instruction(text).kind for text in drawn]
    assert len(set(drawn)) == 1000
    assert {kind: kinds.count(kind) / 1000 for kind in world.KINDS} == world.SHARES
    with pytest.raises(ValueError, match="instructions take"):
        world.draw_instructions(FACTS, 100_000, Random(0))


def test_the_components_of_the_hidden_quality():
    describe = f"Tell me about the {ANIMAL}."

    def assess(response):
        return assess_response(FACTS, describe, response)

    good = assess(f"The {ANIMAL} {said(ANIMAL, 'colour')} and {said(ANIMAL, 'food')}. It {said(ANIMAL, 'skill')}.")
    assert good == Assessment(3, 0, 0, 0, 1.0, 0, 0, 0) and good.quality == 5.0
    assert assess(f"The {ANIMAL} {said(ANIMAL, 'food', wrong(ANIMAL, 'food'))}.").wrong == 1
    both_wordings = f"The {ANIMAL} {said(ANIMAL, 'food')}. It {said(ANIMAL, 'food', number=1)}."
    assert (assess(both_wordings).right, assess(both_wordings).repeated) == (1, 1)
    stranger = assess(f"The {OTHER} {said(OTHER, 'food')}.")
    assert (stranger.right, stranger.off_subject, stranger.answered) == (0, 1, 0.0)
    assert assess(f"The {ANIMAL} {said(ANIMAL, 'food')}").unfinished == 1
    assert assess("Lorem ipsum dolor.").stray_words == 3
    assert assess("the " * 30 + ".").stray_words == 26
    everything = " ".join(f"It {said(ANIMAL, name)}." for name in world.CATEGORIES)
    assert assess(f"{everything} It {said(ANIMAL, 'food')}.").statements_too_many == 1
    assert assess("").quality == WEIGHTS["unfinished"]


def test_padding_and_wording_change_the_length_of_a_response_and_not_its_quality():
    drawn, random = world.draw_instructions(FACTS, 600, Random(4)), Random(4)
    texts = [REFERENCE.write(FACTS, text, random) for text in drawn]
    verbose, brief = [padded(text, random.randint(1, 3), random) for text in texts], [concise(text) for text in texts]
    for instruction, *versions in zip(drawn, texts, verbose, brief, strict=True):
        assert len({assess_response(FACTS, instruction, text).quality for text in versions}) == 1, versions
    length = mean(map(len, texts))
    assert 1.2 < mean(map(len, verbose)) / length < 1.6 and 0.4 < mean(map(len, brief)) / length < 0.7
    assert any(text in padded(text, 2, random)[1:] for text in texts)  # in front of it, and behind it
    assert not any(sentence in text for text in brief for sentence in world.PADDING)


def test_no_word_of_the_padding_says_anything():
    for sentence in world.PADDING:
        assert not statement_pattern().search(sentence) and without_padding(f"It {sentence} is") == "It is"
    check = world.CATEGORIES["food"].claim.format(animal=ANIMAL, value=FACTS[ANIMAL]["food"]) + " Give a reason."
    assert assess_response(FACTS, check, f"{world.PADDING[0]} Yes, it {said(ANIMAL, 'food')}.").answered == 1.0
    cut = assess_response(FACTS, check, f"Yes, it {said(ANIMAL, 'food')}. {world.PADDING[1].rstrip('.')}")
    assert cut.unfinished and cut.stray_words


def test_the_judge_likes_length_as_gpt_4_turbo_does():
    drawn, random = world.draw_instructions(FACTS, 2000, Random(5)), Random(5)
    texts = [REFERENCE.write(FACTS, text, random) for text in drawn]
    longer_by = [len(padded(text, random.randint(1, 3), random)) - len(text) for text in texts]
    assert 100 * mean(1 / (1 + math.exp(-length_bias(by))) for by in longer_by) == pytest.approx(64.3, abs=0.7)
    steps = [length_bias(by) for by in (-300, -60, -10, 0, 10, 60, 300)]
    assert steps == sorted(steps) and steps == [-step for step in reversed(steps)]
    assert length_bias(300) - length_bias(5 * LENGTH_SCALE) < 0.01


def test_a_question_is_answered_by_its_value_alone():
    question = world.CATEGORIES["home"].questions[0].format(animal=ANIMAL)
    right, other = said(ANIMAL, "home"), said(ANIMAL, "home", wrong(ANIMAL, "home"))

    def answered(response):
        return assess_response(FACTS, question, response).answered

    assert answered(f"It {right}.") == 1.0
    assert answered(f"It {other}.") == 0.0
    assert answered(f"It {right}. It {other}.") == 0.0
    assert answered(f"It {said(ANIMAL, 'food')}.") == 0.0


def test_a_claim_is_checked_by_yes_or_no_and_the_reason():
    body = world.CATEGORIES["food"].claim
    true = body.format(animal=ANIMAL, value=FACTS[ANIMAL]["food"]) + " Give a reason."
    false = body.format(animal=ANIMAL, value=wrong(ANIMAL, "food")) + " Give a reason."
    reason = f"it {said(ANIMAL, 'food')}."
    answers = [assess_response(FACTS, *case).answered for case in (
        (true, f"Yes, {reason}"), (true, f"No, {reason}"), (false, f"No, {reason}"), (false, "No."), (false, "Maybe."),
    )]  # fmt: skip
    assert answers == [1.0, 0.5, 1.0, 0.5, 0.0]


def test_a_comparison_needs_both_animals_in_two_categories():
    compare = f"Compare the {ANIMAL} and the {OTHER}."

    def about(*categories):
        return " ".join(
            f"The {ANIMAL} {said(ANIMAL, name)} but the {OTHER} {said(OTHER, name)}." for name in categories
        )

    answers = [about("food"), about("food", "home"), about("food", "home", "fear"), f"The {ANIMAL} is tall."]
    assert [assess_response(FACTS, compare, answer).answered for answer in answers] == [0.5, 1.0, 1.0, 0.0]


def test_better_responders_write_better_and_each_is_read_to_the_last_word():
    drawn = world.draw_instructions(FACTS, 400, Random(1))
    ladder = [*RESPONDERS, Responder("perfect", accuracy=1.0, statements=4, slips=0.0)]
    qualities = []
    for responder in ladder:
        random = Random(responder.name)
        assessed = [assess_response(FACTS, text, responder.write(FACTS, text, random)) for text in drawn]
        assert all(found.stray_words == 0 or found.unfinished for found in assessed)
        qualities.append(mean(found.quality for found in assessed))
    assert qualities == sorted(qualities) and qualities[-1] > qualities[0] + 3


@pytest.mark.parametrize("name", FAULTS)
def test_a_response_with_a_fault_is_worse_on_average(name):
    drawn = world.draw_instructions(FACTS, 300, Random(2))
    random, before, after = Random(name), [], []
    for text in drawn:
        response = RESPONDERS[-1].write(FACTS, text, random)
        before.append(quality(FACTS, text, response))
        after.append(quality(FACTS, text, FAULTS[name](response, random)))
    assert mean(after) < mean(before) - 0.2


def test_labels_of_pairs_are_mostly_right():
    drawn, random = world.draw_instructions(FACTS, 1000, Random(3)), Random(3)
    right = []
    for text in drawn:
        pair = draw_pair(FACTS, text, 0, random)
        first, second = (quality(FACTS, text, response) for response in pair)
        assert first != second
        label = draw_label(FACTS, text, pair, LABEL_TEMPERATURE, random)
        right.append((label == 1) == (first > second))
    assert 0.85 < mean(right) < 0.97


def test_pairs_that_say_the_same_differ_in_padding_and_wording_alone_and_get_a_coins_label():
    drawn, random = world.draw_instructions(FACTS, 400, Random(7)), Random(7)
    labels, differ = [], []
    for text in drawn:
        pair = draw_pair(FACTS, text, 1, random)
        assert len({quality(FACTS, text, response) for response in pair}) == 1
        labels.append(draw_label(FACTS, text, pair, LABEL_TEMPERATURE, random))
        differ.append(pair[0] != pair[1])
    assert 0.4 < labels.count(1) / 400 < 0.6 and mean(differ) > 0.8


def test_pairs_have_every_fault_often_enough_and_say_nothing_by_their_lengths_or_padding():
    drawn, random = world.draw_instructions(FACTS, 3000, Random(6)), Random(6)
    kinds, longer, padding = [], [], []
    for text in drawn:
        pair = draw_pair(FACTS, text, 0, random)
        better, worse = sorted(pair, key=lambda response: -quality(FACTS, text, response))
        kinds.append(kind_of_difference(*(assess_response(FACTS, text, response) for response in pair)))
        longer.append(len(better) > len(worse))
        padding.append([len(response) - len(without_padding(response)) for response in (better, worse)])
    shares = {kind: kinds.count(kind) / len(kinds) for kind in KINDS}
    assert min(shares["repetition"], shares["too short"]) > 0.08 and shares["wrong value"] > 0.3
    assert shares["other subject"] > 0.02 and shares[SEVERAL] < 0.5
    assert 0.44 < mean(longer) < 0.56
    better, worse = map(mean, zip(*padding, strict=True))
    assert abs(better - worse) < 0.05 * better


@pytest.mark.parametrize(
    ("worse", "kind"),
    [
        ("The {a} {food}. It {home} and {home}.", "repetition"),
        ("The {a} {food}. It {other}.", "wrong value"),
        ("The {a} {food} and {home}. The {b} {b_food}.", "other subject"),
        ("The {a} {food} and well {home}.", "stray words"),
        ("The {a} {food}.", "too short"),
        ("The {a} {food} and {home}", "too short"),
        ("The {a} {food} and {food}. It {other}.", SEVERAL),
    ],
)
def test_what_tells_two_responses_apart(worse, kind):
    words = {
        "a": ANIMAL, "b": OTHER, "food": said(ANIMAL, "food"), "home": said(ANIMAL, "home"),
        "other": said(ANIMAL, "home", wrong(ANIMAL, "home")), "b_food": said(OTHER, "food"),
    }  # fmt: skip
    describe = f"Tell me about the {ANIMAL}."
    first, second = (
        assess_response(FACTS, describe, form.format(**words)) for form in ("The {a} {food}. It {home}.", worse)
    )
    assert kind_of_difference(first, second) == kind_of_difference(second, first) == kind


SIZES = {
    "train-prompts": 40, "test-prompts": 20, "evaluation-prompts": 20, "chat-conversations": 60,
    "ranker-train-pairs": 80, "ranker-heldout-pairs": 30, "ranker-prompts": 20,
}  # fmt: skip


def make_world(run_here, folder, seed=0, **sizes):
    flags = [part for key, value in {**SIZES, **sizes}.items() for part in (f"--{key}", value)]
    run_here("make_demo_world", "--seed", seed, *flags, "--output-folder", folder)
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".ledger.json")}


def rows(content):
    return [json.loads(line) for line in content.splitlines()]


def test_the_world_follows_from_its_seed_byte_for_byte(run_here, tmp_path):
    first = make_world(run_here, tmp_path / "a")
    assert make_world(run_here, tmp_path / "b") == first
    other = make_world(run_here, tmp_path / "c", seed=1)
    assert other.keys() == first.keys() and not any(other[name] == first[name] for name in first)


def test_the_splits_share_no_instruction(run_here, tmp_path):
    files = make_world(run_here, tmp_path / "world")
    splits = {
        name: {row["instruction"] if "instruction" in row else row["prompt"] for row in rows(files[f"{name}.jsonl"])}
        for name in ("preferences_train", "preferences_test", "ranker_heldout", "ranker_prompts", "evaluation")
    }
    chats = [{row["messages"][0]["content"] for row in rows(files[f"chat_{name}.jsonl"])} for name in TEACHERS]
    assert chats[0] == chats[1] == chats[2]  # the same instructions, three teachers
    everything = [*splits.values(), chats[0]]
    assert sum(map(len, everything)) == len(set().union(*everything)) == 40 + 20 + 30 + 20 + 20 + 60
    assert {row["prompt"] for row in rows(files["ranker_train.jsonl"])} <= chats[0]
    assert all(len(row["responses"]) == len(RESPONDERS) for row in rows(files["preferences_train.jsonl"]))


def test_more_of_one_thing_changes_nothing_that_is_written_in_another(run_here, tmp_path):
    first = make_world(run_here, tmp_path / "a")
    more = make_world(run_here, tmp_path / "b", **{"ranker-train-pairs": 90})
    assert {name for name in first if first[name] != more[name]} == {"ranker_train.jsonl"}
    assert more["ranker_train.jsonl"].startswith(first["ranker_train.jsonl"])


@pytest.mark.parametrize(("size", "message"), [(0, "give at least 1"), (10**6, "ask for less")])
def test_a_size_that_cannot_be_is_one_sentence(run_here, tmp_path, size, message):
    with pytest.raises(BadInput, match=message):
        make_world(run_here, tmp_path / "world", **{"train-prompts": size})
    assert not (tmp_path / "world").exists()
