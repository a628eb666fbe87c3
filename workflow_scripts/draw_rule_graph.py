"""Draw the graph of the rules that make a target, from Snakemake's own rule graph, as SVG without graphviz."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from dpo_stages.program import BadInput, finish, run


def rule_graph(configuration: str, targets: list[str]) -> str:
    """What `snakemake --rulegraph dot` prints for `targets` under a whole configuration, given as JSON."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(configuration)
        file.flush()
        command = [sys.executable, "-m", "snakemake", "--rulegraph", "dot", "--forceall", "--nolock", "--cores", "1"]
        command += ["--configfile", file.name, "--", *targets]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise BadInput(f"Snakemake has no rule graph of {' '.join(targets)}: {done.stderr.strip()[-500:]}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--configuration", required=True, metavar="JSON", help="the study's whole configuration")
    add("--targets", nargs="+", required=True, metavar="FILE", help="what is made")
    add("--output", type=Path, required=True, metavar="OUT.svg")
    arguments = parser.parse_args()

    from dpo_stages.files import write_text
    from dpo_stages.rule_graph import draw, read_dot

    edges = read_dot(rule_graph(arguments.configuration, arguments.targets))
    write_text(arguments.output, draw(edges))
    finish(arguments.output, len(edges), len(edges), {})


if __name__ == "__main__":
    run(main)
