"""Ours against llm-blender at batch size 1, on the same weights."""

import random

import numpy as np
import pytest
from rankers import adversarial_pairs, plain, write_ranker

from dpo_stages.preferences.pairrm.tokens import conversation
from dpo_stages.preferences.pairs import Pair

TOLERANCE = 1e-5


def by_library(blender, pairs, batch_size=1):
    """Mean of both orders by `compare_conversations`, which returns their sum."""
    first = [conversation(pair.prompt, pair.response_1) for pair in pairs]
    second = [conversation(pair.prompt, pair.response_2) for pair in pairs]
    return blender.compare_conversations(first, second, batch_size=batch_size, return_logits=True) / 2


@pytest.fixture(scope="module")
def pairs():
    return adversarial_pairs(320, seed=5)


@pytest.fixture(scope="module")
def expected(blender, pairs):
    return by_library(blender, pairs)


def test_the_pairs_are_hard(model, pairs, expected):
    counts = model.compare(pairs).counts
    assert counts["truncated_sources"] > 40
    assert counts["truncated_candidates"] > 40
    assert 0.3 < np.abs(expected).mean() < 30  # otherwise a tolerance of 1e-5 would say nothing
    assert 80 < (expected > 0).sum() < 240
    assert len(set(expected.tolist())) > 200  # different pairs, even after truncation


def test_same_logits_and_labels_as_the_library_at_batch_size_1(model, pairs, expected):
    logits = model.compare(pairs).logits
    assert np.abs(logits - expected).max() <= TOLERANCE
    assert ((logits > 0) == (expected > 0)).all()


def test_the_published_layout_gives_the_same(published, pairs, expected):
    from dpo_stages.preferences.opening import open_preference_model

    logits = open_preference_model(published).compare(pairs).logits
    assert np.abs(logits - expected).max() <= TOLERANCE


def test_the_librarys_own_network_gives_the_same(blender, pairs, expected):
    from dpo_stages.preferences.pairrm.llm_blender import LibraryNetwork, library_encoder
    from dpo_stages.preferences.pairrm.scoring import PairRM

    model = PairRM(LibraryNetwork(blender.ranker), library_encoder(blender), None, "x", "x", "cpu")
    assert np.abs(model.compare(pairs).logits - expected).max() <= TOLERANCE


def test_both_orders_are_the_librarys(model, blender, pairs):
    library = []
    for mode, sign in (("[A,B]", 1), ("[B,A]", -1)):
        first = [conversation(pair.prompt, pair.response_1) for pair in pairs[:40]]
        second = [conversation(pair.prompt, pair.response_2) for pair in pairs[:40]]
        library.append(sign * blender.compare_conversations(first, second, 1, return_logits=True, mode=mode))
    found = model.compare(pairs[:40]).orders
    same = [first == second for _, first, second in model.encoder.encode(pairs[:40])]  # there, the order's bias alone
    assert np.abs(found - np.stack(library, axis=1))[~np.array(same)].max() <= TOLERANCE


def test_the_library_hangs_on_its_batches(blender, pairs, expected):
    """What the rule of batch size 1 is for: at its default batch size the library gives other logits."""
    assert np.abs(by_library(blender, pairs[:120], batch_size=4) - expected[:120]).max() > 0.01


def test_company_order_and_repetition_change_no_label(model, pairs):
    alone = model.compare(pairs)
    shuffled = random.Random(1).sample(range(len(pairs)), len(pairs))
    again = model.compare([pairs[row] for row in shuffled])
    twice = model.compare([*pairs, *pairs[:50]])
    shards = [model.compare(pairs[start : start + 37]) for start in range(0, len(pairs), 37)]
    single = [model.compare([pair]).logits[0] for pair in pairs[:30]]
    restored = np.empty(len(pairs), dtype=np.float32)
    restored[shuffled] = again.logits
    for logits in (restored, twice.logits[: len(pairs)], np.concatenate([shard.logits for shard in shards])):
        assert np.abs(logits - alone.logits).max() <= TOLERANCE
        assert (np.sign(logits) == np.sign(alone.logits)).all()
    assert np.abs(single - alone.logits[:30]).max() <= TOLERANCE
    assert (twice.logits[len(pairs) :] == twice.logits[:50]).all()


def test_mirrored_pairs_have_mirrored_logits(model, pairs):
    mirrored = [Pair(pair.prompt, pair.response_2, pair.response_1) for pair in pairs]
    both = model.compare([*pairs, *mirrored])
    assert (both.logits[: len(pairs)] == -both.logits[len(pairs) :]).all()
    assert (both.order_flips[: len(pairs)] == both.order_flips[len(pairs) :]).all()


def test_equal_responses_are_a_tie(model):
    pair = Pair([{"role": "user", "content": "Which?"}], "same", "same")
    spaced = Pair([{"role": "user", "content": "Which?"}], "same  thing", "same thing")  # the same tokens
    cut = Pair([{"role": "user", "content": "Which?"}], plain(random.Random(0), 300), plain(random.Random(0), 301))
    verdicts = model.compare([pair, spaced, cut])
    assert (verdicts.orders == 0).all()
    assert not verdicts.order_flips.any()


def test_close_calls_are_the_librarys_to_the_bit(tmp_path):
    """With logits of about 1e-6 every pair is a close call, and every label is at the mercy of rounding."""
    from dpo_stages.preferences.opening import open_preference_model
    from dpo_stages.preferences.pairrm.llm_blender import load_blender

    write_ranker(tmp_path / "faint", seed=3, spread=1e-6)
    model = open_preference_model(tmp_path / "faint")
    pairs = adversarial_pairs(40, seed=8)
    verdicts = model.compare(pairs)
    expected = by_library(load_blender(tmp_path / "faint" / "ranker", None, "cpu"), pairs)
    distinct = {(source, *sorted((first, second))) for source, first, second in model.encoder.encode(pairs)}
    assert verdicts.counts["close_calls"] == sum(first != second for _, first, second in distinct) > 25
    assert (verdicts.logits == expected).all()


def test_reading_directly_needs_neither_library(model_folder, tmp_path, root):
    """Labelling imports neither llm-blender nor Transformers while no call is close."""
    import subprocess
    import sys

    code = f"""
import sys
sys.path.insert(0, {str(root / "workflow_scripts")!r})
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.pairs import Pair
model = open_preference_model({str(model_folder)!r})
logits = model.compare([Pair([{{"role": "user", "content": "Hm?"}}], "the murrow", "eats moss")]).logits
assert abs(logits[0]) > 1e-3
print(sorted({{"llm_blender", "transformers", "pandas"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
