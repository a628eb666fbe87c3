"""`--sdm conda`, with a stand-in for conda that makes environments of links into this checkout's .venvs."""

import os
import subprocess

from conftest import ROOT, SMALL

CONDA = r"""#!/bin/bash
case "$*" in
    --version) echo "conda 25.1.0" ;;
    "info --json") echo '{"conda_prefix": "HERE", "platform": "linux-64"}' ;;
    config*) echo '{"get": {"channel_priority": "strict"}}' ;;
    "env create"*)
        while (($#)); do [[ $1 == --file ]] && file=$2; [[ $1 == --prefix ]] && prefix=$2; shift; done
        name=$(sed -n 's/^name: //p' "$file")
        mkdir -p "$prefix/bin"
        printf '#!/bin/sh\necho "%s $1" >> HERE/used\nexec VENVS/%s/bin/python "$@"\n' "$name" "$name" > "$prefix/bin/python"
        chmod +x "$prefix/bin/python" ;;
esac
"""
ACTIVATE = 'export CONDA_PREFIX="$(readlink -f "$1")"\n'


def test_each_program_runs_in_the_environment_that_conda_made_of_its_file(make_clone, tmp_path):
    clone = make_clone("conda")
    (clone / ".venvs").unlink()
    (clone / ".venvs").mkdir()
    (clone / ".venvs/workflow").symlink_to(ROOT / ".venvs/workflow")  # where Snakemake itself runs
    (tmp_path / "bin").mkdir()
    for name, script in (("conda", CONDA), ("activate", ACTIVATE)):
        script = script.replace("HERE", str(tmp_path)).replace("VENVS", str(ROOT / ".venvs"))
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    command = ["envs/run", "workflow", "-m", "snakemake", "--profile", "demo", "--sdm", "conda"]
    command += ["--configfile", "demo/config.yaml", SMALL, "--", "results/datasets/demo-preferences/train.parquet"]
    # Snakemake's own environment comes first on PATH, the stand-in before any conda of this machine.
    done = subprocess.run(
        command, cwd=clone.folder, env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert (tmp_path / "used").read_text().splitlines() == [
        "workflow workflow_scripts/make_demo_world.py",
        "train workflow_scripts/prepare_dataset.py",
    ]
