"""What is known of a card, and the page about what ran on it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

PEAKS = {  # dense bfloat16, operations a second, from the makers' data sheets
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10G": 70e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}
SIDE, PRODUCTS = 8192, 10


def peak_of(name: str) -> float | None:
    """Operations a second that a card's maker promises in bfloat16; None for a card that is not listed."""
    return next((value for part, value in PEAKS.items() if part in name), None)


@dataclass(frozen=True)
class Card:
    """A GPU.

    Attributes:
        name: as its driver gives it.
        memory: bytes.
        peak: operations a second in bfloat16 that the maker promises; None where it is not listed.
        product: operations a second of a large matrix product in bfloat16, measured.
        software: versions of PyTorch and CUDA.
    """

    name: str
    memory: float
    peak: float | None
    product: float
    software: str

    @property
    def file_name(self) -> str:
        """Of its page."""
        return f"{re.sub(r'[^A-Za-z0-9]+', '-', self.name.removeprefix('NVIDIA ')).strip('-')}.md"


def describe() -> Card | None:
    """The first GPU that PyTorch sees, with the speed of a product of two large matrices; None where it sees none."""
    import torch

    if not torch.cuda.is_available():
        return None
    one, other = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(PRODUCTS):
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        one @ other
        after.record()
        torch.cuda.synchronize()
        seconds.append(before.elapsed_time(after) / 1000)
    name = torch.cuda.get_device_name()
    memory = torch.cuda.get_device_properties(0).total_memory
    software = f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}"
    return Card(name, memory, peak_of(name), 2 * SIDE**3 / median(seconds[2:]), software)


def report(card: Card | None, results: dict[str, dict]) -> str:
    """The page, in Markdown.

    Args:
        card: None if the check ran on a CPU.
        results: of each part, by its name.
    """
    return "\n".join([*_head(card), *_table(card, results), *_speeds(results), *_rest(results)])


def _head(card: Card | None) -> Iterator[str]:
    if card is None:
        yield "# GPU check, on a CPU: nothing here tells of speed\n"
        return
    yield f"# {card.name}\n"
    promised = f", {card.product / card.peak:.0%} of what its maker promises" if card.peak else ""
    yield f"{card.memory / 2**30:.0f} GiB; {card.software}. A product of two bfloat16 matrices of {SIDE:,} rows: {card.product / 1e12:.0f} TFLOP/s{promised}."
    yield "`make gpu-check` measures what follows: models of Qwen2.5's shapes with random weights and 151,936 words, texts of 250 and 400 tokens on average. "
    yield "Tokens are those of the texts, without padding; operations are the useful ones: what is computed again in a backward pass does not count.\n"


def _table(card: Card | None, results: dict[str, dict]) -> Iterator[str]:
    heads = ["", "rows", "tokens", "s at work", "s in all", "tokens/s", "TFLOP/s"]
    heads += ["of the peak" if card and card.peak else "of the product", "memory, GiB", "Wh"]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    ceiling = (card.peak or card.product) if card else None
    for result in results.values():
        for measure in result.get("measures", []):
            run, done = measure["run"], measure["operations"] / measure["working"]
            cells = [measure["what"], _number(measure["rows"]), _number(measure["tokens"])]
            cells += [
                f"{measure['working']:.1f}",
                f"{run['seconds']:.0f}",
                _number(measure["tokens"] / measure["working"]),
            ]
            cells += [f"{done / 1e12:.1f}" if done > 0 else "", f"{done / ceiling:.0%}" if ceiling and done > 0 else ""]
            cells += [
                f"{run['memory'] / 2**30:.1f}" if run["memory"] else "",
                f"{run['energy']:.2f}" if run["energy"] else "",
            ]
            yield f"| {' | '.join(cells)} |"
    yield ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value else ""


def _speeds(results: dict[str, dict]) -> Iterator[str]:
    rates: dict[str, list[float]] = {}
    for result in results.values():
        for measure in result.get("measures", []):
            if measure["rate"]:
                name, value = measure["rate"]
                rates.setdefault(name, []).append(value)
    if rates:
        yield "As `resources.speeds` of a configuration has them (the slowest where several programs measure one):\n"
        yield "```yaml\nresources:\n  speeds:"
        yield from (f"    {name}: {min(values):.1e}" for name, values in rates.items())
        yield "```\n"


def _rest(results: dict[str, dict]) -> Iterator[str]:
    for name, result in results.items():
        if "text" in result:
            yield f"## {name}\n\n{result['text'].strip()}\n"
    for status in ("failed", "skipped"):
        lines = [f"- {name}: {result['sentence']}" for name, result in results.items() if result["status"] == status]
        if lines:
            yield f"## {status.capitalize()}\n"
            yield from [*lines, ""]
