"""A finished run of the demo at a reduced size, in a copy of the repository; every test of this folder looks at it."""

import subprocess
from pathlib import Path

import pytest
from clones import copy_workflow

SMALL = Path(__file__).parent / "small.yaml"
TABLE = "results/tables/table3.csv"
ANALYSES = (
    "results/figures/figure3.png",
    *(f"results/tables/{n}.csv" for n in ("table8", "intra_diversity", "boundary_cost")),
)


class Clone:
    """A copy of the workflow in a folder of its own, with the environments of this checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def made_in(cls, folder: Path) -> "Clone":
        return cls(copy_workflow(folder))

    def snakemake(self, *targets: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
        """Run the small demo; standard error follows standard output in `stdout`."""
        configuration = ["--configfile", "demo/config.yaml", str(SMALL)]
        command = [
            "envs/run",
            "workflow",
            "-m",
            "snakemake",
            "--profile",
            "demo",
            *configuration,
            *options,
            "--",
            *targets,
        ]
        return subprocess.run(
            command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.folder, check=False
        )

    def __truediv__(self, path: str) -> Path:
        return self.folder / path


@pytest.fixture(scope="session")
def make_clone(tmp_path_factory):
    return lambda name: Clone.made_in(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def demo(make_clone):
    clone = make_clone("demo")
    done = clone.snakemake(TABLE, "results/figures/table3.png", *ANALYSES)
    assert done.returncode == 0, done.stdout[-8000:]
    return clone
