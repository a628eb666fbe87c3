"""Where a judge behind an endpoint is asked, and the flags that say so. Standard library only."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

AUTHORIZATION = "authorization"


@dataclass(frozen=True)
class Judge:
    """Where a judge is asked.

    Attributes:
        model: the judge, as its endpoint knows it.
        base_url: of the endpoint; None: that of `command`, or else the vendor's own.
        command: starts the judge's server, see `server.serving`.
        identified_by: files that the answers of `command` depend on; with others it is another judge.
        api_key_variable: environment variable that holds the API key; None for an endpoint without one.
        api_key_header: header that carries the key: "authorization" with the word Bearer, any other the key alone.
        refused: "fail", or "missing": a row that the judge refuses is left without a preference.
    """

    model: str
    base_url: str | None = None
    command: str | None = None
    identified_by: Sequence[str] = ()
    api_key_variable: str | None = None
    api_key_header: str = AUTHORIZATION
    refused: str = "fail"

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "Judge":
        """The judge of a manifest that `describe_judge.py` wrote; what an older one does not say is as by default."""
        return cls(**{field.name: manifest[field.name] for field in fields(cls) if field.name in manifest})


def add_judge_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a judge's server, of its key's header and of what it refuses."""
    parser.add_argument(
        "--serve",
        metavar="COMMAND",
        help="start this server for the time of the judging; {port} is replaced by a free port on this machine",
    )
    parser.add_argument(
        "--identified-by",
        nargs="*",
        default=[],
        metavar="FILE",
        help="files that the answers of --serve depend on, such as the model's manifest; with others it is another judge",
    )
    parser.add_argument(
        "--api-key-header",
        default=AUTHORIZATION,
        metavar="NAME",
        help="header that carries the key: authorization, with the word Bearer (the default), or another, alone",
    )
    parser.add_argument(
        "--refused",
        choices=["fail", "missing"],
        default="fail",
        help="what becomes of a row that the judge refuses: the program fails (the default), or it has no preference, "
        "which makes a pair that is labelled a tie",
    )
