"""`--sdm conda`, with a stand-in for conda that makes environments of links into this checkout's .venvs."""

import os
import re
import subprocess

import pytest
from clones import ROOT
from conftest import SMALL

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


@pytest.fixture
def conda(tmp_path):
    """The process environment with the stand-in, which comes before any conda of this machine."""
    (tmp_path / "bin").mkdir()
    for name, script in (("conda", CONDA), ("activate", ACTIVATE)):
        script = script.replace("HERE", str(tmp_path)).replace("VENVS", str(ROOT / ".venvs"))
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}


def test_each_program_runs_in_the_environment_that_conda_made_of_its_file(make_clone, conda, tmp_path):
    clone = make_clone("conda")
    (clone / ".venvs").unlink()
    (clone / ".venvs").mkdir()
    (clone / ".venvs/workflow").symlink_to(ROOT / ".venvs/workflow")  # where Snakemake itself runs
    command = ["envs/run", "workflow", "-m", "snakemake", "--profile", "demo", "--sdm", "conda"]
    command += ["--configfile", "demo/config.yaml", SMALL, "--", "results/datasets/demo-preferences/train.parquet"]
    done = subprocess.run(
        command, cwd=clone.folder, env=conda,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert (tmp_path / "used").read_text().splitlines() == [
        "workflow workflow_scripts/make_demo_world.py",
        "train workflow_scripts/prepare_dataset.py",
    ]


def test_the_image_that_snakemake_describes_has_environments_as_the_launcher_finds_them(make_clone, conda, tmp_path):
    """Each step of the Dockerfile is taken by hand, in a folder for the image's root."""
    clone, image = make_clone("image"), tmp_path / "image"
    done = subprocess.run(
        ["envs/run", "workflow", "-m", "snakemake", "--profile", "demo", "--containerize"],
        cwd=clone.folder, env=conda, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    steps = [
        line for line in done.stdout.replace("\\\n", "").splitlines() if line and not line.startswith(("#", "LABEL"))
    ]
    assert steps.pop(0).startswith("FROM condaforge/miniforge3")
    made = []
    for step in steps:
        word, _, rest = step.partition(" ")
        if word == "COPY":
            source, target = rest.split()
            (image / target.lstrip("/")).write_bytes((clone / source).read_bytes())
        else:
            assert word == "RUN", step
            for command in rest.split("&&"):
                made += re.findall(r"--prefix (\S+)", command)
                inside = re.sub(r"(?<= )/conda-envs", f"{image}/conda-envs", command)
                if "conda clean" not in command:
                    subprocess.run(["bash", "-ec", inside.replace("mamba", "conda")], env=conda, check=True)
    names = ("workflow", "train", "vllm-cpu", "pairrm", "alpaca-eval")
    assert len(made) == len(names) + 1  # lm-eval as well, which need not be here
    for name in names:
        active = {**conda, "CONDA_PREFIX": str(image / made[0].lstrip("/"))}
        ran = subprocess.run(
            ["envs/run", name, "-c", "import sys; print(sys.prefix)"],
            cwd=clone.folder,
            env=active,
            text=True,
            capture_output=True,
        )
        assert ran.stdout.strip().endswith(f".venvs/{name}"), ran.stderr
    assert [line.split()[0] for line in (tmp_path / "used").read_text().splitlines()] == list(names)
