"""Rounding to bfloat16 at random: between the two neighbours, without a bias, and the same whatever files weights lie in."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from dpo_stages.models.rounding import narrow_weights, rounded_at_random

LARGEST = torch.finfo(torch.bfloat16).max


def neighbours(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The bfloat16 values next to each weight, towards zero and away from it, in float32: by truncating and one step on."""
    steps = (weights.view(torch.int32) >> 16).to(torch.int16)
    return steps.view(torch.bfloat16).float(), (steps + 1).view(torch.bfloat16).float()


@pytest.fixture(scope="module")
def weights():
    generator = torch.Generator().manual_seed(1)
    sizes = 10.0 ** torch.randint(-38, 38, (20_000,), generator=generator)
    return torch.randn(20_000, generator=generator) * sizes


def test_a_weight_becomes_one_of_its_two_neighbours(weights):
    rounded = rounded_at_random(weights, "a").float()
    nearer, farther = neighbours(weights)
    assert ((rounded == nearer) | (rounded == farther)).all()
    assert 0.4 < (rounded == farther).float().mean() < 0.6


@pytest.mark.parametrize("share", [1 / 2, 1 / 4, 2**-10, 1 - 2**-10])
@pytest.mark.parametrize("base", [1.0, -0.02, 3e-39, -1e30], ids=["one", "negative", "subnormal", "large"])
def test_the_nearer_neighbour_is_the_likelier_and_the_expectation_the_weight(base, share):
    """Ties among them: half of them go up."""
    lower, upper = neighbours(torch.tensor([base]))
    weight = (lower.double() + share * (upper.double() - lower.double())).float()
    count = 200_000
    rounded = rounded_at_random(weight.expand(count), f"{base}{share}").double()
    steps = (rounded - lower.double()) / (upper.double() - lower.double())
    assert set(steps.unique().tolist()) == {0.0, 1.0}
    assert abs(steps.mean().item() - share) < 4 * (share * (1 - share) / count) ** 0.5


def test_many_small_updates_are_kept_on_average_where_the_nearest_value_loses_them_all():
    before = torch.full((100_000,), 0.5)
    after = before + 2e-4  # of a step of 2^-8
    assert torch.equal(after.bfloat16().float(), before)
    kept = (rounded_at_random(after, "a").double() - before).mean().item()
    assert kept == pytest.approx(2e-4, rel=0.05)


def test_what_bfloat16_can_express_stays():
    exact = torch.tensor(
        [0.0, -0.0, 1.0, -1.0, LARGEST, -LARGEST, float("inf"), -float("inf"), 2.0**-133, float("nan")]
    )
    for key in map(str, range(20)):
        rounded = rounded_at_random(exact, key)
        assert torch.equal(rounded[:-1].float().view(torch.int32), exact[:-1].view(torch.int32))  # signs of zero, too
        assert rounded[-1].isnan()


def test_no_finite_weight_becomes_infinite():
    largest = torch.finfo(torch.float32).max
    rounded = rounded_at_random(torch.tensor([largest, -largest] * 100), "a").float()
    assert set(rounded.tolist()) == {LARGEST, -LARGEST}


def test_the_key_decides(weights):
    assert torch.equal(rounded_at_random(weights, "0/1/a"), rounded_at_random(weights, "0/1/a"))
    assert not torch.equal(rounded_at_random(weights, "0/1/a"), rounded_at_random(weights, "0/1/b"))
    matrix = weights.view(200, 100)
    assert torch.equal(rounded_at_random(matrix, "a"), rounded_at_random(weights, "a").view(200, 100))


def test_other_files_and_threads_give_the_same_weights(tmp_path, weights):
    tensors = {"a": weights[:5000].clone(), "b": weights[5000:].view(150, 100), "count": torch.tensor([7])}
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    save_file(tensors, tmp_path / "one/model.safetensors")
    save_file({"b": tensors["b"]}, tmp_path / "two/model-00001-of-00002.safetensors")
    save_file({"a": tensors["a"], "count": tensors["count"]}, tmp_path / "two/model-00002-of-00002.safetensors")
    narrow_weights(tmp_path / "one", "stochastic", "0/1")
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    narrow_weights(tmp_path / "two", "stochastic", "0/1")
    torch.set_num_threads(threads)
    one = load_file(tmp_path / "one/model.safetensors")
    two = {name: tensor for path in (tmp_path / "two").iterdir() for name, tensor in load_file(path).items()}
    assert one["count"].equal(two["count"]) and one["a"].dtype == torch.bfloat16
    assert one["a"].equal(two["a"]) and one["b"].equal(two["b"])
    assert not one["a"].equal(weights[:5000].bfloat16())
