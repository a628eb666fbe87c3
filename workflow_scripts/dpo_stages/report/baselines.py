"""How often a judge is right beside two trivial ones, in words: the longer response, and the first one. Standard library only."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json


def share(estimate: Mapping | None) -> str:
    """`65 % (61 to 69)`; a dash where there is none."""
    if estimate is None:
        return "–"
    found, low, high = (100 * estimate[key] for key in ("estimate", "low", "high"))
    return f"{found:.0f} % ({low:.0f} to {high:.0f})"


def beside(found: Mapping) -> str:
    """What the trivial judges get, as audit/baselines.py has it: `the longer one is in 65 % (…), the first one in 50 % (…)`."""
    return f"the longer one is in {share(found['longer'])}, the first one in {share(found['first'])}"


def with_baselines(right: str, found: Mapping) -> str:
    """The same behind a share, for narrow places: `61 % (50 to 71), longer 78 %, first 37 %`."""
    longer, first = (f"{100 * found[name]['estimate']:.0f} %" for name in ("longer", "first"))
    word = f" (below it, {found['below_longer']})" if found["below_longer"] else ""
    return f"{right}, longer {longer}{word}, first {first}"


def below(found: Mapping, who: str) -> str:
    """That counting characters would do better than `who`, as the end of a warning; empty where it would not."""
    if found["below_longer"] is None:
        return ""
    return (
        f"counting characters would do better than {who}: on {found['behind']} of {found['longer']['pairs']} pairs the longer "
        f"response is the better guess, on {found['ahead']} the worse one, which is {found['below_longer']} (McNemar's exact test)"
    )


def below_sentence(found: Mapping, who: str) -> list[str]:
    """The same as a sentence; none where there is nothing to say."""
    said = below(found, who)
    return [f"{said[0].upper()}{said[1:]}."] if said else []


def add_held_out_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag --held-out, files that `read_held_out` reads."""
    parser.add_argument(
        "--held-out", nargs="+", type=Path, default=[], metavar="JSON", help="of measure_preference_model.py"
    )


def read_held_out(path: Path) -> dict:
    """What measure_preference_model.py found.

    Raises:
        BadInput: the file is missing or says something else.
    """
    found = read_json(path)
    if not isinstance(found, dict) or not {"preference_model", "votes", "accuracy", "baselines"} <= found.keys():
        raise BadInput(f"{path} is no accuracy on held-out votes; make it with measure_preference_model.py")
    return found


def warnings(measured: Iterable[Mapping]) -> list[str]:
    """One for every preference model that length alone beats on its held-out votes.

    Args:
        measured: what `read_held_out` gives.
    """
    said = (below(one["baselines"], f"the preference model {one['preference_model']}") for one in measured)
    return [one for one in said if one]


def with_held_out(boundary: Mapping, measured: Sequence[Mapping]) -> tuple[dict, list[str]]:
    """A boundary measurement with what is known of the preference model that it is relative to, and the same in paragraphs.

    Args:
        boundary: the measurement as JSON values.
        measured: what `read_held_out` gives of that preference model; empty where nobody voted, which changes nothing.
    """
    warned = {"warnings": [*boundary["warnings"], *warnings(measured)]}
    return {**boundary, **warned}, [paragraph(one) for one in measured]


def cautions(measured: Iterable[Mapping]) -> list[str]:
    """The paragraph of every preference model that length alone beats on its held-out votes."""
    return [paragraph(one) for one in measured if warnings([one])]


def paragraph(one: Mapping) -> str:
    """How often a preference model is right on held-out votes, beside the trivial judges, and that it is below one.

    Args:
        one: what `read_held_out` gives.
    """
    longer, first = (share(one["baselines"][name]) for name in ("longer", "first"))
    said = (
        f"{one['preference_model']} is right on {share(one['accuracy'])} of {one['accuracy']['pairs']} held-out votes "
        f"({', '.join(one['votes'])}); whoever takes the longer response is on {longer}, whoever takes the first one on {first}."
    )
    return " ".join([said, *(f"Warning: {one}." for one in warnings([one]))])
