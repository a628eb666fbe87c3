"""Programs, as the demo calls them, with each of their inputs damaged, files of checkpoints among them, and absurd numbers.

What must come of it: exit code 2, one last line that names the file or the flag, no traceback, nothing written.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from clones import ROOT
from conftest import ANALYSES, TABLE

OUTPUTS = (
    "--output",
    "--csv",
    "--markdown",
    "--decisions",
    "--svg",
    "--png",
    "--checkpoints",
    "--cache",
    "--output-folder",
)
ALSO_OUTPUTS = {"draw_quality_pairs": ("--instructions",), "label_ranker_samples": ("--train", "--heldout")}
# Not read with the adapter `local`; read for its hash alone; written down for those who ask the judge.
IGNORED = {("prepare_dataset", "--split"), ("judge_outputs", "--identified-by"), ("describe_judge", "--identified-by")}
NUMBER = re.compile(r"-?[0-9][0-9.]*(e-?[0-9]+)?")
DAMAGES = {
    "": {"missing": None, "a folder": ..., "empty": b"", "binary": b"\xff\xfe\x00\x01" * 200},
    ".parquet": {"cut short": "cut", "other columns": pa.table({"question": ["What?"]})},
    ".json": {"cut short": "cut", "a number": b"7\n", "an object without keys": b"{}\n", "a list of numbers": b"[1]\n"},
    ".jsonl": {"cut short": "cut", "a list on a line": b"[1]\n", "objects without keys": b"{}\n{}\n"},
    ".csv": {"other columns": b"question\nWhat?\n"},
}
ABSURD = ("-1", "nan", "many")


def commands(printed: str) -> dict[str, tuple[str, list[str]]]:
    """One call of each program in what `snakemake --printshellcmds` printed: its environment and arguments."""
    found = {}
    for line in printed.splitlines():
        command = line.removeprefix("Shell command: ").strip()
        if command.startswith("envs/run ") and " workflow_scripts/" in command:
            _, env, script, *arguments = shlex.split(command.split(" > results/logs/")[0])
            found.setdefault(Path(script).stem, (env, arguments))
    return found


def damages_of(path: str) -> dict[str, object]:
    return DAMAGES[""] | DAMAGES.get(Path(path).suffix, {})


class Cases:
    """Calls of programs with something wrong, of which nothing but their outputs' folder may be written."""

    def __init__(self, demo: Path, folder: Path) -> None:
        self.demo, self.folder, self.cases, self.folders = demo, folder, {}, 0

    def add_all(self, program: str, env: str, arguments: list[str]) -> None:
        arguments, flag, damaged = list(arguments), "", set()
        outputs = OUTPUTS + ALSO_OUTPUTS.get(program, ())
        for position, word in enumerate(arguments):
            if word.startswith("--"):
                flag = word
            elif flag in outputs:
                arguments[position] = str(self.folder / "OUT" / flag.strip("-") / Path(word).name)
        for position, word in enumerate(arguments):
            if word.startswith("--"):
                flag = word
                continue
            label, _, path = word.rpartition("=")
            if flag in outputs or flag in damaged or (program, flag) in IGNORED:
                continue
            damaged.add(flag)  # the first of several is enough
            if path.startswith("results/") and (self.demo / path).is_file():
                damages = {name: self.damage(path, content) for name, content in damages_of(path).items()}
                for name, file in (damages | self.damaged_folders(path)).items():
                    words = [
                        *arguments[:position],
                        f"{label}={file}" if label else str(file),
                        *arguments[position + 1 :],
                    ]
                    self.add(program, env, words, f"{flag} {name}", (str(file.parent), flag))
            elif NUMBER.fullmatch(word):
                for value in ABSURD:
                    self.add(
                        program,
                        env,
                        [*arguments[:position], value, *arguments[position + 1 :]],
                        f"{flag} {value}",
                        (flag,),
                    )

    def add(self, program: str, env: str, words: list[str], what: str, named: tuple[str, ...]) -> None:
        number = len(self.cases)
        words = [word.replace(f"{self.folder}/OUT", f"{self.folder}/{number}/out") for word in words]
        self.cases[number] = {"env": env, "program": program, "arguments": words, "what": what, "named": named}

    def damage(self, path: str, content: object) -> Path:
        """A file of its own name in a folder of its own, with other content."""
        file = self.new_folder() / Path(path).name
        if content is ...:
            file.mkdir()
        elif isinstance(content, bytes):
            file.write_bytes(content)
        elif isinstance(content, pa.Table):
            pq.write_table(content, file)
        elif content == "cut":
            whole = (self.demo / path).read_bytes()
            file.write_bytes(whole[: len(whole) * 2 // 3])
        return file

    def damaged_folders(self, path: str) -> dict[str, Path]:
        """Of a manifest: the same manifest, with one of the files that it vouches for lost or changed."""
        manifest = json.loads((self.demo / path).read_text()) if Path(path).name == "manifest.json" else {}
        found = {}
        for name in manifest.get("files", ()):
            for what in ("missing", "one bit flipped"):
                folder = self.new_folder()
                shutil.copytree((self.demo / path).parent, folder, dirs_exist_ok=True, copy_function=os.link)
                content = (folder / name).read_bytes()
                (folder / name).unlink()
                if what != "missing":
                    (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
                found[f"{name} {what}"] = folder / "manifest.json"
        return found

    def new_folder(self) -> Path:
        self.folders += 1
        folder = self.folder / "in" / str(self.folders)
        folder.mkdir(parents=True)
        return folder

    def run(self) -> list[str]:
        """Run all; returns a line for each that did not end as it must."""
        wrong = []
        for env in sorted({case["env"] for case in self.cases.values()}):
            chosen = {number: case for number, case in self.cases.items() if case["env"] == env}
            listed = self.folder / f"{env}.json"
            listed.write_text(json.dumps(list(chosen.values())))
            done = subprocess.run(
                [ROOT / "envs/run", env, ROOT / "tests/end_to_end/run_cases.py", listed],
                cwd=self.demo, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True, capture_output=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            for (number, case), line in zip(chosen.items(), done.stdout.splitlines(), strict=True):
                if problem := self.problem(number, case, json.loads(line)):
                    wrong.append(f"{case['program']}, {case['what']}: {problem}")
        return wrong

    def problem(self, number: int, case: dict, result: dict) -> str | None:
        last = (result["error"].strip().splitlines() or [""])[-1]
        written = [path for path in (self.folder / str(number) / "out").rglob("*") if path.is_file()]
        if result["code"] != 2 or "Traceback" in result["error"]:
            return f"exit code {result['code']}, {last[:300]}"
        if not last.startswith(f"{case['program']}") or not any(name in last for name in case["named"]):
            return f"unclear: {last[:300]}"
        return f"wrote {written}" if written else None


def test_damaged_files_and_absurd_numbers_are_refused_in_one_sentence(demo, tmp_path):
    options = ["-n", "--forceall", "--printshellcmds", "--quiet", "host"]
    printed = demo.snakemake(TABLE, "results/figures/table3.png", *ANALYSES, options=options).stdout
    cases = Cases(demo.folder, tmp_path)
    for program, (env, arguments) in commands(printed).items():
        cases.add_all(program, env, arguments)
    assert len({case["program"] for case in cases.cases.values()}) >= 20 and len(cases.cases) >= 500, printed[-4000:]
    wrong = cases.run()
    assert not wrong, f"{len(wrong)} of {len(cases.cases)}:\n" + "\n".join(wrong)
