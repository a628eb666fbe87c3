"""What a training takes of memory, and the table of it in the guide."""

import pytest
from conftest import ROOT

from dpo_stages.study import memory

# Layers, width, parameters and what LoRA of rank 16 trains beside all linear layers but the output layer, by hand from the shapes in
# the models' configurations: rank * (inputs + outputs) of q, k, v, o, gate, up and down.
MODELS = {
    "Qwen2.5-1.5B": (28, 1536, 1.54e9, 16 * 28 * (2 * 3072 + 2 * 1792 + 3 * 10_496)),
    "Llama-3-8B": (32, 4096, 8.03e9, 16 * 32 * (2 * 8192 + 2 * 5120 + 3 * 18_432)),
    "Qwen2.5-14B": (48, 5120, 1.477e10, 16 * 48 * (2 * 10_240 + 2 * 6144 + 3 * 18_944)),
}


@pytest.mark.parametrize("name", MODELS)
def test_shapes_are_guessed_from_the_number_of_parameters(name):
    layers, width, parameters, lora = MODELS[name]
    assert memory.layers_times_width(parameters) == pytest.approx(layers * width, rel=0.25)
    assert memory.lora_parameters(parameters, 16) == pytest.approx(lora, rel=0.25)


def test_what_is_trained_takes_16_bytes_and_what_is_frozen_the_bytes_of_a_product():
    assert memory.weight_bytes(1e9, None, mixed=False) == 16e9
    assert memory.weight_bytes(1e9, None, mixed=True) == 18e9
    products = memory.lora_parameters(1e9, 16)
    assert memory.weight_bytes(1e9, 16, mixed=False) == 4e9 + 16 * products
    assert memory.weight_bytes(1e9, 16, mixed=True) == 2e9 + 18 * products


def test_gpus_share_weights_and_each_has_its_own_activations():
    alone, shared = (memory.training_bytes(8e9, 8192, None, gpus) for gpus in (1, 4))
    assert alone - shared == pytest.approx(0.75 * memory.weight_bytes(8e9, None, mixed=True))
    more = memory.training_bytes(8e9, 2 * 8192, None)
    assert more - alone == pytest.approx(memory.activation_bytes(8e9, 8192) - memory.LOGITS)


def test_the_guides_table_is_what_the_function_makes():
    lines = memory.what_fits((1.5e9, 4e9, 8e9, 14e9), (24, 48, 80), tokens=2 * 4 * 1024, rank=16)
    assert "\n".join(lines) in (ROOT / "docs/own.md").read_text(encoding="utf-8")
    assert lines[2].startswith("| 1.5B | all weights | 30 | no | yes") and "| tight |" in lines[4]
