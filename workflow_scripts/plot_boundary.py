"""Draw the boundary score of each initial policy against what off-policy candidates gained over on-policy ones.

Input are tables made by make_table.py with boundary scores. One panel for each yardstick that they have: the preference model
that labels, the win rate, the length-controlled one. One point an initial policy and method, coloured by model, with the
method as marker; bars are the intervals of the score and of the difference, where they were measured. The quadrants in which the alignment stage assumption holds are shaded.
"""

import argparse
from pathlib import Path

from dpo_stages.core.program import finish, run

PAPER_TABLES = (3, 4, 5)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", type=Path, required=True, metavar="CSV", help="files of make_table.py")
    parser.add_argument("--with-paper", action="store_true", help="add the points of the paper's Tables 3 to 5, hollow")
    parser.add_argument("--svg", type=Path, required=True, metavar="OUT.svg")
    parser.add_argument("--png", type=Path, required=True, metavar="OUT.png")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.report.decisions import read_decisions
    from dpo_stages.report.figures.boundary import draw
    from dpo_stages.report.figures.style import save_both
    from dpo_stages.report.paper import paper_decisions

    points = read_decisions(arguments.tables)
    methods = {point.off.method: point.off.method_label for point in points}
    tables = PAPER_TABLES if arguments.with_paper else ()
    paper = [decision for number in tables for decision in paper_decisions(number, methods)]
    figure = draw(points, paper)
    save_both(figure, arguments.svg, arguments.png)
    finish(arguments.png, rows_in=len(points), rows_out=len(points), dropped={}, points_of_the_paper=len(paper))


if __name__ == "__main__":
    run(main)
