"""Where the GPU check works, how it runs programs, and what it says of one that ran."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from gpu import meter
from gpu.inputs import REAL, SHAPES, SHORT, Texts, make_model, write_tables

from dpo_stages.study.parameters import parameters_of

ROOT = Path(__file__).resolve().parents[2]


class Failed(Exception):
    """A part did not do what it should; the message is one sentence."""


@dataclass(frozen=True)
class Measure:
    """What a program did.

    Attributes:
        what: in words.
        rows: sequences, pairs or prompts that it had.
        tokens: that it read or wrote, padding and template left aside.
        operations: useful floating-point operations: 2 a weight and token forward, 6 with the backward pass.
        rate: which of `resources.speeds` it measures, and the value.
        working: seconds of the work itself, without start-up.
        run: how it ran.
    """

    what: str
    rows: int
    tokens: int
    operations: float
    rate: tuple[str, float] | None
    working: float
    run: meter.Run


@dataclass(frozen=True)
class Check:
    """Where a check works, and with what.

    Attributes:
        folder: that everything is written to.
        small: name of the smaller of two shapes.
        large: name of the larger one.
        texts: how long they are.
        count: prompts with two responses.
        batch: effective batch of trainings, in pairs.
    """

    folder: Path
    small: str
    large: str
    texts: Texts
    count: int
    batch: int

    @classmethod
    def on_card(cls, folder: Path) -> "Check":
        """Real shapes and lengths."""
        return cls(folder, "0.5B", "1.5B", REAL, 256, 64)

    @classmethod
    def tiny(cls, folder: Path) -> "Check":
        """The same programs in seconds, on a CPU."""
        return cls(folder, "tiny", "tiny", SHORT, 16, 8)

    def run(self, environment: str, program: str, /, *words: object, cpu: bool = False) -> meter.Run:
        """Run a program in one of the environments; `cpu` hides the card from it.

        Raises:
            Failed: with the last line that it printed.
        """
        command = [str(ROOT / "envs/run"), environment, *map(str, (program, *words))]
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if cpu else {}
        log = self.folder / "logs" / f"{Path(program).stem}-{len(list(self.folder.glob('logs/*')))}.log"
        run = meter.run(command, log, {**os.environ, **hidden})
        if run.status:
            raise Failed(f"{Path(program).stem} ended with exit code {run.status}: {run.sentence}")
        return run

    def program(self, environment: str, name: str, /, *more: object, cpu: bool = False, **flags: object) -> meter.Run:
        """Run a program of the workflow with flags."""
        words = [word for flag, value in flags.items() for word in (f"--{flag.replace('_', '-')}", value)]
        return self.run(environment, f"{ROOT}/workflow_scripts/{name}.py", *words, *more, cpu=cpu)

    def model(self, shape: str, reward: bool = False) -> Path:
        """Manifest of the model of a shape, made where it is not there."""
        name = f"{shape}-reward" if reward else shape
        manifest = self.folder / "models" / name / "manifest.json"
        if not manifest.exists():
            raw = self.folder / "raw" / name
            make_model(raw, SHAPES[shape], reward)
            if reward:
                return raw
            self.program("train", "fetch_model", path=raw, output=manifest)
        return manifest

    def table(self, name: str, count: int | None = None) -> tuple[Path, int]:
        """A table of `write_tables` with that many prompts, and the tokens of them with both responses."""
        count = count or self.count
        folder = self.folder / f"texts-{count}"
        return folder / f"{name}.parquet", write_tables(folder, self.texts, count)

    def size(self, manifest: Path) -> float:
        """Number of a model's parameters."""
        return parameters_of(str(manifest if manifest.is_dir() else manifest.parent)) or math.nan

    def training(self, policy: str, size: str) -> dict[str, object]:
        """Flags that SFT and preference optimisation share, as the paper's study has them."""
        work = self.folder / "policies" / policy
        return {
            "learning_rate": 1e-6, "epochs": 1, "batch_size": self.batch, "per_device_batch_size": min(4, self.batch),
            "warmup_ratio": 0.1, "scheduler": "cosine", "max_length": 2048, "dtype": "bfloat16", "rounding": "stochastic", "seed": 0,
            "policy": policy, "checkpoints": work / "checkpoints", "checkpoint_minutes": 15, "output": work / size / "manifest.json",
        }  # fmt: skip

    def reference(
        self, manifest: Path, dtype: str = "bfloat16", count: int | None = None, cpu: bool = False, shared: bool = False
    ) -> tuple[Path, meter.Run]:
        """Log-probabilities of pairs under a model, with `shared` prompts computed once."""
        pairs, _ = self.table("pairs", count)
        how = f"{'-cpu' if cpu else ''}{'-shared' if shared else ''}"
        output = self.folder / f"reference-{manifest.parent.name}-{dtype}-{pairs.parent.name}{how}.parquet"
        run = self.program(
            "train", "compute_reference_logps", *(["--prefix-sharing"] if shared else []), cpu=cpu, policy=manifest, preferences=pairs, max_length=2048, dtype=dtype,
            output=output,
        )  # fmt: skip
        return output, run
