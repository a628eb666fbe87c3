"""A study as its configuration describes it: policies, sources, tables, flags and resources, without Snakemake."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT
from studies import Wildcards, make_study

from dpo_stages.core.errors import BadInput
from dpo_stages.study import arms, capabilities, contents, independence, opinions, paths, steps
from dpo_stages.study.flags import Flags, as_flags, labelled, pretraining
from dpo_stages.study.names import Patterns, one_of
from dpo_stages.study.policies import Policy, is_mixed
from dpo_stages.study.program_inputs import JUDGES, NETWORKS, Programs
from dpo_stages.study.replicates import seed_of_run
from dpo_stages.study.resources import Needs
from dpo_stages.study.study import Study


@pytest.fixture(scope="module")
def paper():
    return make_study()


# Names


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("zephyr-7b", {"model"}),
        ("zephyr-7b@3", {"model"}),
        ("zephyr-7b/sft", {"policy", "sampled", "initial", "measured", "origin", "labelled"}),
        ("zephyr-7b@3/dpo/off-on-mix20", {"policy", "sampled", "initial", "measured", "origin", "labelled"}),
        ("ultrafeedback", {"origin", "labelled"}),
        ("off", {"source", "history", "racing"}),
        ("mix5", {"source", "history", "racing"}),
        ("off-on", {"history", "racing"}),
        ("off-on~2", {"racing"}),  # a race has two orders, whatever `replicates` says
        ("auto", {"undecided"}),
        ("off-auto-on", {"undecided"}),
        ("zephyr-7b/dpo/auto", set()),
        ("zephyr-7b/dpo/off~2", set()),  # without `replicates` there is none
        ("zephyr-7c/sft", set()),
        ("mix100", set()),
        ("dpo", {"method"}),
        ("pairrm", set()),
    ],
)
def test_patterns_match_the_studys_names_alone(paper, name, kinds):
    assert {kind for kind, pattern in vars(paper.patterns).items() if re.fullmatch(pattern, name)} == kinds


def test_a_pattern_of_no_names_matches_nothing_and_a_longer_name_goes_first():
    assert re.fullmatch(one_of([]), "") is None and re.search(one_of([]), "x") is None
    assert re.match(one_of(["a", "a.b"]), "a.b")[0] == "a.b"
    assert re.fullmatch(one_of(["a.b"]), "axb") is None
    assert re.fullmatch(Patterns.seeded(["m"]), "m@12") and not re.fullmatch(Patterns.seeded(["m"]), "m@")


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("zephyr-7b@3/dpo/off-on~2", {"policy"}),
        ("zephyr-7b/dpo/off~12", {"policy"}),
        ("zephyr-7b/dpo/off~13", set()),
        ("zephyr-7b/dpo/off~1", set()),
        ("zephyr-7b/dpo/off~2-on", set()),
        ("zephyr-7b/sft~2", set()),
        ("off-on~12", {"history"}),
        ("auto-on~2", {"undecided"}),
        ("off~2-auto", set()),
    ],
)
def test_replicates_are_policies_up_to_the_studys_number_and_nothing_is_made_of_them(name, kinds):
    patterns = make_study("replicates: 12").patterns
    assert {kind for kind, pattern in vars(patterns).items() if re.fullmatch(pattern, name)} == kinds


def test_mixed_sources():
    assert [is_mixed(source) for source in ("blend", "mix50", "mix", "off", "auto")] == [
        True,
        True,
        False,
        False,
        False,
    ]


# Policies that wildcards name


def test_seeds_models_and_policies_follow_from_the_wildcards():
    study = make_study("seeds: [7, 8]")
    plain, seeded = Wildcards(policy="phi-2/dpo/off"), Wildcards(initial="phi-2@8/sft")
    assert (study.seed_of(plain), study.seed_of(seeded)) == (7, 8)
    assert study.seed_of(Wildcards(model="phi-2@9", method="dpo", history="off")) == 9
    assert (study.plain_name(plain), study.plain_name(seeded)) == ("phi-2/dpo/off", "phi-2/sft")
    assert study.base_model(seeded) == "results/models/phi-2/manifest.json"
    assert study.model_of(plain)["sft"] == "ultrachat"
    trained = Wildcards(model="phi-2@8", method="dpo", history="off-on")
    assert str(study.named_by(trained)) == "phi-2@8/dpo/off-on"
    assert str(study.named_by(Wildcards(model="phi-2@8"))) == "phi-2@8/sft"


def test_a_history_with_auto_stands_for_what_was_decided_step_by_step(tmp_path):
    took = {"zephyr-7b/sft": "off", "zephyr-7b/dpo/off": "on"}
    asked = []

    def decision(initial):
        asked.append(str(initial))
        path = tmp_path / f"{len(asked)}.json"
        path.write_text(json.dumps({"source": took[str(initial)]}))
        return path

    study = make_study(decision=decision)
    assert str(study.resolved(Policy.parse("zephyr-7b/dpo/auto-auto"))) == "zephyr-7b/dpo/off-on"
    assert asked == ["zephyr-7b/sft", "zephyr-7b/dpo/off"]


# Sources and their files


@pytest.mark.parametrize(
    ("source", "origins", "preferences"),
    [
        ("off", ["ultrafeedback"], "results/preferences/ultrafeedback/train.parquet"),
        ("on", ["phi-2/dpo/off"], "results/preferences/phi-2/dpo/off/train.parquet"),
        ("llama", ["llama-3-8b-instruct/sft"], "results/preferences/llama-3-8b-instruct/sft/train.parquet"),
        ("mix30", ["ultrafeedback", "phi-2/dpo/off"], "results/mixtures/phi-2/dpo/off/mix30.parquet"),
        ("blend", ["ultrafeedback", "phi-2/dpo/off"], "results/mixtures/phi-2/dpo/off/blend.parquet"),
    ],
)
def test_what_a_source_means_for_an_initial_policy(paper, source, origins, preferences):
    assert paper.origins("phi-2/dpo/off", source) == origins
    assert paper.preferences("phi-2/dpo/off", source) == preferences


def test_candidates_of_a_data_set_and_of_a_policy_lie_in_different_folders(paper):
    assert paper.candidates("ultrafeedback", "test") == "results/datasets/ultrafeedback/test.parquet"
    assert paper.candidates("phi-2/sft", "test") == "results/candidates/phi-2/sft/test.parquet"
    assert paper.off_policy("train") == "results/datasets/ultrafeedback/train.parquet"


def test_steps_name_the_files_that_tell_what_a_policy_took(tmp_path):
    (tmp_path / "d.json").write_text('{"source": "on"}')
    study = make_study(decision=lambda initial: str(tmp_path / "d.json"))
    first, second = steps.of(study, "phi-2/dpo/auto-blend")
    assert (first["policy"], first["named_source"], first["source"]) == ("phi-2/dpo/on", "auto", "on")
    assert (first["decision"], first["boundary"]) == (str(tmp_path / "d.json"), "results/boundary/phi-2/sft.json")
    assert [pairs["own"] for pairs in first["preferences"]] == [True] and first["mixture"] is None
    assert (second["policy"], second["decision"]) == ("phi-2/dpo/on-blend", None)
    assert second["mixture"] == "results/mixtures/phi-2/dpo/on/blend.parquet"
    assert [(pairs["origin"], pairs["sampled"]) for pairs in second["preferences"]] == [
        ("ultrafeedback", False),
        ("phi-2/dpo/on", True),
    ]
    assert steps.files(study, "phi-2/dpo/auto-blend") == sorted(
        [
            str(tmp_path / "d.json"), "results/boundary/phi-2/sft.json", "results/preferences/phi-2/sft/train.parquet",
            "results/boundary/phi-2/dpo/on.json", "results/mixtures/phi-2/dpo/on/blend.parquet",
            "results/preferences/ultrafeedback/train.parquet", "results/preferences/phi-2/dpo/on/train.parquet",
        ]
    )  # fmt: skip


# Tables


def test_a_table_has_all_combinations_or_the_listed_histories(paper):
    assert paper.histories("table3") == [("off",), ("on",), ("off", "off"), ("off", "on"), ("on", "off"), ("on", "on")]
    assert paper.histories("table2")[3:] == [("off", "off"), ("off", "llama"), ("off", "on")]
    policies = paper.policies_of_table("table2")
    assert "zephyr-7b/sft" in policies and len(policies) == 7
    assert paper.initial_policies_of_table("table2") == ["zephyr-7b/dpo/off", "zephyr-7b/sft"]


def test_more_seeds_are_more_policies_and_the_first_keeps_the_plain_name():
    study = make_study("seeds: [3, 5]")
    assert study.seeded("phi-2") == ["phi-2", "phi-2@5"]
    assert len(study.trained_policies("table3")) == 2 * 3 * 6


def test_replicates_are_more_policies_of_tables_and_of_nothing_else():
    once, study = make_study("seeds: [3, 5]"), make_study("{seeds: [3, 5], replicates: 3}")
    first, policies = once.trained_policies("table3"), study.trained_policies("table3")
    assert policies[: len(first)] == first and len(policies) == 3 * len(first)
    assert [str(policy) for policy in policies[-2:]] == ["phi-2@5/dpo/on-off~3", "phi-2@5/dpo/on-on~3"]
    shown = study.policies_of_table("table3")
    assert len(shown) == len(once.policies_of_table("table3")) + 2 * len(first)
    assert "phi-2@5/dpo/off~2" in shown and "phi-2@5/sft" in shown
    assert study.initial_policies_of_table("table3") == once.initial_policies_of_table("table3")
    assert set(contents.judged_for_report(study)) > set(contents.judged_for_report(once))
    for names in (
        contents.responding_policies, contents.labelled_for_report, contents.compared_for_report,
        Study.policies_of_table8, Study.policies_of_figure3, lambda one: one.boundary_cost_files("{trained}"),
    ):  # fmt: skip
        assert names(study) == names(once)
    fitted = make_study((ROOT / "demo/config.yaml").read_text(), "replicates: 2").fitted_over
    assert "tiny-phi/dpo/on-on~2" in fitted


def test_a_replicate_draws_random_numbers_of_its_own_in_training_and_evaluation():
    study = make_study("{seeds: [7, 8], replicates: 3}")
    seeds = [
        study.seed_of(Wildcards(model=model, method="dpo", history=f"off-on{run}"))
        for model in ("phi-2", "phi-2@8")
        for run in ("", "~2", "~3")
    ]
    assert (seeds[0], seeds[3]) == (7, 8) and len(set(seeds)) == 6
    assert study.seed_of(Wildcards(policy="phi-2@8/dpo/off-on~3")) == seeds[5]
    assert (seed_of_run(0, None), seed_of_run(0, 2)) == (0, 3779381643)  # for good: results stand on them


def test_no_run_of_any_seed_has_the_random_numbers_of_another():
    seeds = [seed_of_run(seed, run) for seed in range(200) for run in (None, *range(2, 51))]
    assert len(set(seeds)) == len(seeds)
    assert all(2**31 <= seed < 2**32 for number, seed in enumerate(seeds) if number % 50)


def test_what_auto_chooses_is_asked_for_apart_from_what_is_known(tmp_path):
    (tmp_path / "d.json").write_text('{"source": "on"}')
    table = "tables: {table3: {models: [phi-2], sources: [], histories: ['off', auto]}}\nresponses: {model: phi-2}"
    known = make_study(table)
    assert known.policies_of_table("table3") == ["phi-2/dpo/off", "phi-2/sft"]  # nobody is asked
    assert known.traced_policies("table3") == ["phi-2/dpo/auto"]
    chosen = make_study(table, decision=lambda initial: tmp_path / "d.json")
    assert chosen.policies_of_table("table3", chosen=True) == ["phi-2/dpo/on", "phi-2/sft"]
    assert chosen.initial_policies_of_table("table3", chosen=True) == ["phi-2/sft"]
    again = make_study(table, "replicates: 2", decision=lambda initial: tmp_path / "d.json")
    assert again.policies_of_table("table3", chosen=True) == ["phi-2/dpo/on", "phi-2/dpo/on~2", "phi-2/sft"]
    assert again.traced_policies("table3") == ["phi-2/dpo/auto", "phi-2/dpo/auto~2"]
    assert [step["policy"] for step in steps.of(again, "phi-2/dpo/auto-off~2")] == [
        "phi-2/dpo/on",
        "phi-2/dpo/on-off~2",
    ]
    whole = make_study(table, "tables: {table3: {columns: [samples]}}")
    assert whole.traced_policies("table3") == ["phi-2/dpo/off", "phi-2/dpo/auto"]


def test_arms_are_compared_where_a_table_has_both(paper):
    known = arms.comparisons_of_table(paper, "table3")
    assert len(known) == 9 and "results/arms/zephyr-7b/dpo/off/dpo.parquet" in known
    assert arms.comparisons_of_table(paper, "table3", chosen=True) == []
    table = "tables: {table3: {models: [phi-2], sources: [], histories: ['off', on-off, off-on]}}\nresponses: {model: phi-2}"
    assert arms.comparisons_of_table(make_study(table), "table3") == []
    suffixed = make_study("seeds: [0, 4]\npreference_models: {pairrm: {suffix: p}}\niterations: 1")
    named = arms.comparisons_of_table(suffixed, "table3")
    assert "results/arms/phi-2+p@4/sft/dpo.parquet" in named and len(named) == 6


def test_an_arm_that_auto_chose_is_compared_once_it_is_known(tmp_path):
    (tmp_path / "d.json").write_text('{"source": "on"}')
    table = "tables: {table3: {models: [phi-2], sources: [], histories: ['off', auto, off-auto, off-off]}}\nresponses: {model: phi-2}"
    assert arms.comparisons_of_table(make_study(table), "table3") == []  # nobody is asked
    chosen = make_study(table, decision=lambda initial: tmp_path / "d.json")
    assert arms.comparisons_of_table(chosen, "table3", chosen=True) == [
        "results/arms/phi-2/dpo/off/dpo.parquet",
        "results/arms/phi-2/sft/dpo.parquet",
    ]


@pytest.mark.parametrize(
    ("overlay", "same"),
    [
        ("{}", False),
        ("evaluation: {judge: pairrm}", True),
        ("{preference_model: judged, preference_models: {judged: {judge: gpt-4-turbo}}}", True),
        ("{preference_model: judged, preference_models: {judged: {judge: gpt-4-turbo}}, evaluation: {judge: pairrm}}", False),
        ("{preference_model: judged, preference_models: {judged: {judge: twin}}, judges: {twin: {kind: endpoint, model: "
         "gpt-4-1106-preview, base_url: 'https://api.openai.com/v1'}}}", True),
    ],
)  # fmt: skip
def test_who_labels_and_judges_is_said(overlay, same):
    said = independence.cautions(make_study(overlay))
    assert bool(said) == same
    assert not said or "also labels what is trained on" in said[0]


def test_the_samples_of_another_name_for_the_own_policy_stand_once_in_figure_3():
    study = make_study("analyses: {figure3: {models: [llama-3-8b-instruct, phi-2]}}")
    assert [str(policy) for policy in study.policies_of_figure3()] == [
        "llama-3-8b-instruct/dpo/off", "llama-3-8b-instruct/dpo/on", "phi-2/dpo/off", "phi-2/dpo/llama", "phi-2/dpo/on",
    ]  # fmt: skip


def test_difficulties_are_fitted_over_a_table_only_where_one_is_named(paper):
    assert paper.fitted_over == []
    assert make_study((ROOT / "demo/config.yaml").read_text()).fitted_over


WITNESSES = """
preference_models: {same: {path: llm-blender/PairRM, suffix: same}, other: {path: a/b}, asked: {judge: qwen2.5-14b-api}}
judges: {qwen2.5-14b-api: {kind: endpoint, model: qwen2.5-14b-instruct, base_url: "https://host/v1"}}
"""


@pytest.mark.parametrize(
    ("judge", "chosen", "witness", "judges"),
    [
        ("gpt-4-turbo", "null", "pairrm", False),
        ("pairrm", "null", "pairrm", True),
        ("pairrm", "same", "same", True),
        ("pairrm", "other", "other", False),
        ("qwen2.5-14b", "asked", "asked", True),
        ("gpt-4-turbo", "asked", "asked", False),
        ("pairrm", "asked", "asked", False),
    ],
)
def test_the_witness_of_length_control_is_no_judge_by_another_name(judge, chosen, witness, judges):
    study = make_study(WITNESSES, f"evaluation: {{judge: {judge}, length_witness: {chosen}}}")
    assert (independence.length_witness(study), independence.is_judge(study, witness)) == (witness, judges)


def test_length_control_is_checked_where_the_difficulties_are_fitted(paper):
    assert independence.length_control(paper) is None
    fitted = make_study("""
preference_models: {other: {path: a/b}}
datasets: {own: {kind: instructions, adapter: local, splits: {evaluation: e, verbose: v, concise: c}}}
evaluation: {instructions: own, fit_difficulty_over: table3, length_witness: other}
""")
    assert independence.length_control(fitted) == "results/evaluations/own/length_control.json"
    fetched = [file for file in contents.from_the_hub(fitted) if "preference_models" in file]
    assert fetched == [f"results/preference_models/{name}/manifest.json" for name in ("other", "pairrm")]


def test_rq1_takes_the_policies_of_table_2_that_come_of_sft(paper):
    named = ["zephyr-7b/dpo/off", "zephyr-7b/dpo/llama", "zephyr-7b/dpo/on"]
    assert list(map(str, contents.policies_of_rq1(paper))) == named
    origins = ["ultrafeedback", "llama-3-8b-instruct/sft", "zephyr-7b/sft"]
    assert Flags(paper).origins(contents.policies_of_rq1(paper)) == list(
        map("=".join, zip(named, origins, strict=True))
    )
    mixed = make_study('tables: {table2: {histories: ["off", mix50, auto, off-on]}}')
    assert list(map(str, contents.policies_of_rq1(mixed))) == ["zephyr-7b/dpo/off", "zephyr-7b/dpo/mix50"]
    assert Flags(mixed).origins(contents.policies_of_rq1(mixed)) == ["zephyr-7b/dpo/off=ultrafeedback"]


def test_files_of_the_cost_of_the_boundary_are_all_shards_of_the_jobs(paper):
    files = paper.boundary_cost_files("results/benchmarks/sample_candidates/{sampled}/{split}.jsonl", "candidates")
    assert len(files) == 3 * 8
    assert files[8] == "results/benchmarks/sample_candidates/zephyr-7b/sft/test/1-of-8.jsonl"
    trained = paper.boundary_cost_files("results/policies/{trained}/manifest.json")
    assert trained[2] == "results/policies/phi-2/dpo/off/manifest.json"


def test_what_is_downloaded_and_what_the_report_shows(paper):
    fetched = contents.from_the_hub(paper)
    assert "results/models/qwen3-4b/manifest.json" in fetched  # of Figure 3 alone
    assert "results/models/qwen2.5-14b-instruct/manifest.json" not in fetched  # a judge that is not asked
    assert "results/datasets/ultrachat/train.parquet" in fetched and fetched[-1].endswith("pairrm/manifest.json")
    served = make_study("evaluation: {judge: qwen2.5-14b}")
    assert "results/models/qwen2.5-14b-instruct/manifest.json" in contents.from_the_hub(served)
    assert contents.responding_policies(paper)[0] == "zephyr-7b/sft"
    assert {"ultrafeedback", "zephyr-7b/sft", "llama-3-8b-instruct/sft"} < set(contents.labelled_for_report(paper))
    assert set(contents.compared_for_report(paper)) > {"zephyr-7b/sft", "zephyr-7b/slic/on"}
    assert contents.judged_for_report(paper)[-2:] == [
        "quality/zephyr-7b/dpo/on/against/ultrafeedback",
        "quality/zephyr-7b/sft/against/ultrafeedback",
    ]
    assert contents.in_words(paper)["Arithmetic"] == "bfloat16 on GPUs"
    assert [contents.shows_boundary(paper, table) for table in ("table1", "table3")] == [False, True]


# The workflow elsewhere than the study


def test_the_report_draws_what_was_trained_and_trains_nothing_again_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = make_study()
    trained = contents.trained_for_report(study)
    assert {"phi-2/sft", "phi-2/dpo/off", "zephyr-7b/dpo/off-on", "phi-2/slic/on"} <= set(trained)
    assert "zephyr-7b/sft" not in trained  # taken as it is
    evaluated = paths.evaluation("phi-2/dpo/off", "annotations.json")
    for file in (evaluated, paths.evaluation("phi-2/dpo/on", "annotations.json"), paths.training_log("phi-2/dpo/on")):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()
    assert set(trained) - set(contents.trained_for_report(study)) == {"phi-2/dpo/off"}  # whose folder was deleted


def test_capabilities_are_measured_of_all_policies_of_the_tables_that_show_them(paper):
    assert all(capabilities.of_table(paper, table) == [] for table in paper.config["tables"])
    assert capabilities.TASKS not in contents.from_the_hub(paper)
    study = make_study("capabilities: {tasks: [gsm8k, ifeval], tables: [table3]}")
    asked = capabilities.of_table(study, "table3")
    assert {f"results/capabilities/zephyr-7b/{name}.json" for name in ("sft", "dpo/off", "dpo/on-off")} <= set(asked)
    assert len(asked) == len(study.policies_of_table("table3")) and capabilities.of_table(study, "table1") == []
    assert capabilities.TASKS in contents.from_the_hub(study)


def test_measuring_capabilities_takes_as_long_as_there_are_questions():
    overlay = "capabilities: {tasks: [gsm8k, ifeval], limit: LIMIT}"
    job = Wildcards(policy="phi-2/sft")
    few, many = (
        capabilities.seconds(study, Needs(study))(job)
        for study in (make_study(overlay.replace("LIMIT", limit)) for limit in ("100", "null"))
    )
    assert (
        few < many == Needs(study := make_study()).speeds.sample(2.78e9, 20_000)
        and study.config["capabilities"]["tasks"] == []
    )


def test_files_of_the_workflow_are_found_from_the_study_and_those_of_the_study_stay(tmp_path):
    study = make_study((ROOT / "demo/config.yaml").read_text(), workflow="../clone/")
    assert study.chat_template("phi-2").startswith("../clone/workflow_scripts/dpo_stages/models/chat_templates/")
    assert study.chat_template("zephyr-7b") is None
    facts, *programs = study.identified_by("demo-judge")
    assert facts == "results/demo/world/facts.json"
    assert programs and all(name.startswith("../clone/workflow_scripts/") for name in programs)
    assert all((ROOT / name.removeprefix("../clone/")).is_file() for name in programs)


def test_the_price_of_judges_as_second_opinions_is_known(paper):
    assert opinions.costs(paper, Needs(paper)) == []
    judges = "judges: {gpt-4-turbo: {answers: words, answer_tokens: 800}, free: {kind: endpoint, model: m, base_url: 'http://h'}}"
    asked = (
        "{preference_models: {api: {judge: gpt-4-turbo}, own: {judge: free}}, boundary: {second_opinions: [api, own]}}"
    )
    study = make_study(judges, asked)
    (said,) = opinions.costs(study, Needs(study))
    assert "a policy: api 320.00. Those" in said  # 2,000 prompts, 4 pairs, 2 orders, 2,000 tokens, 10 dollars a million


@pytest.mark.parametrize(
    ("overlay", "named"),
    [
        (
            "datasets: {mine: {kind: preferences, adapter: local, splits: {train: no.jsonl}}}",
            "datasets.mine.splits.train names no.jsonl",
        ),
        ("models: {phi-2: {chat_template: no.jinja}}", "models.phi-2.chat_template names no.jinja"),
        ("models: {phi-2: {path: ./no}}", "models.phi-2.path names ./no, which is no folder here"),
        ("models: {phi-2: {path: ~/no}}", "models.phi-2.path names /at/home/no, which is no folder here"),
        ("audit: {votes: {zephyr-7b/sft: ~/no.csv}}", "audit.votes.zephyr-7b/sft names /at/home/no.csv"),
        (
            "preference_models: {mine: {path: /no/ranker, parameters: 1}}",
            "preference_models.mine.path names /no/ranker",
        ),
        (
            "judges: {mine: {kind: served, model: m, command: 'x {port}', identified_by: [no.bin]}}",
            "judges.mine.identified_by names no.bin",
        ),
        ("capabilities: {task_folder: none}", "capabilities.task_folder names none, which is no folder here"),
        ("judges: {gpt-4-turbo: {prompt: no.txt}}", "judges.gpt-4-turbo.prompt names no.txt"),
    ],
)
def test_what_the_configuration_names_and_is_not_there_is_said_with_its_key(overlay, named, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HOME", "/at/home")
    (said,) = contents.missing_files(make_study(overlay))
    assert said.startswith(f"configuration: {named}") and said.count("\n") == 0


@pytest.mark.parametrize("profile", ["", "demo", "small"])
def test_all_that_the_profiles_name_is_there_or_made(profile, monkeypatch):
    monkeypatch.chdir(ROOT)
    overlays = [(ROOT / profile / "config.yaml").read_text()] if profile else []
    assert contents.missing_files(make_study(*overlays)) == []


# Shards


def test_one_shard_is_the_file_itself_and_several_have_files_of_their_own():
    shards = paths.Shards({"sampling": 1, "labelling": 3, "comparison": 1, "reference": 1, "evaluation": 1})
    assert shards.output("candidates", "{policy}/{split}.parquet") == "results/candidates/{policy}/{split}.parquet"
    assert shards.log("candidates", "results/logs/x/{policy}.log") == "results/logs/x/{policy}.log"
    assert shards.output("preferences", "{a}/b.parquet") == "results/shards/preferences/{a}/b/{scatteritem}.parquet"
    assert shards.log("preferences", "results/logs/x/{a}.log") == "results/logs/x/{a}/{scatteritem}.log"
    assert set(paths.STAGE_OF.values()) == {"sampling", "labelling", "comparison", "reference", "evaluation"}


# Flags


def test_flags_are_the_configurations_own_words(paper):
    flags = Flags(paper)
    assert as_flags({"a_b": 1, "c": None, "d": "x"}) == "--a-b 1 --d x"
    assert as_flags({"a": 1, "b": 2}, ["b"]) == "--b 2"
    assert flags.loss(Wildcards(method="dpo")) == "--loss sigmoid --beta 0.01 --prefix-sharing"
    assert flags.loss(Wildcards(method="slic-original")).endswith("--delta 1.0 --sft-weight 0.5 --prefix-sharing")
    assert flags.scoring() == "--max-length 2048 --dtype bfloat16 --prefix-sharing"
    alone = Flags(make_study("prefix_sharing: false"))
    assert alone.loss(Wildcards(method="dpo")) == "--loss sigmoid --beta 0.01"
    assert alone.scoring() == "--max-length 2048 --dtype bfloat16"
    assert "--batch-size 128 --per-device-batch-size 4" in flags.optimisation(paper.config["sft"])
    assert flags.sft() == f"{flags.optimisation(paper.config['sft'])} --packing --loss-on-prompts --empty-system-turn"
    unrounded = {**paper.config["sft"], "rounding": "none"}
    assert flags.optimisation(unrounded).endswith("--scheduler cosine --rounding none")
    assert flags.optimisation(unrounded).startswith(Flags(make_study("accelerator: cpu")).optimisation(unrounded))
    assert "--rounding" not in Flags(make_study("accelerator: cpu")).optimisation(unrounded)
    robust = "dpo: {loss: robust, label_smoothing: 0.1, use_weighting: true}"
    changed = make_study(f"methods: {{{robust}, slic: {{lora: {{targets: [q, v]}}}}}}", "sft: {lora: {rank: 8}}")
    assert (
        Flags(changed).loss(Wildcards(method="dpo")).endswith("--label-smoothing 0.1 --use-weighting --prefix-sharing")
    )
    lora = " --lora-rank 16 --lora-alpha 32 --lora-dropout 0 --lora-targets q v"
    assert Flags(changed).optimisation(changed.config["methods"]["slic"]).endswith(lora)
    assert "--lora-rank 8 --lora-alpha 32 --lora-dropout 0 --lora-targets all-linear --packing" in Flags(changed).sft()
    assert "lora" not in flags.sft() + flags.optimisation(paper.config["methods"]["dpo"])
    assert flags.preference_model("pairrm") == "--engine batched --precision float32 --thoughts hide"
    assert labelled(paper.config["models"], ["phi-2"]) == ["phi-2=Phi-2-2.7B"]
    assert pretraining(None) == ""
    assert pretraining({"texts": "t.jsonl", "epochs": 2, "learning_rate": 0.1}) == (
        "--pretraining t.jsonl --pretraining-epochs 2 --pretraining-learning-rate 0.1"
    )
    assert flags.shard("candidates") == " --shard {wildcards.scatteritem}" and flags.shard("comparisons") == ""
    assert flags.judge_cache("preferences", "x") == ""
    assert flags.shared_prompts(None, SimpleNamespace(trained_on=[])) == ""
    assert flags.shared_prompts(None, SimpleNamespace(trained_on="t")) == "--trained-on t --shared-prompts 0.02"
    assert json.loads(flags.settings_of_table("6"))["gpus"] == 4
    assert list(json.loads(flags.settings_of_table("7"))) == ["sampling"]


def test_flags_of_what_is_written_into_a_chat_template():
    flags = Flags(
        make_study("models: {zephyr-7b: {date: '2026-11-26', chat_template_arguments: {a: [null], b: it's}}}")
    )
    assert flags.written_into_template(Wildcards(base="qwen3-4b")) == [
        "--chat-template-arguments", '{"enable_thinking": false}',
    ]  # fmt: skip
    assert flags.written_into_template(Wildcards(base="zephyr-7b")) == [
        "--chat-template-arguments", '{"a": [null], "b": "it\'s"}', "--date", "2026-11-26",
    ]  # fmt: skip
    assert flags.written_into_template(Wildcards(base="phi-2")) == []


JUDGED = """
preference_model: judged
preference_models: {judged: {judge: mine, parameters: 1.0e+9}}
judges:
  mine: {kind: served, model: m, command: "serve {port}", identified_by: [weights.bin, "{workflow}/serve.py"]}
"""


def test_a_judge_that_labels_is_described_and_keeps_its_answers_by_job():
    flags = Flags(make_study(JUDGED, workflow="w/"))
    assert flags.asked_judge(Wildcards(name="judged")) == [
        "--model", "m", "--serve", "serve {port}", "--api-key-header", "authorization", "--refused", "fail",
        "--identified-by", "weights.bin", "w/serve.py",
    ]  # fmt: skip
    assert flags.preference_model("judged") == "--thoughts hide"
    assert flags.judge_cache("comparisons", "x") == " --cache results/judge_cache/comparisons/x"
    assert flags.judge_cache("preferences", "x") == " --cache results/judge_cache/preferences/x/{wildcards.scatteritem}"


# Resources


def test_resources_follow_from_sizes_and_grow_with_every_attempt(paper):
    needs, policy = Needs(paper), Wildcards(policy="zephyr-7b/sft", split="train")
    assert (needs.gpus("training"), needs.rows("ultrafeedback", "train")) == (4, 61135)
    assert needs.inference_memory(policy, 2) == 2 * needs.inference_memory(policy, 1)
    assert needs.checkpoint_size(policy) == 2 * 7240
    wide, trained = (
        Needs(make_study("methods: {dpo: {rounding: none}}")),
        Wildcards(policy="zephyr-7b/dpo/off", method="dpo"),
    )
    assert (wide.checkpoint_size(policy), wide.checkpoint_size(trained)) == (2 * 7240, 4 * 7240)
    assert Needs(make_study("accelerator: cpu")).checkpoint_size(policy) == 4 * 7240
    assert needs.expected(needs.sampling_seconds)(policy) == round(needs.sampling_seconds(policy))
    limit = needs.limit(needs.sampling_seconds)
    assert limit(policy, 2) == 2 * limit(policy, 1)
    whole = Needs(make_study("resources: {shards: {sampling: 1}}"))
    assert whole.sampling_seconds(policy) > 7 * needs.sampling_seconds(policy)
    assert needs.cents_per_policy == 966 and needs.preference_cents(needs.boundary_pairs)(policy) == 0
    judged = Needs(make_study(JUDGED, "judges: {mine: {dollars_per_million_tokens: 2}}"))
    assert judged.preference_cents(judged.boundary_pairs)(policy) == round(200 * 2 * 1200 * 4 * 2000 / 1e6)
    opinion = Wildcards(opinion="other", policy="zephyr-7b/sft", split="test")
    larger = Needs(make_study("preference_models: {other: {path: a/b, parameters: 8.0e+9}}"))
    assert larger.labelling_memory(opinion, 1) == 16_000 + 32_000
    assert Needs(make_study("accelerator: cpu")).gpus("training") == 0


def test_a_prompt_that_is_computed_once_is_planned_once(paper):
    once, twice = Needs(paper), Needs(make_study("prefix_sharing: false"))
    trained = Wildcards(policy="zephyr-7b/dpo/off", method="dpo")
    scored = Wildcards(initial="zephyr-7b/sft", source="off", sampled="zephyr-7b/sft", split="train")
    ready, share = once.speeds.ready(7.24e9), once.speeds.tokens(2, 1) / once.speeds.tokens(2, 2)
    for seconds, job in (
        (Needs.training_seconds, trained),
        (Needs.reference_seconds, scored),
        (Needs.likelihood_seconds, scored),
        (Needs.audit_seconds, scored),
    ):
        assert seconds(once, job) - ready == pytest.approx(share * (seconds(twice, job) - ready))


def test_lora_takes_less_memory_time_and_room_for_checkpoints_and_the_policy_is_as_large(paper):
    full, lora = Needs(paper), Needs(make_study("methods: {dpo: {lora: {}}}", "sft: {lora: {rank: 4}}"))
    trained, sft = Wildcards(policy="zephyr-7b/dpo/off", method="dpo"), Wildcards(policy="phi-2/sft", model="phi-2")
    for job in (trained, sft):
        assert lora.checkpoint_size(job) == full.checkpoint_size(job)
        assert lora.resumable_size(job) < 0.02 * full.resumable_size(job)
        assert lora.training_memory(job, 1) - 16_000 == (full.training_memory(job, 1) - 16_000) // 2
    ready = full.speeds.ready(full.parameters(trained))
    assert lora.training_seconds(trained) - ready == pytest.approx(0.75 * (full.training_seconds(trained) - ready))
    assert lora.training_seconds(Wildcards(policy="zephyr-7b/slic/off", method="slic")) == full.training_seconds(
        trained
    )


def test_of_a_policy_kept_as_its_adapter_the_plan_counts_that():
    whole, kept = (
        Needs(make_study("methods: {dpo: {lora: {}}}", f"methods: {{dpo: {{keep: {keep}}}}}"))
        for keep in ("whole", "adapter")
    )
    job = Wildcards(policy="zephyr-7b/dpo/off", method="dpo")
    assert (whole.kept(job), whole.kept_size(job)) == ("whole", whole.checkpoint_size(job))
    assert kept.kept(job) == "adapter" and kept.checkpoint_size(job) == whole.checkpoint_size(job)
    assert 150 < kept.kept_size(job) < 180  # MB, of rank 16


def test_threads_are_those_of_jobs_on_cpu_cores():
    for accelerator, asked, threads in (("cpu", "{}", 1), ("cpu", "{threads: 4}", 4), ("gpu", "{threads: 4}", 1)):
        assert Needs(make_study(f"accelerator: {accelerator}", f"resources: {asked}")).threads == threads


# Programs


def test_a_programs_inputs_are_what_it_imports_inside_functions_too(tmp_path):
    scripts = tmp_path / "workflow_scripts"
    for name, text in {
        "program.py": "from dpo_stages.core.a import (\n    one,  # of several\n    two,\n)\nimport dpo_boundary.measurement\n",
        "dpo_stages/core/a.py": "def f():\n    from dpo_stages.data import b as c, other\n",
        "dpo_stages/core/unused.py": "",
        "dpo_stages/data/b.py": "from dpo_boundary import measure_boundary, blocks\n",
        "dpo_stages/data/other.py": "if 1:\n    from dpo_stages.preferences.judge import X\n",
        "dpo_stages/preferences/judge.py": "import os\n",
        "dpo_boundary/__init__.py": "",
        "dpo_boundary/blocks.py": "",
        "dpo_boundary/measurement.py": "# from dpo_stages.core.unused import nothing\n",
    }.items():
        (scripts / name).parent.mkdir(parents=True, exist_ok=True)
        (scripts / name).write_text(text)
    expected = [
        "dpo_boundary/__init__.py", "dpo_boundary/blocks.py", "dpo_boundary/measurement.py", "dpo_stages/core/a.py",
        "dpo_stages/data/b.py", "dpo_stages/data/other.py", "dpo_stages/preferences/judge.py", "program.py",
    ]  # fmt: skip
    found = Programs(tmp_path).inputs("program", "train")
    assert found == [*(f"workflow_scripts/{name}" for name in expected), "envs/train.lock.txt"]
    elsewhere = Programs(tmp_path, "../w/").inputs("program", "train", without=["preferences.judge"])
    assert elsewhere == [f"../w/{name}" for name in found if "judge" not in name]


def test_the_modules_that_are_left_out_by_kind_exist():
    for module in (*NETWORKS, *JUDGES):
        assert (ROOT / f"workflow_scripts/dpo_stages/{module.replace('.', '/')}.py").is_file()


def test_packages_are_their_docstring():
    """They are no inputs of any rule: a line of code in one would rerun nothing."""
    for file in (ROOT / "workflow_scripts/dpo_stages").rglob("__init__.py"):
        assert re.fullmatch(r'(""".*""")?\s*', file.read_text(), re.DOTALL), file


def test_a_missing_file_is_no_input_unless_a_workflow_around_this_one_may_make_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    splits = {"train": "nowhere.jsonl", "test": "results/made.jsonl"}
    study = make_study({"datasets": {"mine": {"kind": "preferences", "adapter": "local", "splits": splits}}})
    train, test = (Wildcards(dataset="mine", split=split) for split in ("train", "test"))
    assert contents.local_split(study, alone=True)(train) == []
    assert contents.local_split(study, alone=False)(train) == "nowhere.jsonl"
    assert contents.local_split(study, alone=True)(test) == "results/made.jsonl"
    assert contents.local_split(study, alone=True)(Wildcards(dataset="ultrafeedback", split="train")) == []
    (tmp_path / "nowhere.jsonl").touch()
    assert contents.local_split(study, alone=True)(train) == "nowhere.jsonl"
    with pytest.raises(BadInput, match="the data set mine has no split evaluation .*; ask for one that it has"):
        contents.local_split(study, alone=True)(Wildcards(dataset="mine", split="evaluation"))
    del study.config["datasets"]["ultrafeedback"]["splits"]["test"]  # of the hub
    with pytest.raises(
        BadInput, match="the data set ultrafeedback has no split test, the prompts that nothing is trained on"
    ):
        contents.local_split(study, alone=True)(Wildcards(dataset="ultrafeedback", split="test"))


def test_a_folder_of_data_is_an_input_by_its_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    splits = {"train": "saved/train"}
    study = make_study({"datasets": {"mine": {"kind": "preferences", "adapter": "local", "splits": splits}}})
    named = "datasets.mine.splits.train names saved/train"
    assert any(named in sentence for sentence in contents.missing_files(study))
    (tmp_path / "saved/train").mkdir(parents=True)
    for name in ("state.json", "data.arrow"):
        (tmp_path / "saved/train" / name).touch()
    rows = contents.local_split(study, alone=True)(Wildcards(dataset="mine", split="train"))
    assert rows == ["saved/train/data.arrow", "saved/train/state.json"]
    assert not any(named in sentence for sentence in contents.missing_files(study))
    assert [contents.file_or_folder(some) for some in (rows, "a.jsonl", [])] == ["saved/train", "a.jsonl", ""]
