"""Tables of the arms that noise.smk trained: gains of each, and which source is ahead at every two levels of noise.

Intervals hold 95 % of resamples of the prompts, the mean over runs taken in each; runs stand beside them one by one. Those
of the third table hold prompts and runs (dpo_stages/evaluation/runs.py).
"""

import argparse
import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow_scripts"))

import numpy as np

from dpo_stages.core.program import run
from dpo_stages.evaluation.runs import intervals_over_runs

RESAMPLES = 4000
NAME = re.compile(r"(on|off)-(\d+)~(\d+)")


class Arms:
    """What was measured of all arms: gains by source, level and run, and the same in resamples of the prompts."""

    def __init__(self, paths: list[Path]) -> None:
        self.read = {}
        for path in paths:
            source, percent, number = NAME.fullmatch(path.stem).groups()
            self.read[source, int(percent), int(number)] = json.loads(path.read_text(encoding="utf-8"))
        self.levels = sorted({percent for _, percent, _ in self.read})
        self.runs = sorted({number for _, _, number in self.read})
        some = next(iter(self.read.values()))
        self.classifiers = list(some["classifiers"])
        count = len(some["prompts"])
        self.drawn = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))

    def by_prompt(self, source: str, percent: int, classifier: str, what: str) -> np.ndarray:
        """(prompts, runs) of one arm at one level."""
        of_runs = [self.read[source, percent, number]["classifiers"][classifier][what] for number in self.runs]
        return np.array(of_runs).T

    def interval(self, values: np.ndarray) -> str:
        """Mean over prompts and runs, its interval over prompts, and the runs one by one."""
        low, high = np.percentile(values.mean(axis=1)[self.drawn].mean(axis=1), [2.5, 97.5])
        runs = ", ".join(f"{value:+.2f}" for value in values.mean(axis=0))
        return f"{values.mean():+.2f} ({low:+.2f} to {high:+.2f}) | {runs}"

    def looks(self, source: str, percent: int) -> list[str]:
        """Of the trained policies' texts: tokens, how many were cut and how much is repeated, in percent."""
        of_runs = [self.read[source, percent, number]["trained"] for number in self.runs]
        means = {key: np.mean([looks[key] for looks in of_runs]) for key in of_runs[0]}
        return [f"{means['tokens']:.1f}", f"{100 * means['truncated']:.0f}", f"{100 * means['repeated']:.1f}"]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(cells) + " |" for cells in [head, *rows]]
    return [lines[0], "|" + "---|" * lines[0].count(" |"), *lines[1:], ""]


def gains(arms: Arms) -> list[str]:
    rows = []
    for source in ("on", "off"):
        for level in arms.levels:
            row = [source, f"{level} %"]
            for classifier in arms.classifiers:
                row.append(arms.interval(arms.by_prompt(source, level, classifier, "reward")))
            labels = arms.read[source, level, arms.runs[0]]["classifiers"]
            row += [f"{100 * np.mean(np.array(labels[name]['pairs']) > 0):.0f}" for name in arms.classifiers]
            row += [f"{100 * arms.by_prompt(source, level, name, 'win_rate').mean():.1f}" for name in arms.classifiers]
            row += arms.looks(source, level)
            rows.append(row)
    head = ["pairs", "labels flipped"]
    head += [f"reward gained by {name} | runs" for name in arms.classifiers]
    head += [f"labels right by {name}, %, run 1" for name in arms.classifiers]
    head += [f"preferred to the initial policy by {name}, %" for name in arms.classifiers]
    return table([*head, "tokens", "cut, %", "repeated, %"], rows)


def equal_noise(arms: Arms) -> list[str]:
    rows = []
    found = {}
    for classifier in arms.classifiers:
        by_prompt = np.stack(
            [
                arms.by_prompt("off", level, classifier, "reward") - arms.by_prompt("on", level, classifier, "reward")
                for level in arms.levels
            ]
        )  # (levels, prompts, runs)
        resamples = np.stack([by_prompt[:, drawn].mean(axis=1) for drawn in arms.drawn], axis=1)
        ends = intervals_over_runs(by_prompt.mean(axis=1), resamples, 0.95) if len(arms.runs) > 1 else None
        found[classifier] = by_prompt, ends
    for number, level in enumerate(arms.levels):
        row = [f"{level} %"]
        for by_prompt, ends in found.values():
            row.append(arms.interval(by_prompt[number]))
            row.append("one run" if ends is None else f"{ends[0][number]:+.2f} to {ends[1][number]:+.2f}")
        rows.append(row)
    head = ["labels flipped in both"]
    for name in arms.classifiers:
        head += [f"off over on by {name}, over prompts | runs", "over prompts and runs"]
    return table(head, rows)


def every_two_levels(arms: Arms, classifier: str) -> list[str]:
    rows = []
    for on in arms.levels:
        row = [f"{on} %"]
        for off in arms.levels:
            values = arms.by_prompt("off", off, classifier, "reward") - arms.by_prompt("on", on, classifier, "reward")
            low, high = np.percentile(values.mean(axis=1)[arms.drawn].mean(axis=1), [2.5, 97.5])
            row.append(f"{values.mean():+.2f}{'*' if low > 0 or high < 0 else ''}")
        rows.append(row)
    return table(["own pairs flipped", *(f"off-policy pairs {level} %" for level in arms.levels)], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", type=Path, nargs="+", help="of measure_arm.py")
    parser.add_argument("--output", type=Path, required=True, help="Markdown")
    arguments = parser.parse_args()
    arms = Arms(arguments.arms)
    lines = [*gains(arms), *equal_noise(arms)]
    for classifier in arms.classifiers:
        lines += [
            f"Off over on by {classifier} (*: prompts alone leave out 0)",
            "",
            *every_two_levels(arms, classifier),
        ]
    arguments.output.write_text("\n".join(lines), encoding="utf-8")
    print(arguments.output.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run(main)
