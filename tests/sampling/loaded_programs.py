"""Programs that sample for `forks.py`: vLLM is imported."""

import runpy
import sys
import tempfile
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow_scripts"


def load() -> None:
    sys.path.insert(0, str(SCRIPTS))
    from dpo_stages.core.libraries import importing_libraries
    from dpo_stages.sampling.engine import prepare_environment

    prepare_environment()
    with importing_libraries():
        from vllm import EngineArgs, LLMEngine, SamplingParams  # noqa: F401
    tempfile.tempdir = None  # each fork has a folder of its own


def call(words: list[str]) -> None:
    sys.path.insert(0, str(SCRIPTS))
    sys.argv = [f"{words[0]}.py", *words[1:]]
    runpy.run_path(str(SCRIPTS / sys.argv[0]), run_name="__main__")
