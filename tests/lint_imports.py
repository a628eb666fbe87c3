"""Check the contracts of imports that pyproject.toml names; exit code 1 if one is broken. `make lint` runs it."""

import os
import re
import sys
from pathlib import Path
from typing import Any

from importlinter import Contract, ContractCheck, cli, output

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "workflow_scripts"


class ProgramsStandAlone(Contract):
    """No program imports another; import-linter itself knows packages alone, and programs lie in none."""

    def check(self, graph: Any, verbose: bool) -> ContractCheck:
        """Search the programs' text for imports of programs."""
        programs = {path.stem: path.read_text(encoding="utf-8") for path in SCRIPTS.glob("*.py")}
        pattern = re.compile(rf"^ *(?:from|import) ({'|'.join(programs)})\b", re.MULTILINE)
        found = {name: sorted(set(pattern.findall(text))) for name, text in programs.items()}
        broken = {name: others for name, others in found.items() if others}
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name the programs."""
        for name, others in check.metadata["broken"].items():
            output.print_error(f"{name}.py imports {', '.join(others)}: move what both need into dpo_stages")


if __name__ == "__main__":
    sys.path[:0] = [str(SCRIPTS), str(Path(__file__).parent)]
    os.chdir(ROOT)
    sys.exit(cli.lint_imports(config_filename="pyproject.toml", no_cache=True, no_logo=True))
