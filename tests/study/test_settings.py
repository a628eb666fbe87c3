"""The configuration: the paper's study is valid, every mistake gives one sentence with the key and what is allowed."""

import copy
import datetime
import re

import pytest
import yaml
from conftest import ROOT

from dpo_stages.core.errors import BadInput
from dpo_stages.study.settings import check_settings
from dpo_stages.training.losses import LOSSES

SCHEMA = yaml.safe_load((ROOT / "rules/config.schema.yaml").read_text())
PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())


def checked(config):
    config = copy.deepcopy(config)
    check_settings(config, SCHEMA)
    return config


def merged(base, overlay):
    """What Snakemake does with a profile's config file: dictionaries are merged, everything else is replaced."""
    if not (isinstance(base, dict) and isinstance(overlay, dict)):
        return overlay
    return {**base, **{key: merged(base.get(key), value) for key, value in overlay.items()}}


def test_the_papers_study_is_valid_and_says_what_the_paper_says():
    config = checked(PAPER)
    of_judges = {judge["model"] for judge in config["judges"].values() if judge["kind"] == "vllm"}
    assert set(config["models"]) - of_judges == {
        "llama-3-8b-instruct", "zephyr-7b", "phi-2", "qwen2.5-1.5b", "pythia-6.9b", "qwen3-4b",
    }  # fmt: skip
    needs_sft = {name for name, model in config["models"].items() if model["sft"] == "ultrachat"}
    assert needs_sft == {"phi-2", "qwen2.5-1.5b", "pythia-6.9b"}
    dpo, sampling = config["methods"]["dpo"], config["sampling"]
    assert (dpo["beta"], dpo["learning_rate"], dpo["epochs"], dpo["batch_size"]) == (0.01, 5e-7, 1, 4 * 8 * 4)
    assert (config["sft"]["learning_rate"], config["sft"]["batch_size"]) == (2e-5, 128)
    assert config["sft"]["packing"] and config["sft"]["loss_on_prompts"] and config["sft"]["empty_system_turn"]
    assert config["max_length"] == 2048  # of the packed rows, as in the alignment handbook
    assert (sampling["temperature"], sampling["top_p"], sampling["top_k"]) == (0.7, 0.9, 50)
    assert config["models"]["zephyr-7b"]["revision"] == "main"  # the schema's default is filled in


def test_instructions_of_ones_own_need_no_difficulties():
    """The plain win rate is what is left."""
    own = {"kind": "instructions", "adapter": "local", "splits": {"evaluation": "mine.jsonl"}}
    config = merged(PAPER, {"datasets": {"mine": own}, "evaluation": {"instructions": "mine"}})
    assert checked(config)["evaluation"]["fit_difficulty_over"] is None
    with pytest.raises(BadInput, match="evaluation.instructions names 'mine', which has no split verbose"):
        checked(merged(config, {"evaluation": {"fit_difficulty_over": "table3"}}))


def test_answers_in_words_have_a_limit_and_a_judge_may_give_a_second_opinion():
    judge = {"answers": "words", "prompt": "mine.txt"}
    config = merged(PAPER, {"judges": {"gpt-4-turbo": judge}, "preference_models": {"api": {"judge": "gpt-4-turbo"}}})
    config = checked(merged(config, {"boundary": {"second_opinions": ["api"]}}))
    assert config["judges"]["gpt-4-turbo"]["answer_tokens"] == 1024
    assert config["judges"]["qwen2.5-14b"]["answer_tokens"] is None
    longer = checked(merged(PAPER, {"judges": {"gpt-4-turbo": {"answers": "words", "answer_tokens": 4096}}}))
    assert longer["judges"]["gpt-4-turbo"]["answer_tokens"] == 4096


def test_the_demo_overlay_is_valid():
    overlay = yaml.safe_load((ROOT / "demo/config.yaml").read_text())
    config = checked(merged(PAPER, overlay))
    assert config["accelerator"] == "cpu"
    assert len(config["tables"]["table3"]["models"]) == 3


@pytest.mark.parametrize("profile", ["demo", "small"])
def test_the_alignment_handbooks_recipe_is_the_papers_study_alone(profile):
    overlay = yaml.safe_load((ROOT / profile / "config.yaml").read_text())
    sft = checked(merged(PAPER, overlay))["sft"]
    assert not (sft["packing"] or sft["loss_on_prompts"] or sft["empty_system_turn"])


def test_the_schema_names_every_loss_that_training_knows():
    assert SCHEMA["properties"]["methods"]["additionalProperties"]["properties"]["loss"]["enum"] == list(LOSSES)


def test_numbers_may_come_as_text_as_snakemake_hands_on_nested_settings():
    config = checked(
        merged(PAPER, {"iterations": "1", "seeds": ["0", "1"], "methods": {"dpo": {"learning_rate": "5e-7"}}})
    )
    assert (config["iterations"], config["seeds"], config["methods"]["dpo"]["learning_rate"]) == (1, [0, 1], 5e-7)
    with pytest.raises(BadInput, match="iterations is 'two'; expected is integer"):
        checked({**PAPER, "iterations": "two"})


def edit(path, value):
    """A configuration with one key set; `...` deletes it."""
    config = copy.deepcopy(PAPER)
    *parents, last = path
    target = config
    for key in parents:
        target = target[key]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return config


MISTAKES = [
    (("audit",), {"sources": ["off", "mix50"]}, ["audit.sources names 'mix50'", "have off, on, llama"]),
    (("audit",), {"sources": []}, ["audit.sources"]),
    (("audit",), {"pairs": 0}, ["audit.pairs"]),
    (("audit",), {"votes": {"on": "votes.csv"}}, ["audit.votes.on does not say whose samples", "zephyr-7b/sft"]),
    (("audit",), {"votes": {"zephyr-7b": "votes.csv"}}, ["audit.votes.zephyr-7b"]),
    (("audit",), {"tables": ["table9"]}, ["audit.tables names 'table9'", "known are table1"]),
    (("betta",), 1, ["key betta is unknown", "allowed here: preset, seeds"]),
    (("methods", "dpo", "betta"), 1, ["methods.dpo.betta", "did you mean beta"]),
    (("seeds",), ..., ["lacks the key seeds"]),
    (("seeds",), [], ["seeds"]),
    (("seeds",), [1, 1], ["seeds"]),
    (("seeds",), [-1], ["seeds.0"]),
    (("seeds",), "0", ["seeds is '0'", "expected is array"]),
    (("iterations",), 0, ["iterations"]),
    (("iterations",), 2.5, ["iterations is 2.5", "integer"]),
    (("accelerator",), "tpu", ["accelerator is 'tpu'", "gpu, cpu"]),
    (
        ("models", "Zephyr 7B"),
        {"label": "Z", "path": "x", "parameters": 1},
        ["'Zephyr 7B' is not allowed", "lower-case"],
    ),
    (("models", "../etc"), {"label": "Z", "path": "x", "parameters": 1}, ["'../etc' is not allowed"]),
    (("models", "zephyr-7b", "path"), ..., ["models.zephyr-7b.path", "hub id or a folder"]),
    (("models", "zephyr-7b", "parameters"), "7B", ["models.zephyr-7b.parameters is '7B'", "number"]),
    (("models", "zephyr-7b", "sft"), "ultrachatt", ["models.zephyr-7b.sft", "did you mean ultrachat"]),
    (("models", "zephyr-7b", "sft"), "ultrafeedback", ["kind preferences; chat is needed"]),
    (("models", "qwen3-4b", "chat_template_arguments"), [], ["qwen3-4b.chat_template_arguments is []", "object"]),
    (("models", "qwen3-4b", "chat_template_arguments"), {"a b": 1}, ["chat_template_arguments: 'a b' is not allowed"]),
    (("models", "qwen3-4b", "chat_template_arguments"), {"messages": 1}, ["the name 'messages' is reserved"]),
    (("models", "qwen3-4b", "date"), datetime.date(2026, 11, 26), ["models.qwen3-4b.date is", "YYYY-MM-DD in quotes"]),
    (("models", "qwen3-4b", "date"), "today", ["models.qwen3-4b.date: 'today' is not allowed", "YYYY-MM-DD"]),
    (("datasets", "ultrachat", "kind"), "chats", ["datasets.ultrachat.kind", "chat"]),
    (("datasets", "ultrachat", "adapter"), "local", ["datasets.ultrachat.path"]),
    (("datasets", "ultrachat", "columns"), {"messages": "turns"}, ["datasets.ultrachat.columns", "local and auto"]),
    (("datasets", "ultrachat", "columns"), {"question": "turns"}, ["datasets.ultrachat.columns", "'question'"]),
    (("datasets", "ultrafeedback", "splits"), {"train": "train_prefs"}, ["no split test"]),
    (("datasets", "ultrafeedback", "limit"), -5, ["datasets.ultrafeedback.limit"]),
    (("preference_data",), "alpaca_eval", ["preference_data", "preferences is needed"]),
    (("preference_model",), "pairrn", ["did you mean pairrm"]),
    (("evaluation", "length_witness"), "pairrn", ["evaluation.length_witness names 'pairrn'", "did you mean pairrm"]),
    (("evaluation", "length_margin"), 0, ["evaluation.length_margin"]),
    (("sources", "a-b"), "zephyr-7b/sft", ["'a-b' is not allowed", "no dash"]),
    (("sources", "on"), "zephyr-7b/sft", ["sources.on is built in"]),
    (("sources", "auto"), "zephyr-7b/sft", ["sources.auto is built in"]),
    (("sources", "mix050"), "zephyr-7b/sft", ["sources.mix050 is built in"]),
    (("sources", "x"), "zephyr-7b/dpo/auto", ["sources.x: auto is decided only while the study runs"]),
    (("sources", "x"), "zephyr-7b/dpo/blend-x", ["sources.x is cyclic"]),
    (("sources", "x"), "zephyr-7b", ["sources.x", "not the name of a policy"]),
    (("sources", "x"), "zephir-7b/sft", ["did you mean zephyr-7b"]),
    (("sources", "x"), "zephyr-7b/dpo/x", ["sources.x is cyclic"]),
    (("sources",), {"x": "zephyr-7b/dpo/off-y", "y": "phi-2/dpo/x"}, ["is cyclic"]),
    (("shared_prompts",), 2, ["shared_prompts"]),
    (("methods", "dpo", "learning_rate"), float("nan"), ["methods.dpo.learning_rate is nan; give a finite number"]),
    (("models", "zephyr-7b", "parameters"), float("inf"), ["models.zephyr-7b.parameters is inf; give a finite number"]),
    (("sampling", "top_p"), 1.5, ["sampling.top_p"]),
    (("sampling", "temperature"), -0.1, ["sampling.temperature"]),
    (("methods", "dpo", "beta"), 0, ["methods.dpo.beta"]),
    (("methods", "dpo", "scheduler"), "cosin", ["methods.dpo.scheduler is 'cosin'", "cosine"]),
    (("methods", "dpo", "loss"), "sigmoidal", ["methods.dpo.loss is 'sigmoidal'", "sigmoid, hinge"]),
    (("methods", "dpo", "loss"), "robust", ["methods.dpo: robust needs label_smoothing, such as 0.1"]),
    (("methods", "dpo", "delta"), 1.0, ["methods.dpo: delta belongs to slic-original alone"]),
    (("methods", "dpo", "label_smoothing"), 0.1, ["methods.dpo: sigmoid takes no label_smoothing", "robust, exo_pair"]),
    (("methods", "dpo", "label_smoothing"), 0.5, ["methods.dpo.label_smoothing"]),
    (("methods", "slic-original", "sft_weight"), None, ["methods.slic-original: slic-original needs delta and sft"]),
    (("methods", "slic-original", "use_weighting"), True, ["methods.slic-original", "leave it out, or take hinge"]),
    (("methods", "dpo", "lora"), {"ranks": 8}, ["methods.dpo.lora.ranks is unknown; did you mean rank?"]),
    (("methods", "dpo", "lora"), {"rank": 0}, ["methods.dpo.lora.rank"]),
    (("methods", "dpo", "lora"), {"dropout": 1}, ["methods.dpo.lora.dropout"]),
    (("methods", "dpo", "lora"), {"targets": []}, ["methods.dpo.lora.targets"]),
    (("methods", "dpo", "lora"), {"targets": ["a b"]}, ["methods.dpo.lora.targets.0: 'a b' is not allowed"]),
    (
        ("methods", "dpo", "lora"),
        True,
        ["methods.dpo.lora is true; write {} for what it is by default, or null for none"],
    ),
    (("methods", "dpo", "lora"), False, ["methods.dpo.lora is false; write {}", "or null for none"]),
    (("methods", "dpo", "batch_size"), True, ["methods.dpo.batch_size is true; expected is integer"]),
    (("methods", "dop"), {"beta": 0.1}, ["methods.dop lacks the key", "; did you mean dpo?"]),
    (
        ("preference_models", "pairmr"),
        {"held_out": "v.jsonl"},
        ["preference_models.pairmr needs", "did you mean pairrm?"],
    ),
    (("methods", "other"), {"beta": 0.1}, ["methods.other lacks the key label"]),
    (("sft", "lora"), 16, ["sft.lora is 16", "object or null"]),
    (("report_to",), "mlflow", ["report_to is 'mlflow'", "none, tensorboard, wandb, trackio"]),
    (("methods", "sft"), PAPER["methods"]["dpo"], ["'sft' is reserved"]),
    (("boundary", "confidence"), 1, ["boundary.confidence"]),
    (("boundary", "sequential"), "maybe", ["boundary.sequential is 'maybe'", "boolean"]),
    (("boundary", "decisions"), {"zephyr-7b": "off"}, ["boundary.decisions.zephyr-7b", "not the name of a policy"]),
    (("boundary", "undecided"), "auto", ["boundary.undecided", "decided only while the study runs"]),
    (("boundary", "undecided"), "neither", ["boundary.undecided", "'neither' is unknown"]),
    (("boundary", "decisions"), {"zephyr-7b/sft": "auto"}, ["auto is decided only while the study runs"]),
    (("boundary", "decisions"), {"zephyr-7b/sft": "mistral"}, ["'mistral' is unknown"]),
    (
        ("tables", "table3", "columns"),
        ["second_opinions"],
        ["tables.table3.columns has second_opinions, and nobody is asked"],
    ),
    (("boundary", "second_opinions"), ["pairrm"], ["second_opinions.0 is pairrm, which measures already"]),
    (("boundary", "second_opinions"), ["pairrn"], ["second_opinions.0", "did you mean pairrm"]),
    (("tables", "table2", "histories"), ["mix0"], ["'mix0' is unknown"]),
    (("tables", "table2", "histories"), ["off-mix100"], ["'mix100' is unknown"]),
    (("analyses", "table8", "sources"), ["auto"], ["analyses.table8.sources: auto is decided only while"]),
    (("evaluation", "fit_difficulty_over"), "table3", ["evaluation.instructions", "has no split verbose"]),
    (("evaluation", "judge"), "gpt-5", ["evaluation.judge names 'gpt-5'", "gpt-4-turbo"]),
    (("judges", "gpt-4-turbo", "base_url"), None, ["judges.gpt-4-turbo", "base_url"]),
    (("judges", "gpt-4-turbo", "answers"), "text", ["judges.gpt-4-turbo.answers is 'text'", "logprobs, words"]),
    (("judges", "gpt-4-turbo", "answer_tokens"), 9, ["judges.gpt-4-turbo.answer_tokens", "set answers: words"]),
    (
        ("judges", "pairrm", "prompt"),
        "mine.txt",
        ["judges.pairrm is a preference model", "leave answers and prompt out"],
    ),
    (("judges", "gpt-4-turbo", "api_key_variable"), "sk-123", ["api_key_variable"]),
    (("judges", "gpt-4-turbo", "api_key_header"), "Authorization: Bearer", ["api_key_header"]),
    (("judges", "gpt-4-turbo", "dollars_per_million_tokens"), -1, ["dollars_per_million_tokens"]),
    (("judges", "qwen2.5-14b", "model"), "qwen", ["judges.qwen2.5-14b.model names 'qwen'", "qwen2.5-14b-instruct"]),
    (("judges", "qwen2.5-14b", "kind"), "local", ["judges.qwen2.5-14b.kind is 'local'", "vllm, served"]),
    (("tables", "table3", "models"), ["zephyr"], ["tables.table3.models names 'zephyr'", "did you mean zephyr-7b"]),
    (("tables", "table3", "sources"), [False, True], ["YAML reads a bare off so", "quotes"]),
    (
        ("tables", "table3", "sources"),
        ["off", "mistral"],
        ["'mistral' is unknown", "off, on, llama, auto, blend, pool, pick, mix1"],
    ),
    (("tables", "table3", "sources"), ["off-on"], ["'off-on' is not allowed", "no dash"]),
    (("tables", "table3", "sources"), [], ["tables.table3 needs exactly one of sources and histories"]),
    (("tables", "table3", "histories"), ["off"], ["tables.table3 needs exactly one of sources and histories"]),
    (("tables", "table2", "histories"), ["off-mistral"], ["tables.table2.histories", "'mistral' is unknown"]),
    (("tables", "table2", "histories"), ["off--on"], ["'off--on' is not allowed"]),
    (("tables", "table1", "columns"), ["length"], ["tables.table1.columns.0 is 'length'", "average_length"]),
    (("tables", "table8"), PAPER["tables"]["table3"], ["the name 'table8' is reserved"]),
    (("analyses", "table8", "models"), ["zephyr"], ["analyses.table8.models names 'zephyr'", "did you mean zephyr-7b"]),
    (("analyses", "figure3", "sources"), ["off", "mistral"], ["analyses.figure3.sources", "'mistral' is unknown"]),
    (("analyses", "figure3", "sources"), [], ["analyses.figure3.sources"]),
    (("analyses", "boundary_cost", "method"), "ppo", ["analyses.boundary_cost.method names 'ppo'", "dpo, slic"]),
    (("analyses", "boundary_cost", "sources"), ["off"], ["analyses.boundary_cost.sources is unknown"]),
    (("preference_models", "pairrm", "path"), None, ["exactly one of path, training and judge"]),
    (("preference_models", "pairrm", "engine"), "llm-blender", ["engine llm-blender and batch_size belong together"]),
    (("preference_models", "pairrm", "batch_size"), 4, ["engine llm-blender and batch_size belong together"]),
    (
        ("preference_models", "pairrm"),
        {"path": "x/y", "engine": "llm-blender", "batch_size": 4},
        ["labelling and comparison to 1"],
    ),
    (
        ("preference_models", "pairrm"),
        {"path": "x/y", "engine": "rank", "batch_size": 8},
        ["labels no pairs", "name it under boundary.second_opinions"],
    ),
    (
        ("preference_models", "pairrm"),
        {"judge": "gpt-4-turbi"},
        ["preference_models.pairrm.judge", "did you mean gpt-4-turbo"],
    ),
    (
        ("methods", "dpo", "keep"),
        "adapter",
        ["methods.dpo.keep is adapter, which only LoRA has", "train with `lora: {}`"],
    ),
    (("sft", "keep"), "adapter", ["sft.keep is adapter"]),
    (("methods", "dpo", "keep"), "both", ["methods.dpo.keep", "whole, adapter"]),
    (("replicates",), 0, ["replicates: 0 is less than the minimum of 1"]),
    (("replicates",), [1, 2], ["replicates is [1, 2]; expected is integer"]),
    (("sources", "llama"), "zephyr-7b/dpo/on~2", ["sources.llama names", "a replicate", "leave ~2 out"]),
    (("boundary", "decisions"), {"zephyr-7b/dpo/on~3": "off"}, ["boundary.decisions", "leave ~3 out"]),
    (("preference_models", "pairrm"), {"judge": "pairrm"}, ["of kind preference_model; take an endpoint or served"]),
]


@pytest.mark.parametrize(("path", "value", "expected"), MISTAKES, ids=lambda part: str(part)[:40])
def test_a_mistake_gives_one_sentence_with_key_and_allowed_values(path, value, expected):
    with pytest.raises(BadInput) as caught:
        checked(edit(path, value))
    message = str(caught.value)
    assert "\n" not in message
    for part in expected:
        assert part in message


@pytest.mark.parametrize(
    ("section", "change", "expected"),
    [
        ("responses", {"table": "table33"}, "responses.table names 'table33'"),
        ("responses", {"model": "pythia-6.9b"}, "responses.model names 'pythia-6.9b', which is not in table3"),
        ("quality", {"pairs": [{"candidates": "ultrachat", "against": "ultrafeedback"}]}, "a data set of kind chat"),
        ("quality", {"pairs": [{"candidates": "ultrafeedback", "against": "nobody/sft"}]}, "quality.pairs.0.against"),
        ("quality", {"prompts": 1}, "quality.prompts"),
    ],
)
def test_what_the_report_shows_must_be_in_the_study(section, change, expected):
    with pytest.raises(BadInput, match=re.escape(expected)):
        checked(merged(PAPER, {section: change}))


@pytest.mark.parametrize("change", [{"sources": ["off", "auto"]}, {"sources": [], "histories": ["on-auto"]}])
def test_difficulties_are_not_fitted_over_policies_that_are_not_known_yet(change):
    demo = merged(PAPER, yaml.safe_load((ROOT / "demo/config.yaml").read_text()))
    with pytest.raises(BadInput, match="fit_difficulty_over names table3, whose policies auto decides"):
        checked(merged(demo, {"tables": {"table3": change}}))


def test_adaptive_sources_work_in_any_history():
    config = checked(edit(("tables", "table2", "histories"), ["auto-auto", "off-mix50", "blend", "mix5-llama-auto"]))
    assert config["boundary"] == {
        "split": "test", "confidence": 0.95, "sequential": False, "undecided": "mix50", "decisions": {},
        "second_opinions": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("judge", "models", "expected"),
    [
        ("gpt-4-turbo", {}, "gpt-4-turbo"),
        ("gpt-4-turbo", {"asked": {"judge": "gpt-4-turbo"}}, "asked"),
        ("gpt-4-turbo", {"gpt-4-turbo": {"path": "some/ranker"}}, None),  # its name is taken
        ("pairrm", {}, "pairrm"),
        ("qwen2.5-14b", {}, None),  # served for each job, so that it cannot be asked about pairs
    ],
)
def test_the_judge_of_the_evaluation_is_the_yardstick_where_none_is_named(judge, models, expected):
    config = checked(merged(PAPER, {"evaluation": {"judge": judge}, "preference_models": models}))
    assert config["yardstick"] == expected
    if expected:
        given = config["preference_models"][expected]
        assert given["judge"] == (None if judge == "pairrm" else judge)
        assert given["engine"] == "batched"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"race": {"sources": ["off"]}}, "race.sources"),
        ({"race": {"sources": ["off", "auto"]}}, "auto is decided only while the study runs"),
        ({"race": {"sources": ["off", "elsewhere"]}}, "the candidate source 'elsewhere' is unknown"),
        ({"race": {"method": "ppo"}}, "race.method names 'ppo', which is not there"),
        (
            {"race": {"shares": [0.1, 0.05]}},
            "give rising shares of an epoch, all below the 1 that methods.dpo trains for",
        ),
        ({"race": {"shares": [0.5, 1]}}, "all below the 1 that methods.dpo trains for"),
        ({"decide_by": "race", "evaluation": {"judge": "qwen2.5-14b"}}, "cannot be asked about pairs; name one of"),
        ({"race": {"tables": ["table9"]}}, "race.tables names 'table9', which is not there"),
        (
            {"race": {"tables": ["table3"]}, "evaluation": {"judge": "qwen2.5-14b"}},
            "race.tables asks for races, but the judge qwen2.5-14b cannot be asked about pairs",
        ),
        (
            {"capabilities": {"tasks": ["gsm8k"], "tables": ["table9"]}},
            "capabilities.tables names 'table9', which is not",
        ),
        ({"capabilities": {"tables": ["table3"]}}, "but capabilities.tasks no task; name one, such as gsm8k"),
        ({"capabilities": {"limit": 0}}, "capabilities.limit: 0 is less than the minimum of 1"),
        ({"decide_by": "coin"}, "decide_by is 'coin'; allowed are boundary, race"),
        ({"yardstick": "pairm"}, "yardstick names 'pairm', which is not there; did you mean pairrm?"),
    ],
)
def test_a_race_that_cannot_be_run_is_one_sentence(change, expected):
    with pytest.raises(BadInput, match=re.escape(expected)):
        checked(merged(PAPER, change))


def test_a_race_is_of_the_first_method_unless_another_is_named():
    assert checked(PAPER)["race"]["method"] == "dpo"
    assert checked(merged(PAPER, {"race": {"method": "slic"}}))["race"]["method"] == "slic"
    assert PAPER.get("race") is None and SCHEMA["properties"]["race"]["default"] == {}  # what is filled in stays apart


def test_defaults_within_a_default_are_filled_in_for_each_study_anew():
    first = checked(PAPER)["audit"]
    assert first == {"pairs": 200, "sources": ["off", "on"], "votes": {}, "tables": []}
    first["sources"].append("llama")
    assert checked(PAPER)["audit"]["sources"] == ["off", "on"] and SCHEMA["properties"]["audit"]["default"] == {}


def test_an_empty_entry_of_lora_has_the_defaults_and_none_trains_all_weights():
    config = checked(
        merged(PAPER, {"methods": {"dpo": {"lora": {}}, "slic": {"lora": {"rank": 4, "targets": ["q_proj"]}}}})
    )
    assert config["methods"]["dpo"]["lora"] == {"rank": 16, "alpha": 32, "dropout": 0, "targets": "all-linear"}
    assert config["methods"]["slic"]["lora"] == {"rank": 4, "alpha": 32, "dropout": 0, "targets": ["q_proj"]}
    assert config["sft"]["lora"] is None and config["methods"]["slic-original"]["lora"] is None


def test_the_losses_that_take_more_settings_are_allowed_with_them():
    more = [
        {"loss": "robust", "label_smoothing": 0.1},
        {"loss": "aot"},
        {"loss": "ipo", "sft_weight": 0.2},
        {"use_weighting": True},
    ]
    for settings in more:
        assert checked(merged(PAPER, {"methods": {"dpo": settings}}))["methods"]["dpo"]["beta"] == 0.01
