"""A policy's card says what made it, in front matter that is YAML and lines that are Python."""

import json
import re

import pytest
import yaml

from dpo_stages.core.errors import BadInput
from dpo_stages.study.cards import card

MANIFEST = {
    "policy": "tiny/dpo/on",
    "arguments": {"beta": 0.1, "delta": None, "learning_rate": 5e-7, "loss": "sigmoid"},
    "versions": {"trl": "1.16.0"},
    "initial_policy": "tiny/sft",
    "files": {"model.safetensors": "0"},
}
LEDGER = {
    "rows_out": 96,
    "steps": 3,
    "provenance": {"commit": "0123456789" * 4 + ", with changes that are not committed", "ended": "2026-11-26"},
}
HUB = {"path": "org/Tiny", "revision": "f" * 40, "files": {}}
ABOUT = {"Off-policy data": "pairs", "Preference model": "ranker"}
STEP = {"policy": "tiny/dpo/on", "initial_policy": "tiny/sft", "named_source": "on", "source": "on"}
MEASURED = {"boundary_score": 0.6, "interval": [0.55, 0.65], "verdict": "decided", "recommended_source": "on"}
CHOSEN = {**STEP, "named_source": "auto", "decided_by": "boundary score", **MEASURED}


def traced(*steps):
    return {"resolved_policy": steps[-1]["policy"], "steps": [*steps], "samples_drawn": 1200, "labels_made": 34}


def test_a_card_of_a_policy_that_was_chosen():
    text = card("tiny/dpo/auto", MANIFEST, LEDGER, HUB, traced(CHOSEN), ABOUT)
    _, matter, body = text.split("---\n", 2)
    assert yaml.safe_load(matter) == {
        "base_model": "org/Tiny",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["dpo", "trl", "dpo-stages"],
    }
    for words in (
        "# tiny/dpo/auto",
        "[org/Tiny](https://huggingface.co/org/Tiny) at commit ffffffffff by 1 iteration of",
        "it is `tiny/dpo/on`",
        "1. `tiny/dpo/on` from `tiny/sft`, on on-policy pairs: its initial policy's own samples for the prompts of pairs.",
        "Decided by the boundary score: the boundary score of `tiny/sft` is 0.600 (0.550 to 0.650), which is decided.",
        "It took 1,200 samples of policies and 34 labels.",
        "| learning rate | 5e-07 |",
        "| steps | 3 |",
        "- Preference model: ranker",
        "- Versions: trl 1.16.0",
        "commit 0123456789, with changes that are not committed",
    ):
        assert words in body, words
    assert "delta" not in text
    for block in re.findall(r"```python\n(.*?)```", body, re.DOTALL):
        compile(block, "card", "exec")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (STEP, "for the prompts of pairs.\n"),
        ({**STEP, "source": "off"}, "on off-policy pairs: responses of pairs.\n"),
        ({**STEP, "source": "llama"}, "on samples of another policy (`llama`).\n"),
        (
            {**STEP, "source": "mix30", "on_policy_share": 0.3},
            "own samples for 30% of the prompts, pairs for the others.\n",
        ),
        ({**STEP, "source": "pool"}, "own samples and the responses of pairs together.\n"),
        ({**STEP, "source": "pick", "on_policy_share": 0.25}, "own pairs for the others, 25% of the prompts.\n"),
        (
            {**STEP, "named_source": "blend", "source": "blend", "on_policy_share": 0.6, **MEASURED},
            "The share follows from a measurement: the boundary score of `tiny/sft` is 0.600",
        ),
        ({**CHOSEN, "decided_by": "hand"}, "Decided by hand: the boundary score"),
        (
            {**CHOSEN, "decided_by": "the rule for undecided scores"},
            "Decided by the rule for undecided scores: the bou",
        ),
        (
            {**CHOSEN, "warnings": ["length alone could have made this decision"]},
            "0.600 (0.550 to 0.650), which is decided. Warning: length alone could have made this decision.\n",
        ),
        (
            {
                **STEP,
                "named_source": "auto",
                "decided_by": "race",
                "verdict": "decided",
                "race_leader": "on",
                "race_epochs": 0.8,
            },
            "Decided by the race: the race from `tiny/sft` is decided after 0.8 epochs of training, with `on` ahead.\n",
        ),
    ],
)
def test_a_card_says_what_a_policy_was_trained_on_and_why(step, words):
    assert words in card("tiny/dpo/on", MANIFEST, LEDGER, HUB, traced(step), ABOUT)


def test_a_card_of_a_model_that_was_given_names_no_folder_and_no_training():
    text = card("tiny/sft", {"policy": "tiny/sft"}, {}, {"path": "/mnt/models/tiny", "revision": None}, None, {})
    assert "base_model" not in text and "/mnt/models" not in text and "Settings" not in text and "dpo, " not in text


def test_a_card_of_a_policy_that_lora_has_trained_says_how_the_adapter_is_loaded_and_made_whole():
    arguments = {**MANIFEST["arguments"], "lora": {"rank": 12}}
    trained = {**MANIFEST, "arguments": arguments, "beside": {"base": "org/Tiny", "initial": "../sft"}}
    text = card("tiny/dpo/on", trained, LEDGER, HUB, traced(STEP), ABOUT)
    for words in (
        'PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("org/Tiny"), "adapter")',
        "--model org/Tiny --tokenizer . --enable-lora --max-lora-rank 16 --lora-modules policy=adapter",
        "merge_policy.py results/policies/tiny/dpo/on/manifest.json",
    ):
        assert words in text, words
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(block, "card", "exec")
    assert "adapter" not in card("tiny/dpo/on", MANIFEST, LEDGER, HUB, traced(STEP), ABOUT)
    assert text.index("merge_policy.py") < text.index("from transformers import pipeline")


@pytest.mark.parametrize(
    ("name", "base", "seen"),
    [
        ("tiny/dpo/on", "results/policies/tiny/sft", "../../sft"),
        ("tiny/dpo/auto-auto", "results/policies/tiny/dpo/on", "../on"),
        ("tiny/sft", "results/models/tiny", "../../../models/tiny"),
    ],
)
def test_the_base_of_an_adapter_is_named_as_it_is_seen_from_the_policys_folder(name, base, seen):
    arguments = {**MANIFEST["arguments"], "lora": {"rank": 8}}
    trained = {**MANIFEST, "arguments": arguments, "beside": {"base": base, "initial": "../sft"}}
    text = card(name, trained, LEDGER, HUB, traced(STEP), ABOUT)
    assert f'from_pretrained("{seen}"), "adapter")' in text and f"--model {seen} --tokenizer ." in text
    assert (f"the command above makes those of {base}/manifest.json" in text) == (seen == "../on")


@pytest.fixture
def folder(tmp_path):
    for name, value in (("manifest", MANIFEST), ("manifest.ledger", LEDGER), ("base", HUB), ("trace", traced(CHOSEN))):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    return tmp_path


def test_the_program_writes_it_beside_the_policy(run_here, folder):
    files = ["--trained", folder / "manifest.json", "--base", folder / "base.json", "--trace", folder / "trace.json"]
    about = ["--about", *(f"{what}={name}" for what, name in ABOUT.items())]
    run_here("write_model_card", "--policy", "tiny/dpo/auto", *files, *about, "--output", folder / "README.md")
    assert (folder / "README.md").read_text() == card("tiny/dpo/auto", MANIFEST, LEDGER, HUB, traced(CHOSEN), ABOUT)
    with pytest.raises(BadInput, match="--about x is not of the form WHAT=NAME"):
        run_here("write_model_card", "--policy", "a/sft", *files, "--about", "x", "--output", folder / "other.md")
    assert not (folder / "other.md").exists()


@pytest.mark.parametrize(
    ("flag", "content", "words"),
    [
        ("trained", "{}", "manifest.json lacks files; make it again"),
        ("base", "[1]", "base.json lacks files; make it again"),
        ("trace", '{"steps": []}', "trace.json lacks resolved_policy, samples_drawn, labels_made; make it again"),
    ],
)
def test_what_is_no_manifest_or_trace_is_refused(run_here, folder, flag, content, words):
    files = {"trained": "manifest.json", "base": "base.json", "trace": "trace.json"}
    (folder / files[flag]).write_text(content)
    given = [word for name, file in files.items() for word in (f"--{name}", folder / file)]
    with pytest.raises(BadInput, match=words):
        run_here("write_model_card", "--policy", "tiny/dpo/auto", *given, "--output", folder / "README.md")
    assert not (folder / "README.md").exists()


def test_a_card_says_which_of_several_data_sets_came_first():
    of_old = {
        "policy": "tiny/dpo/off.old",
        "source": "off.old",
        "compared_with": "old",
        "order": "old, then own samples.",
    }
    text = card("tiny/dpo/auto", MANIFEST, LEDGER, HUB, traced({**CHOSEN, **of_old}), ABOUT)
    assert "on off-policy pairs: responses of old." in text
    assert (
        "`tiny/sft` against old is 0.600 (0.550 to 0.650), which is decided; first to last: old, then own samples."
        in text
    )
