"""Draw Figure 3: log-probabilities of chosen minus rejected responses over the steps of training, by candidate source.

A column of panels for each model. The upper panels show the mean over each step's pairs (equation 12), the lower ones
their standard deviation.
"""

import argparse
from pathlib import Path

from dpo_stages.program import finish, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--models", required=True, nargs="+", metavar="NAME=LABEL", help="names of models in the figure")
    add("--logs", required=True, nargs="+", metavar="POLICY=FILE", help="training_log.jsonl of each policy, one seed")
    add("--svg", required=True, type=Path, metavar="OUT.svg")
    add("--png", required=True, type=Path, metavar="OUT.png")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages import tables
    from dpo_stages.boundary_figure import save
    from dpo_stages.files import replacing
    from dpo_stages.intra_diversity import read_curves
    from dpo_stages.intra_diversity_figure import draw

    curves = read_curves(arguments.logs)
    figure = draw(curves, tables.labels(arguments.models))
    for path, kind in ((arguments.svg, "svg"), (arguments.png, "png")):
        with replacing(path) as temporary:
            save(figure, temporary, kind)
    steps = sum(len(curve.mean) for curve in curves)
    finish(arguments.png, rows_in=steps, rows_out=steps, dropped={}, curves=len(curves))


if __name__ == "__main__":
    run(main)
