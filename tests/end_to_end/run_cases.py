"""Run programs of one environment many times, each in a child of this process, which has the imports already.

    envs/run ENV tests/end_to_end/run_cases.py CASES.json

CASES is a list of {"program", "arguments"}; what came of each is printed as JSON, one {"code", "error"} a line.
"""

import contextlib
import importlib
import json
import os
import runpy
import signal
import sys
import tempfile
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow_scripts"
HEAVY = ("pandas", "pyarrow.parquet", "torch", "transformers", "dpo_stages.training.trainers")
SECONDS = 120  # longer means that bad input was not noticed, and the work has begun


def main() -> None:
    sys.path.insert(0, str(SCRIPTS))
    cases = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for name in (*HEAVY, *sorted({case["program"] for case in cases})):
        with contextlib.suppress(ImportError):  # of another environment
            importlib.import_module(name)
    for case in cases:
        print(json.dumps(run(case)), flush=True)


def run(case: dict) -> dict:
    with tempfile.TemporaryFile() as printed:
        child = os.fork()
        if child == 0:
            signal.alarm(SECONDS)
            for stream in (1, 2):
                os.dup2(printed.fileno(), stream)
            sys.argv = [f"{case['program']}.py", *case["arguments"]]
            code = 1
            try:
                runpy.run_path(str(SCRIPTS / sys.argv[0]), run_name="__main__")
                code = 0
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 1 if error.code else 0
                if isinstance(error.code, str):
                    print(error.code, file=sys.stderr)
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        printed.seek(0)
        return {"code": os.waitstatus_to_exitcode(status), "error": printed.read().decode(errors="replace")}


if __name__ == "__main__":
    main()
