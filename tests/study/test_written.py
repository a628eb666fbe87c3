"""A key that stands twice in a configuration file is refused, where it would silently take the place of the first."""

import json

import pytest
import yaml
from clones import link_workflow
from dry_runs import snakemake

from dpo_stages.core.errors import BadInput
from dpo_stages.study.written import refuse_repeated_keys


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("preset: laptop\nseeds: [0]\npreset: paper\n", "the key preset stands twice in mine.yaml, in lines 1 and 3"),
        (
            "methods:\n  dpo: {beta: 0.1}\n  dpo:\n    beta: 0.2\n",
            "the key methods.dpo stands twice in mine.yaml, in lines 2 and 3",
        ),
        ("quality: {pairs: [{a: 1, b: 2, a: 3}]}", "quality.pairs.0.a stands twice in mine.yaml, in lines 1 and 1"),
        (
            json.dumps({"seeds": [0]})[:-1] + ',\n"seeds": [1]}',
            "the key seeds stands twice in mine.yaml, in lines 1 and 2",
        ),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(BadInput) as refused:
        refuse_repeated_keys([tmp_path / "mine.yaml"], yaml.compose)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: {b: 1}\nc: {b: 1}\n",
        "a: [{b: 1}, {b: 1}]",
        "x: &x {b: 1}\ny: {<<: *x, <<: *x, b: 2}\n",
        "1: a\n'1': b\n",
    ],
)
def test_the_same_key_elsewhere_is_another_one(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    refuse_repeated_keys([tmp_path / "mine.yaml"], yaml.compose)


def test_a_run_looks_at_all_of_its_files(tmp_path):
    clone = link_workflow(tmp_path)
    (clone / "mine.yaml").write_text("seeds: [0]\n")
    (clone / "more.yaml").write_text("replicates: 2\nseeds: [0]\nreplicates: 3\n")
    done = snakemake("-n", "--cores", "1", "--configfile", "mine.yaml", "more.yaml", folder=clone)
    assert done.returncode == 2
    assert "configuration: the key replicates stands twice in more.yaml, in lines 1 and 3" in done.stderr
    assert "Traceback" not in done.stderr
    (clone / "more.yaml").write_text('{\n\t"replicates": 2\n}\n')  # JSON, and no YAML
    done = snakemake("-n", "--cores", "1", "--configfile", "more.yaml", "--", "results/plan.md", folder=clone)
    assert done.returncode == 0, done.stderr
