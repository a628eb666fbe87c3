"""What `pairrm.llm_blender` relies on inside llm-blender; a failure names what the library changed."""

import numpy as np
import pytest
from rankers import CANDIDATE_LENGTH, SOURCE_LENGTH, adversarial_pairs

from dpo_stages.preferences.pairrm.llm_blender import library_encoder, library_logit, load_blender
from dpo_stages.preferences.pairrm.tokens import MARKERS, conversation


@pytest.fixture(scope="module")
def pairs():
    return adversarial_pairs(12, seed=11)


@pytest.fixture(scope="module")
def by_order(blender, pairs):
    """What `compare_conversations` gives at batch size 1, by mode; its arguments as `LibraryEngine` passes them."""
    sides = (
        [conversation(pair.prompt, getattr(pair, name)) for pair in pairs] for name in ("response_1", "response_2")
    )
    first, second = sides
    return {
        mode: blender.compare_conversations(first, second, 1, True, mode) for mode in ("[A,B]", "[B,A]", "[A,B]+[B,A]")
    }


def test_the_configuration_is_kept(blender):
    lengths = {"source_maxlength": SOURCE_LENGTH, "candidate_maxlength": CANDIDATE_LENGTH}
    for name, value in {"device": "cpu", "fp16": False, **lengths}.items():
        found = getattr(blender.ranker_config, name, None)
        assert found == value, f"llm-blender's ranker_config has {found} for {name}, where {value} was loaded"


def test_the_base_model_can_be_given(published):
    base = published / "base"
    blender = load_blender(published / "ranker", base, "cpu")
    assert blender.ranker_config.model_name == str(base), (
        "llm-blender does not take model_name as the base model any more"
    )


def test_the_tokenizer_has_the_markers(blender):
    known = blender.ranker_tokenizer.get_vocab()
    missing = [marker for marker in MARKERS if marker not in known]
    assert not missing, f"llm-blender does not add {missing} to its tokenizer any more"
    assert hasattr(blender.ranker_tokenizer, "backend_tokenizer"), "llm-blender's tokenizer is not a fast one any more"


def test_a_ranker_is_a_backbone_with_its_configuration_and_weights(blender):
    ranker = blender.ranker
    assert ranker.config.to_dict()["model_type"] == "deberta-v2", "the ranker's config is not its backbone's any more"
    prefixes = {name.partition(".")[0] for name in ranker.state_dict()}
    assert {"pretrained_model", "head_layer"} <= prefixes, f"llm-blender calls the parts of a ranker {sorted(prefixes)}"
    assert not ranker.training, "llm-blender leaves dropout on in a ranker that it has loaded"


def test_the_modes_are_the_two_orders(by_order):
    difference = np.abs(by_order["[A,B]"] - by_order["[B,A]"] - by_order["[A,B]+[B,A]"]).max()
    assert difference <= 1e-5, "compare_conversations does not return the first order less the second one any more"


def test_forward_is_the_logit_of_one_order(blender, pairs, by_order):
    rows = library_encoder(blender).encode(pairs)
    found = [library_logit(blender, *row) for row in rows]
    assert np.abs(found - by_order["[A,B]"]).max() <= 1e-5, "_forward does not give what compare_conversations returns"


def test_reduce_scores_both_candidates(blender):
    import torch

    states = torch.randn(3, 5, blender.ranker.config.hidden_size, generator=torch.Generator().manual_seed(0))
    scores = blender.ranker.reduce(*states)
    assert len(scores) == 3, f"reduce returns {len(scores)} values, where it was two scores and a loss"
    assert [tuple(score.shape) for score in scores[:2]] == [(5, 1), (5, 1)], "reduce does not return one score a row"
    expected = blender.ranker.head_layer(torch.cat([states[0], states[2]], dim=-1))
    assert torch.equal(scores[1], expected), "reduce does not score a candidate beside the source any more"
