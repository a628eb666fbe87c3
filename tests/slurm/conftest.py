"""A cluster, and the small demo's Table 3 made on it once without any fault; each fault strikes a copy of that."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

from clones import ROOT, copy_workflow
from cluster import Cluster, missing, place, processes, wait_until

CONFIGURATION = ("demo/config.yaml", ROOT / "tests/end_to_end/small.yaml", Path(__file__).parent / "study.yaml")
MODEL = "tiny-mistral"
TABLE = "results/tables/table3.csv"
TRAINING_GPUS = 4
PATIENCE = 1200  # seconds until something that must happen is given up on, on a busy machine


class Study:
    """A copy of the workflow in a folder of its own, run through the profile for clusters."""

    def __init__(self, folder: Path, cluster: Cluster, overlays: Sequence = CONFIGURATION) -> None:
        self.folder, self.cluster, self.overlays = folder, cluster, overlays

    def __truediv__(self, path: str) -> Path:
        return self.folder / path

    @classmethod
    def fresh(cls, folder: Path, cluster: Cluster, overlays: Sequence = CONFIGURATION) -> "Study":
        study = cls(copy_workflow(folder), cluster, overlays)
        # The demo computes on CPU cores and asks for no GPU; here its GPU rules ask for as many as the paper's study.
        study.edit_profile(
            lambda rules: {rule: {"gpu": TRAINING_GPUS if rule.startswith("train_") else 1} for rule in rules}
        )
        return study

    def copy(self, folder: Path) -> "Study":
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        return Study(folder, self.cluster, self.overlays)

    def edit_profile(self, changes) -> None:
        """Change the resources of rules, as a site may."""
        path = self / "slurm/profile.yaml"
        profile = yaml.safe_load(path.read_text())
        rules = {rule: dict(resources) for rule, resources in profile["set-resources"].items()}
        for rule, resources in changes(rules).items():
            rules[rule] |= resources
        path.write_text(yaml.safe_dump({**profile, "set-resources": rules}))

    def forget(self, *policies: str, trained: bool) -> None:
        """Delete what the evaluation of these policies made and all that hangs on it; if `trained`, the policies too."""
        for policy in policies:
            for kind in ("evaluations", "judge_cache"):
                shutil.rmtree(self / f"results/{kind}/{MODEL}/{policy}")
            if trained:
                shutil.rmtree(self / f"results/policies/{MODEL}/{policy}")
        hanging = ("evaluations/**/difficulty*", "evaluations/**/win_rate*", "tables/*")
        for path in {path for pattern in hanging for path in (self / "results").glob(pattern)}:
            path.unlink()

    def start(self, *targets: str, options: tuple[str, ...] = ()) -> subprocess.Popen:
        """Start Snakemake in the background; what it says is in `output`."""
        with (self / "snakemake.log").open("w") as log:
            process = subprocess.Popen(
                [
                    "envs/run", "workflow", Path(__file__).parent / "quick_snakemake.py",
                    "--profile", "slurm", "--slurm-init-seconds-before-status-checks", "1",
                    "--configfile", *self.overlays, *options, "--", *(targets or [TABLE]),
                ],
                cwd=self.folder, env=self.cluster.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.cluster.clients.append(process)
        return process

    @property
    def output(self) -> str:
        return (self / "snakemake.log").read_text()

    def finish(self, process: subprocess.Popen) -> None:
        """Wait until Snakemake has made everything."""
        code = process.wait(PATIENCE)
        assert code == 0, self.output[-6000:]

    def jobs(self, rule: str | None = None) -> list[dict[str, str]]:
        """SLURM's jobs of this folder, of one rule or of all."""
        jobs = [job for job in self.cluster.jobs() if job["WorkDir"] == str(self.folder)]
        return [job for job in jobs if rule in (None, job["rule"])]

    def queue(self) -> list[str]:
        """Ids of the jobs that are not over."""
        return [job["JobId"] for job in self.jobs() if job["JobState"] in ("PENDING", "RUNNING", "COMPLETING")]

    def freeze_training(self, policy: str, beyond: int = 0, but: int | None = None) -> tuple[dict[str, str], int, int]:
        """Stop (SIGSTOP) the training of a policy once it has a whole checkpoint beyond a step: it hangs in its middle.

        Args:
            policy: without the model's name.
            beyond: the step.
            but: a process that trained it before and is about to end.

        Returns:
            SLURM's job, the step of the newest whole checkpoint, and the process.
        """

        def program() -> tuple[int, dict[str, str]] | None:
            command = ["workflow_scripts/train_policy.py", "--initial"]
            for pid, arguments, environment in processes():
                of_policy = arguments[1:3] == command and f"{MODEL}/{policy}" in arguments
                if of_policy and pid != but and place(pid) == self.folder:
                    return pid, environment
            return None

        def whole() -> list[int]:
            folder = self / f"results/checkpoints/{MODEL}/{policy}"
            steps = (int(path.parent.name.split("-")[1]) for path in folder.glob("checkpoint-*/whole.json"))
            return [step for step in steps if step > beyond]

        pid, environment = wait_until(program, PATIENCE, f"{policy} is trained")
        wait_until(whole, PATIENCE, f"{policy} has a checkpoint beyond step {beyond}", pause=0.005)
        os.kill(pid, signal.SIGSTOP)
        status = Path(f"/proc/{pid}/status")
        wait_until(
            lambda: "State:\tT" in status.read_text(encoding="utf-8"), 30, f"the training of {policy} stands still"
        )
        assert not (self / f"results/policies/{MODEL}/{policy}/manifest.json").exists()
        (job,) = [job for job in self.jobs() if job["JobId"] == environment["SLURM_JOB_ID"]]
        return job, max(whole()), pid

    def training_log(self, policy: str) -> str:
        path = self / f"results/logs/train_policy/{MODEL}/{policy}.log"
        return path.read_text() if path.exists() else ""

    def results(self) -> dict[str, bytes]:
        """Every result by name; not what says how it came about."""
        said = ("logs", "benchmarks", "judge_cache")
        files = [path for path in (self / "results").rglob("*") if path.is_file() and not path.match("*.ledger.json")]
        names = {path: path.relative_to(self.folder / "results") for path in files}
        return {str(name): path.read_bytes() for path, name in names.items() if name.parts[0] not in said}


def pytest_collection_modifyitems(items) -> None:
    if (lacking := missing()) and not os.environ.get("CI"):
        reason = f"this machine has no {', '.join(lacking)} of SLURM: tests/install installs it, as root"
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def cluster():
    assert not missing(), f"SLURM is not installed: there is no {', '.join(missing())}"
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def undisturbed(cluster, tmp_path_factory) -> Study:
    study = Study.fresh(tmp_path_factory.mktemp("undisturbed"), cluster)
    study.finish(study.start())
    return study


@pytest.fixture
def disturbed(undisturbed, tmp_path) -> Study:
    """A copy of the finished study, for a fault to strike."""
    return undisturbed.copy(tmp_path)
