"""A file that nothing makes is answered with the file that is meant, or with the key that is missing."""

import copy
import re

import pytest
from clones import link_workflow
from dry_runs import snakemake
from studies import make_study

from dpo_stages.study.targets import asked_for, unmade

STUDY = make_study()
MADE = ("results/boundary/{initial}.md", "results/tables/{table}.md", "results/policies/{traced}/manifest.json")
FILES = (
    "results/boundary/zephyr-7b/sft.md",
    "results/tables/table3.md",
    "results/policies/zephyr-7b/dpo/off/manifest.json",
    "results/policies/zephyr-7b/dpo/off-on/manifest.json",
)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("results/boundary/zephir-7b/sft.md", FILES[0]),
        ("results/boundry/zephyr-7b/sft.md", FILES[0]),
        ("results/tables/tabel3.md", FILES[1]),
        ("results/policies/zephyr-7b/dpoo/off/manifest.json", FILES[2]),
        ("results/policies/zephyr-7b/dpo/of/manifest.json", FILES[2]),
        ("results/policies/zephyr-7b/dpo/off-onn/manifest.json", FILES[3]),
        ("results/policies/zephyr-7b/dpo/off/manifst.json", FILES[2]),
    ],
)
def test_what_is_meant_is_asked(asked, meant):
    said = [*unmade([asked, *FILES], STUDY.config, MADE, FILES.__contains__)]
    assert said == [f"nothing makes {asked}; did you mean {meant}?"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("results/tables/data_sets.md", "name them as `preference_data: [one.jsonl, other.jsonl]`"),
        ("results/held_out/pairrm.json", "preference_models.pairrm.held_out"),
        ("results/second_opinions/pairrm/zephyr-7b/sft.md", "name it in boundary.second_opinions"),
        ("results/capabilities/zephyr-7b/sft.json", "name some in capabilities.tasks"),
        ("results/nothing/like/it", "docs/own.md lists what can be asked for"),
    ],
)
def test_what_is_lacking_is_named(asked, words):
    (said,) = unmade([asked], STUDY.config, MADE, FILES.__contains__)
    assert said.startswith(f"nothing makes {asked}") and words in said


def test_a_suffix_belongs_to_what_is_chosen():
    config = copy.deepcopy(STUDY.config)
    config["preference_models"]["other"] = {**config["preference_models"]["pairrm"], "suffix": "b"}
    (said,) = unmade(["results/boundary/zephyr-7b+b/sft.json"], config, MADE, lambda file: False)
    assert (
        "b is the suffix of preference_models.other, which is not chosen; add `--config preference_model=other`" in said
    )


def test_targets_are_what_stands_behind_two_dashes():
    assert asked_for(["snakemake", "-n", "--", "./results/a", "all"]) == ["results/a", "all"]
    assert asked_for(["snakemake", "--cleanup-metadata", "results/a", "results/b"]) == []


def test_it_is_said_before_anything_is_planned(tmp_path):
    clone = link_workflow(tmp_path)
    done = snakemake("-n", "--cores", "1", "--", "results/tables/tabel3.md", "all", "config.yaml", folder=clone)
    assert done.returncode == 2
    assert re.fullmatch(
        r"nothing makes results/tables/tabel3\.md; did you mean results/tables/table\d\.md\?\n", done.stderr
    )
    assert snakemake("-n", "--cores", "1", "--", "results/plan.md", folder=clone).returncode == 0
