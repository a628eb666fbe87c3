"""A small instruction set with outputs, and a judge."""

from pathlib import Path

import pytest
from fake_judge import FakeJudge, make_rows


@pytest.fixture
def fake_judge():
    judge = FakeJudge()
    yield judge
    judge.close()


@pytest.fixture
def make_evaluation(tmp_path: Path):
    """`make_evaluation(size)` writes an instruction set and a policy's outputs; it returns their paths and the rows."""
    from dpo_stages.core.files import write_json
    from dpo_stages.core.parquet import write_table
    from dpo_stages.data.schemas import INSTRUCTIONS

    def make(size: int = 12, generator: str = "tiny/sft", suffix: str = "") -> tuple[Path, Path, list[dict]]:
        rows = make_rows(size)
        instructions, outputs = tmp_path / "evaluation.parquet", tmp_path / f"model_outputs{suffix}.json"
        write_table(instructions, [{key: row[key] for key in INSTRUCTIONS.names} for row in rows], INSTRUCTIONS)
        keys = ("index", "prompt_id", "instruction")
        write_json(
            outputs,
            [
                {**{key: row[key] for key in keys}, "output": row["output"] + suffix, "generator": generator}
                for row in rows
            ],
        )
        return outputs, instructions, rows

    return make
