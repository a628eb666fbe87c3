"""Draw the graph of the rules that make a target, from Snakemake's own rule graph, as SVG without graphviz."""

import argparse
from pathlib import Path

from dpo_stages.core.program import finish, run
from dpo_stages.study.schedule import dry_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--snakefile", type=Path, required=True, metavar="FILE", help="of the workflow")
    add("--configuration", required=True, metavar="JSON", help="the study's whole configuration")
    add("--targets", nargs="+", required=True, metavar="FILE", help="what is made")
    add("--output", type=Path, required=True, metavar="OUT.svg")
    arguments = parser.parse_args()

    from dpo_stages.core.files import write_text
    from dpo_stages.report.figures.rules import draw, read_dot

    dot = dry_run(arguments.snakefile, arguments.configuration, arguments.targets, "--rulegraph", "dot")
    edges = read_dot(dot)
    write_text(arguments.output, draw(edges))
    finish(arguments.output, len(edges), len(edges), {})


if __name__ == "__main__":
    run(main)
