"""Measure, train and race the groups of the map, each into a folder of its own; those that are there are passed over.

    envs/run pairrm studies/map/run.py --demo-results 'worlds/{world}/results'

Groups come in an order in which whoever stops early has a balanced part. Several processes may work side by side: a group
that another one works on is passed over. RESULTS.md says what is measured, groups.py what is kept.
"""

import argparse
import fcntl
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow_scripts"))

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, read_text, replacing_folder, require_file, sha256, write_json
from dpo_stages.core.libraries import quiet_libraries, without_hub
from dpo_stages.core.program import finish, run

HERE = Path(__file__).resolve().parent
MEASURES, EVALUATIONS, RACE = "measures.json", "evaluations.parquet", "race.parquet"
SETTINGS = "settings.json"
FIRST_LABELS = ("ranker", "exact")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--demo-results",
        required=True,
        metavar="PATTERN",
        help="results of the demo, which have the world's files and its ranker; {world} stands for the world's seed",
    )
    parser.add_argument(
        "--config", type=Path, default=HERE / "config.yaml", metavar="YAML", help="(default: beside this)"
    )
    parser.add_argument(
        "--output", type=Path, default=HERE / "results", metavar="DIR", help="(default: results/ beside this)"
    )
    parser.add_argument("--worlds", type=int, nargs="+", metavar="SEED", help="only these")
    parser.add_argument("--strengths", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--labels", nargs="+", metavar="NAME", help="only these")
    parser.add_argument(
        "--only-plan", action="store_true", help="name the groups and whether they are there; make none"
    )
    return parser.parse_args()


def read_settings(path: Path) -> dict:
    """Read config.yaml."""
    import yaml

    return yaml.safe_load(read_text(path))


def keep_settings(settings: Mapping, output: Path) -> None:
    """Write the settings beside the groups, or make sure that these are the ones that are there.

    Raises:
        BadInput: the groups in `output` were made with others.
    """
    path, wanted = output / SETTINGS, json.loads(json.dumps(settings))
    if not path.exists():
        write_json(path, wanted)
    elif read_json(path) != wanted:
        raise BadInput(f"{path} has other settings, with which the groups beside it were made; give another --output")


def chosen(settings: Mapping, name: str, wanted: Sequence | None) -> list:
    """The values of a setting that are asked for, in its own order.

    Raises:
        BadInput: it has no such value.
    """
    values = list(settings[name])
    if unknown := [value for value in wanted or () if value not in values]:
        raise BadInput(f"--{name} {unknown[0]}: config.yaml has {', '.join(map(str, values))}")
    return [value for value in values if wanted is None or value in wanted]


def in_order(worlds: Sequence[int], strengths: Sequence[str], labels: Sequence[str]) -> list[tuple[int, str, str]]:
    """Groups (world, strength, labels): the first labels of all worlds and strengths, then the others one by one."""
    rounds = [
        [name for name in labels if name in FIRST_LABELS],
        *([name] for name in labels if name not in FIRST_LABELS),
    ]
    return [(world, strength, name) for names in rounds for world in worlds for strength in strengths for name in names]


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[bool]:
    """Hold a lock beside `path` while inside; False if another process has it and `wait` is not set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.parent / f".{path.name}.lock", "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


class Groups:
    """Makes groups; keeps what groups of one initial policy share."""

    def __init__(self, arguments: argparse.Namespace, settings: Mapping) -> None:
        self.arguments, self.settings = arguments, settings
        self.worlds, self.starts = {}, {}

    def folder(self, world: int, strength: str, labels: str) -> Path:
        """Where a group is kept."""
        return self.arguments.output / "groups" / f"{world}-{strength}-{labels}"

    def make(self, seed: int, strength: str, labels: str) -> None:
        """Make a group, whole or not at all."""
        import pyarrow as pa
        from groups import run_group
        from labels import open_labeller
        from pyarrow import parquet

        begin = self._start(seed, strength)
        labeller = open_labeller(begin.world, self.settings["labels"][labels])
        measures, evaluations, race = run_group(begin, labeller)
        about = {"world": seed, "strength": strength, "labels": labels, "facts": sha256(begin.world.file("facts.json"))}
        with replacing_folder(self.folder(seed, strength, labels)) as folder:
            write_json(folder / MEASURES, {**about, **measures})
            for name, columns in ((EVALUATIONS, evaluations), (RACE, race)):
                parquet.write_table(pa.table(columns), folder / name, compression="zstd")

    def _start(self, seed: int, strength: str):
        from groups import start
        from policies import load_policy, make_policy
        from worlds import World

        if (seed, strength) not in self.starts:
            world = self.worlds.setdefault(
                seed, World(seed, Path(self.arguments.demo_results.replace("{world}", str(seed))))
            )
            require_file(world.file("facts.json"))
            folder = self.arguments.output / "initial" / str(seed) / strength
            with locked(folder, wait=True):
                make_policy(world, strength, self.settings, folder)
            self.starts.clear()  # groups of one initial policy follow each other
            self.starts[seed, strength] = start(world, strength, load_policy(folder), self.settings)
        return self.starts[seed, strength]


def main() -> None:
    arguments = parse_arguments()
    settings = read_settings(arguments.config)
    names = ("worlds", "strengths", "labels")
    planned = in_order(*(chosen(settings, name, getattr(arguments, name)) for name in names))
    groups = Groups(arguments, settings)
    if arguments.only_plan:
        for group in planned:
            print(*group, "is there" if groups.folder(*group).is_dir() else "is to be made")
        return
    keep_settings(settings, arguments.output)
    without_hub()
    import torch

    quiet_libraries()
    torch.set_num_threads(1)
    for number, group in enumerate(planned, start=1):
        folder = groups.folder(*group)
        with locked(folder, wait=False) as free:
            if not free or folder.is_dir():
                continue
            started = time.monotonic(), time.process_time()
            groups.make(*group)
            wall, cpu = time.monotonic() - started[0], time.process_time() - started[1]
            print(f"{number}/{len(planned)} {' '.join(map(str, group))}: {wall:.0f} s, {cpu:.0f} s of CPU", flush=True)
    there = sum(groups.folder(*group).is_dir() for group in planned)
    finish(arguments.output / "groups", len(planned), there, {"another process works on": len(planned) - there})


if __name__ == "__main__":
    run(main)
