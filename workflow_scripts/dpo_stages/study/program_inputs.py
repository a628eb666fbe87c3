"""What a change of must rerun a rule: its program, the modules that the program imports, its environment's lock.

Standard library only. Text is searched rather than parsed: the Snakefile is read again by every job, and a parser would
take longer than the rest.
"""

import functools
import re
from collections.abc import Collection
from pathlib import Path

_IMPORT = re.compile(
    r"^ *(?:from (?P<module>dpo_(?:stages|boundary)[\w.]*) import (?P<names>\([^)]*\)|.+)|import (?P<alone>dpo_[\w.]+))",
    re.MULTILINE,
)
_COMMENT = re.compile(r"#.*")


# Modules that a program imports by the kind of the preference model that it opens.
NETWORKS = ("preferences.pairrm.llm_blender", "preferences.pairrm.direct", "preferences.reward_model")
JUDGES = ("preferences.judge",)


class Programs:
    """The programs of the workflow and the files that they are made of.

    Args:
        root: the workflow's own folder.
        prefix: the same as seen from the study's folder, where Snakemake works; "" if the two are one.
    """

    def __init__(self, root: Path, prefix: str = "") -> None:
        self.scripts, self.prefix = root / "workflow_scripts", prefix

    def inputs(self, name: str, env: str, without: Collection[str] = ()) -> list[str]:
        """The files that decide what a program does, as Snakemake names inputs.

        Args:
            name: of the program.
            env: the environment that it runs in.
            without: dotted modules below dpo_stages that it imports only for settings other than these.
        """
        left_out = {f"dpo_stages/{module.replace('.', '/')}.py" for module in without}
        files: set[str] = set()
        waiting = {f"{name}.py"}
        while waiting:
            file = waiting.pop()
            files.add(file)
            waiting |= self._imports(file) - files - left_out
        return [
            f"{self.prefix}{file}"
            for file in (*(f"workflow_scripts/{file}" for file in sorted(files)), f"envs/{env}.lock.txt")
        ]

    @functools.cache  # noqa: B019 - one for the whole run
    def _imports(self, file: str) -> frozenset[str]:
        """Our own modules that a program or module imports, inside its functions too, as paths below the scripts.

        Packages are no more than the docstrings of their `__init__.py`, so those do not count; the one of dpo_boundary,
        which is a library for others, does where something is imported from the package itself.
        """
        found: set[str] = set()
        for match in _IMPORT.finditer((self.scripts / file).read_text(encoding="utf-8")):
            folder = (match["module"] or match["alone"]).replace(".", "/")
            names = _COMMENT.sub("", match["names"] or "").strip("()\n ").split(",")
            for name in (words[0] for words in map(str.split, names) if words):
                found.add(
                    f"{folder}/{name}.py" if (self.scripts / folder / f"{name}.py").is_file() else self._module(folder)
                )
            if match["alone"]:
                found.add(self._module(folder))
        return frozenset(found)

    def _module(self, path: str) -> str:
        return f"{path}.py" if (self.scripts / f"{path}.py").is_file() else f"{path}/__init__.py"
