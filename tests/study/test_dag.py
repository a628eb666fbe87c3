"""The DAG of the paper's study and of the demo: which jobs there are, what hangs on what, and that nothing is made twice."""

import json
import re
import subprocess
from collections import Counter

import pytest
from clones import link_workflow
from conftest import ROOT
from dry_runs import snakemake

PAPER_MODELS = ["llama-3-8b-instruct", "zephyr-7b", "phi-2"]
TABLE_3 = "results/tables/table3.csv"
BOUNDARY = "results/boundary/zephyr-7b/sft.json"
SMALL_POLICY = "results/policies/smollm2-135m/dpo/off/manifest.json"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the workflow without results, so that what was run here before does not matter."""
    return link_workflow(tmp_path_factory.mktemp("clone"))


class Dag:
    """Jobs of a target, as Snakemake's own JSON of the DAG gives them."""

    def __init__(self, *arguments, folder):
        done = snakemake("--forceall", "--d3dag", *arguments, folder=folder)
        assert done.returncode == 0, done.stderr
        graph = json.loads(done.stdout)
        self.rule_of = {node["id"]: node["value"]["rule"] for node in graph["nodes"]}
        self.jobs = Counter(self.rule_of.values())


@pytest.fixture(scope="module")
def paper(clone):
    return Dag("--cores", "1", TABLE_3, folder=clone)


@pytest.fixture(scope="module")
def demo(clone):
    return Dag("--profile", "demo", TABLE_3, folder=clone)


def test_the_papers_table_3_has_these_jobs(paper):
    models, policies, initial = 3, 3 * 7, 3 * 3
    assert paper.jobs == {
        "make_table": 1,
        "fetch_model": models,
        "adopt_policy": 2,  # Llama-3 and Zephyr follow instructions already
        "train_sft": 1,  # Phi-2 does not
        "prepare_dataset": 2 + 1 + 1,  # preferences for training and test, conversations, instructions
        "fetch_preference_model": 1,
        "sample_candidates": 8 * 2 * initial,  # prompts for training and for the boundary, in 8 shards
        "label_preferences": 2 * (1 + initial),  # the off-policy pairs once, for every model; in 2 shards
        "compute_reference_logps": 8 * 2 * initial,  # both sources, in 8 shards
        "gather_shards": 2 * initial + (1 + initial) + 2 * initial,
        "train_policy": 3 * (2 + 4),
        "compare_candidates": initial,
        "measure_boundary": initial,
        "compare_arms": initial,
        "generate_evaluation_outputs": policies,
        "judge_outputs": policies,
        "compute_win_rate": policies,
    }


def test_the_demos_table_3_has_the_same_study_with_models_of_its_own(paper, demo):
    shared = ["train_policy", "compare_candidates", "measure_boundary", "compare_arms"]
    assert {rule: demo.jobs[rule] for rule in shared} == {rule: paper.jobs[rule] for rule in shared}
    wide = ["sample_candidates", "label_preferences", "compute_reference_logps"]
    assert [demo.jobs[rule] for rule in wide] == [2 * 9, 1 + 9, 2 * 9]  # without shards
    assert demo.jobs["make_demo_model"] == 3
    assert demo.jobs["fetch_model"] == 0
    assert demo.jobs["judge_outputs"] == 21 + 2  # the policies and the length-gamed baselines
    assert demo.jobs["fit_instruction_difficulty"] == 1
    assert demo.jobs["compute_fitted_win_rates"] == 1
    assert demo.jobs["compute_win_rate"] == 0


def test_a_policy_hangs_on_its_initial_policy_alone(clone):
    """zephyr-7b/dpo/off-on needs the samples of zephyr-7b/dpo/off, and of no other policy."""
    done = snakemake("-n", "--cores", "1", "results/policies/zephyr-7b/dpo/off-on/manifest.json", folder=clone)
    assert done.returncode == 0, done.stderr
    outputs = {word.strip(",") for line in done.stdout.splitlines() if "output:" in line for word in line.split()[1:]}
    policies = {name for name in outputs if name.startswith("results/policies/") and name.endswith("manifest.json")}
    assert policies == {
        f"results/policies/zephyr-7b/{policy}/manifest.json" for policy in ("sft", "dpo/off", "dpo/off-on")
    }
    sampled = {name for name in outputs if name.startswith("results/candidates/")}
    assert sampled == {"results/candidates/zephyr-7b/dpo/off/train.parquet"}


def test_methods_share_samples_and_reference_log_probabilities(clone):
    both = ["--config", "tables={table3: {methods: [dpo, slic]}}", "iterations=1"]
    one = Dag("--cores", "1", "--config", "iterations=1", "--", TABLE_3, folder=clone)
    two = Dag("--cores", "1", *both, "--", TABLE_3, folder=clone)
    more = {rule for rule in two.jobs if two.jobs[rule] > one.jobs[rule]}
    assert two.jobs["train_policy"] == 2 * one.jobs["train_policy"]
    assert more == {"train_policy", "generate_evaluation_outputs", "judge_outputs", "compute_win_rate", "compare_arms"}


def test_a_second_seed_doubles_the_study_but_not_the_data(clone, tmp_path):
    overlay = tmp_path / "seeds.yaml"
    overlay.write_text("seeds: [0, 1]\n")
    one = Dag("--cores", "1", TABLE_3, folder=clone)
    two = Dag("--cores", "1", "--configfile", overlay, "--", TABLE_3, folder=clone)
    same = {rule for rule in two.jobs if two.jobs[rule] == one.jobs[rule]}
    assert same == {"make_table", "fetch_model", "prepare_dataset", "fetch_preference_model"}
    assert two.jobs["train_policy"] == 2 * one.jobs["train_policy"]
    assert two.jobs["label_preferences"] == 2 + 2 * (one.jobs["label_preferences"] - 2)  # the data's in 2 shards


def test_a_replicate_trains_and_evaluates_again_and_shares_the_rest(clone, paper):
    three = Dag("--cores", "1", "--config", "replicates=3", "--", TABLE_3, folder=clone)
    again = ["train_policy", "generate_evaluation_outputs", "judge_outputs", "compute_win_rate"]
    more = {**dict.fromkeys(again, 2 * 18), "compare_arms": 2 * 9}
    assert three.jobs - paper.jobs == more and not paper.jobs - three.jobs


def test_analyses_and_responses_are_of_the_first_replicate(clone):
    targets = [f"results/tables/{name}.csv" for name in ("table8", "intra_diversity", "boundary_cost", "table10")]
    one = Dag("--cores", "1", "--", *targets, folder=clone)
    assert Dag("--cores", "1", "--config", "replicates=3", "--", *targets, folder=clone).jobs == one.jobs


def test_a_replicate_is_asked_for_by_name_and_takes_what_its_first_run_takes(clone):
    evaluation = "results/evaluations/zephyr-7b/dpo/off-on{}/annotations.json"
    twice = ["-n", "-p", "--cores", "1", "--config", "replicates=2", "--"]
    done = snakemake(*twice, evaluation.format(""), evaluation.format("~2"), folder=clone)
    assert done.returncode == 0, done.stderr

    def commands(program):
        lines = [line for line in done.stdout.splitlines() if f"{program}.py --" in line and "dpo/off-on" in line]
        for line in sorted(lines, key=len):  # the second run's is the longer
            words = line.partition(" > ")[0].split(program)[1].replace("'", "")
            yield re.search(r"--seed (\d+)", words)[1], re.sub(r"--seed \d+", "", words).replace("off-on~2", "off-on")

    for program in ("train_policy", "generate_evaluation_outputs"):
        (seed, first), (other, second) = commands(program)
        assert (seed, other) == ("0", "3779381643") and first == second


@pytest.mark.parametrize(
    ("replicates", "target"),
    [
        (1, "results/policies/zephyr-7b/dpo/off~2/manifest.json"),
        (2, "results/policies/zephyr-7b/dpo/off~3/manifest.json"),
        (2, "results/policies/zephyr-7b/dpo/off~2-on/manifest.json"),
        (2, "results/policies/zephyr-7b/sft~2/manifest.json"),
        (2, "results/boundary/zephyr-7b/dpo/off~2.json"),
        (2, "results/candidates/zephyr-7b/dpo/off~2/train.parquet"),
        (2, "results/preferences/zephyr-7b/dpo/off~2/train.parquet"),
        (2, "results/decisions/zephyr-7b/dpo/off~2.json"),
    ],
)
def test_no_other_replicate_is_made_and_nothing_of_one_but_its_evaluation(clone, replicates, target):
    done = snakemake("-n", "--cores", "1", "--config", f"replicates={replicates}", "--", target, folder=clone)
    assert done.returncode in (1, 2) and re.search(
        "^nothing makes|MissingInputException", done.stderr + done.stdout, re.M
    )


def test_three_iterations_work(clone):
    three = Dag("--cores", "1", "--config", "iterations=3", "--", TABLE_3, folder=clone)
    assert three.jobs["train_policy"] == 3 * (2 + 4 + 8)


def test_a_source_of_another_models_samples_is_sampled_once(clone):
    tables = "tables={table3: {models: [zephyr-7b], sources: ['off', 'llama', 'on']}}"
    dag = Dag("--cores", "1", "--config", tables, "iterations=1", "--", TABLE_3, folder=clone)
    assert dag.jobs["train_policy"] == 3
    assert dag.jobs["fetch_model"] == 2  # Zephyr, and Llama-3 for its samples
    assert dag.jobs["sample_candidates"] == 8 * 3  # training prompts of both, test prompts of Zephyr, in 8 shards


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("betta=1", "configuration: the key betta is unknown"),
        ("evaluation={judge: gpt-5}", "configuration: evaluation.judge names 'gpt-5'"),
        ("sources={a-b: zephyr-7b/sft}", "configuration: sources: 'a-b' is not allowed"),
        ("sources={x: zephyr-7b/dpo/x}", "configuration: sources.x is cyclic"),
        (
            "preference_models={a: {path: x, suffix: s}, b: {path: y, suffix: s}}",
            "configuration: preference_models.a.suffix and preference_models.b.suffix are both s",
        ),
    ],
)
def test_a_wrong_configuration_stops_with_one_sentence_and_exit_code_2(clone, override, expected):
    done = snakemake("-n", "--cores", "1", "--config", override, folder=clone)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_results_of_another_folder_without_its_records_stop_with_one_sentence(tmp_path):
    """Made of other data, they would have the same names, and Snakemake alone would take them as they are."""
    link_workflow(tmp_path)
    ledger = tmp_path / "results/boundary/zephyr-7b/sft.ledger.json"
    ledger.parent.mkdir(parents=True)
    ledger.write_text("{}")
    done = snakemake("-n", "--cores", "1", TABLE_3, folder=tmp_path)
    assert done.returncode == 2 and "results/ has results that Snakemake has no record of" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    touched = snakemake("--touch", "--no-hooks", "--cores", "1", "results/plan.csv", folder=tmp_path)
    assert "no record of" not in touched.stderr


def test_what_needs_a_split_that_the_data_have_not_is_one_sentence(clone, tmp_path):
    study = "{preset: laptop, models: {mine: hub/model-1m}, preference_data: pairs.jsonl, preference_model: hub/ranker}"
    (tmp_path / "mine.yaml").write_text(study)
    (tmp_path / "pairs.jsonl").touch()
    options = ["--snakefile", clone / "Snakefile", "--cores", "1", "--configfile", "mine.yaml", "-n", "--"]
    for target in (
        "results/candidates/mine/sft/test.parquet", "results/exports/pairs/test.jsonl", "results/races/mine/sft.md"
    ):  # fmt: skip
        done = snakemake(*options, target, folder=tmp_path)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert "the data set pairs has no split test, the prompts that nothing is trained on" in done.stderr
        assert "give `preference_data: {train: pairs.jsonl, test: FILE}`" in done.stderr


def test_the_papers_study_on_a_machine_without_a_gpu_stops_with_one_sentence(clone, tmp_path):
    if subprocess.run(["which", "nvidia-smi"], capture_output=True, check=False).returncode == 0:
        pytest.skip("this machine has a GPU")
    done = snakemake("--cores", "1", TABLE_3, folder=clone)
    assert done.returncode == 2
    assert "accelerator: cpu" in done.stderr and "--profile slurm" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_disk_that_is_too_small_for_the_models_stops_the_run_before_it_begins(clone):
    huge = "models={tiny-llama: {parameters: 1.0e+15}}"
    done = snakemake(
        "--profile", "demo", "--config", huge, "--", "results/policies/tiny-llama/dpo/off/manifest.json", folder=clone
    )
    assert done.returncode == 2
    assert (
        "3 models are to be kept, which takes about 16000000 GB in results/policies, results/checkpoints" in done.stderr
        and "Traceback" not in done.stderr
    )
    assert not (clone / "results/demo").exists()


def test_the_slurm_profile_plans_the_papers_study(clone):
    done = snakemake("-n", "--profile", "slurm", TABLE_3, folder=clone)
    assert done.returncode == 0, done.stderr
    assert "train_policy" in done.stdout


def test_the_small_profile_is_the_same_study_on_one_gpu(clone, paper):
    small = Dag("--profile", "small", TABLE_3, folder=clone)
    shared = ["train_policy", "compare_candidates", "measure_boundary", "fetch_model"]
    assert {rule: small.jobs[rule] for rule in shared} == {rule: paper.jobs[rule] for rule in shared}
    assert small.jobs["compute_reference_logps"] == 2 * 9  # without shards
    assert small.jobs["judge_with_preference_model"] == 21  # no API
    policy = snakemake("-n", "-p", "--profile", "small", "--quiet", "host", "--", SMALL_POLICY, folder=clone)
    assert "envs/run train workflow_scripts/train_policy.py" in policy.stdout  # without a launcher


@pytest.mark.parametrize(
    ("options", "policies", "curves", "initial", "sft", "sampled", "shards"),
    [
        # Tables 1 and 3 share 18 policies, Table 2 adds 2, Table 4 two models more and Table 5 another method; Figure 3's
        # curves need 4 more, and samples of one SFT policy more.
        (["--cores", "1"], 18 + 2 + 12 + 18, 4, 9 + 6 + 6, 5, 1, (8, 2)),
        (["--profile", "demo"], 18 + 2 + 18, 1, 9 + 6, 3, 0, (1, 1)),  # Table 4 shows two of the three models again
        (["--profile", "small"], 18 + 2 + 6 + 18, 1, 9 + 3 + 6, 4, 0, (1, 1)),
    ],
    ids=["paper", "demo", "small"],
)
def test_the_whole_study_computes_nothing_twice(clone, options, policies, curves, initial, sft, sampled, shards):
    """A policy that several tables show is trained, sampled and judged once."""
    dag = Dag(*options, "all", folder=clone)
    assert dag.jobs["make_table"] == 5
    assert dag.jobs["train_policy"] == policies + curves
    assert dag.jobs["sample_candidates"] == shards[0] * (2 * initial + sampled)
    assert dag.jobs["label_preferences"] == shards[1] * (1 + initial + sampled)
    assert dag.jobs["measure_boundary"] == initial
    assert dag.jobs["generate_evaluation_outputs"] == policies + sft
    for rule in ("make_table8", "make_intra_diversity", "make_boundary_cost", "make_quality_table", "make_report"):
        assert dag.jobs[rule] == 1


def test_several_gpus_train_one_policy_under_accelerate(clone):
    target = "results/policies/zephyr-7b/dpo/off/manifest.json"
    four = snakemake("-n", "-p", "--cores", "8", target, folder=clone).stdout
    assert (
        "accelerate.commands.launch --config_file workflow_scripts/dpo_stages/training/fsdp.yaml --num_processes 4"
        in four
    )
    assert (clone / "workflow_scripts/dpo_stages/training/fsdp.yaml").is_file()
    one = snakemake("-n", "-p", "--cores", "8", "--config", "resources={training_gpus: 1}", "--", target, folder=clone)
    assert "envs/run train workflow_scripts/train_policy.py" in one.stdout


def test_jobs_on_cpu_cores_have_the_threads_that_are_given_and_no_others_do(clone):
    target = "results/evaluations/phi-2/dpo/on/annotations.json"
    threaded = {"train_sft", "sample_candidates", "label_preferences", "compute_reference_logps", "train_policy"}
    threaded |= {"generate_evaluation_outputs"}
    for accelerator, expected in (("cpu", threaded), ("gpu", set())):
        config = ("--config", f"accelerator={accelerator}", "resources={threads: 3}")
        shown = snakemake("-n", "--cores", "8", *config, "--", target, folder=clone).stdout
        jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", shown, re.MULTILINE)
        assert {rule for rule, about in jobs if "    threads: 3\n" in about} == expected
        assert {"prepare_dataset", "judge_outputs", *threaded} <= {rule for rule, _ in jobs}


def test_a_judge_that_the_workflow_serves_is_a_model_on_gpus_of_the_judging_job(clone):
    target = "results/evaluations/zephyr-7b/sft/annotations.json"
    local = ("--config", "evaluation={judge: qwen2.5-14b}", "resources={judging_gpus: 2}", "--", target)
    shown = snakemake("-n", "-p", "--cores", "8", *local, folder=clone).stdout
    job = shown.partition("rule judge_outputs:")[2].partition("[")[0]
    assert "results/models/qwen2.5-14b-instruct/manifest.json" in job and "gpu=2" in job and "cents=0" in job
    served = "{workflow}/envs/run vllm {workflow}/workflow_scripts/serve_judge.py --model results/models/qwen2.5-14b-instruct"
    assert f"--serve '{served}" in job
    api = snakemake("-n", "-p", "--cores", "8", target, folder=clone).stdout
    job = api.partition("rule judge_outputs:")[2].partition("[")[0]
    assert "gpu=0" in job and "cents=966" in job and "--serve" not in job


def test_table_8_adds_the_likelihoods_of_the_initial_policies(clone):
    dag = Dag("--cores", "1", "results/tables/table8.csv", folder=clone)
    initial = 3 * 3
    added = ["compute_likelihoods", "measure_consistency", "sample_candidates", "compare_candidates"]
    # samples of 3 SFT policies are trained on as well; sampling in 8 shards
    assert [dag.jobs[rule] for rule in added] == [initial, initial, 8 * (initial + 3), initial]
    assert dag.jobs["train_policy"] == 3 * 2
    assert dag.jobs["judge_outputs"] == 0  # no judge is asked


def test_figure_3_trains_on_every_source_once(clone):
    targets = ["results/figures/figure3.svg", "results/tables/intra_diversity.csv"]
    paper = Dag("--cores", "1", *targets, folder=clone)
    assert paper.jobs["train_policy"] == 3 * 3
    assert paper.jobs["sample_candidates"] == 8 * (3 + 1)  # the three models and Llama-3, in 8 shards
    demo = Dag("--profile", "demo", *targets, folder=clone)
    assert demo.jobs["train_policy"] == 3 + 3 + 2  # the samples of tiny-llama are its `on`


def test_the_cost_of_the_boundary_needs_the_jobs_that_are_measured_and_no_more(clone):
    dag = Dag("--cores", "1", "results/tables/boundary_cost.csv", folder=clone)
    jobs = {rule: dag.jobs[rule] for rule in ("sample_candidates", "compare_candidates", "train_policy")}
    assert jobs == {"sample_candidates": 8 * 3, "compare_candidates": 3, "train_policy": 3}  # sampling in 8 shards
    plan = snakemake("-n", "-p", "--cores", "1", "results/tables/boundary_cost.csv", folder=clone).stdout
    (command,) = [line for line in plan.splitlines() if "make_boundary_cost.py --models" in line]
    read = {word for word in command.split() if word.startswith("results/benchmarks/")}
    written = {line.split()[1] for line in plan.splitlines() if line.strip().startswith("benchmark:")}
    assert len(read) == 8 * 3 + 3 + 3 and read <= written
    measured = ("sample_candidates", "compare_candidates", "train_policy")
    assert {file for file in written if file.split("/")[2] in measured} == read


def test_analyses_follow_the_seeds_and_the_iterations(clone, tmp_path):
    overlay = tmp_path / "seeds.yaml"
    overlay.write_text("seeds: [0, 1]\niterations: 1\n")
    targets = ["results/tables/table8.csv", "results/tables/intra_diversity.csv", "results/figures/figure3.svg"]
    dag = Dag("--cores", "1", "--configfile", overlay, "--", *targets, folder=clone)
    assert dag.jobs["compute_likelihoods"] == 3 * 2  # SFT policies alone
    assert dag.jobs["train_policy"] == 3 * 3 * 2


# The judge's answers are free there: it is asked about each of the 9 initial policies of Table 3, and once about the data.
AUDITS_OF_THE_DEMO = {"ask_yardstick": 9 + 1, "describe_judge": 1} | dict.fromkeys(
    ("compare_chosen", "compute_pair_likelihoods", "audit_sources"), 9
)


@pytest.mark.parametrize("profile", [["--cores", "1"], ["--profile", "demo"], ["--profile", "small"]])
def test_the_report_adds_nothing_heavy_but_the_judging_of_quality(clone, profile):
    """Its jobs are those of all tables, one of each kind of its own, and each pair of sources judged once."""
    tables = [f"results/tables/table{number}.csv" for number in (1, 2, 3, 4, 5, 8)]
    analyses = ["results/tables/intra_diversity.csv", "results/tables/boundary_cost.csv", "results/figures/figure3.svg"]
    plain = Dag(*profile, "--", *tables, *analyses, folder=clone)
    whole = Dag(*profile, "--", "results/report.html", folder=clone)
    more = whole.jobs - plain.jobs
    judging = "judge_outputs" if "judge_outputs" in plain.jobs else "judge_with_preference_model"
    pairs = 3  # of sources, in each configuration
    light = ["make_report", "make_comparison", "make_rq1", "make_table10", "make_table9", "draw_rule_graph"]
    assert more == {
        **dict.fromkeys(light, 1), "make_settings_table": 2, "make_labels_table": 1, "make_pairs_table": 1, "make_quality_table": 1, "plan_study": 1, "plot_boundary": 3,
        "draw_quality_pairs": pairs, judging: pairs, "compute_win_rate": pairs,
        **({"measure_label_accuracy": plain.jobs["label_preferences"]} if "demo" in profile else {}),
        **(AUDITS_OF_THE_DEMO if "demo" in profile else {}),
    }  # fmt: skip


def test_any_two_sources_can_be_compared(clone):
    target = "results/evaluations/quality/ultrafeedback/against/zephyr-7b/dpo/off-on/win_rate.json"
    dag = Dag("--cores", "1", target, folder=clone)
    assert dag.jobs["draw_quality_pairs"] == dag.jobs["judge_outputs"] == dag.jobs["compute_win_rate"] == 1
    assert dag.jobs["train_policy"] == 2  # off and off-on, whose samples' chosen responses are the references


ADAPTIVE = "results/tables/adaptive.csv"


def adaptive(histories, folder, *options):
    """The table of these histories of Zephyr, beside nothing else; columns ask for traces."""
    table = f"tables={{adaptive: {{models: [zephyr-7b], methods: [dpo], histories: {histories}, columns: [labels]}}}}"
    return Dag("--cores", "1", "--config", table, *options, "--", ADAPTIVE, folder=folder)


def test_before_auto_has_decided_the_dag_holds_the_fixed_arms_and_the_first_decision(clone):
    fixed = adaptive("['off', 'on', off-on]", clone)
    undecided = adaptive("['off', 'on', off-on, auto-auto]", clone)
    assert undecided.jobs - fixed.jobs == {"make_decision": 1, "trace_policy": 1, "list_policies": 1}
    alone = adaptive("[auto-auto]", clone)
    assert alone.jobs["train_policy"] == 0
    assert (alone.jobs["make_decision"], alone.jobs["measure_boundary"]) == (1, 1)


@pytest.mark.parametrize(
    ("target", "decided"),
    [
        ("results/policies/zephyr-7b/dpo/auto-auto/manifest.json", "zephyr-7b/sft"),
        ("results/policies/zephyr-7b@1/dpo/off-auto/manifest.json", "zephyr-7b@1/dpo/off"),
        ("results/policies/phi-2/dpo/auto/manifest.json", "phi-2/sft"),
        ("results/traces/zephyr-7b/slic/auto-on.json", "zephyr-7b/sft"),
        ("results/policies/zephyr-7b/dpo/auto-auto~2/manifest.json", "zephyr-7b/sft"),
        ("results/traces/zephyr-7b/dpo/off-auto~2.json", "zephyr-7b/dpo/off"),
    ],
)
def test_a_history_with_auto_can_be_asked_for_by_name(clone, target, decided):
    done = snakemake("-n", "--cores", "1", "--config", "replicates=2", "--", target, folder=clone)
    assert done.returncode == 0, done.stderr
    assert f"results/decisions/{decided}.json" in done.stdout
    assert "alteration of the DAG" in done.stdout


def test_mixtures_share_the_samples_and_labels_of_the_fixed_arms(clone):
    fixed = adaptive("['off', 'on']", clone)
    mixed = adaptive("['off', 'on', mix25, mix50, blend]", clone)
    per_policy = ["train_policy", "generate_evaluation_outputs", "judge_outputs", "compute_win_rate", "trace_policy"]
    assert mixed.jobs - fixed.jobs == {
        **dict.fromkeys([*per_policy, "mix_preferences", "gather_shards"], 3),
        "compute_reference_logps": 8 * 3,
    }


def test_a_mixture_takes_its_share_from_its_name_or_from_the_boundary(clone):
    for source, flag in (("mix50", "--percent 50"), ("blend", "--boundary results/boundary/zephyr-7b/dpo/off.json")):
        target = f"results/mixtures/zephyr-7b/dpo/off/{source}.parquet"
        done = snakemake("-n", "-p", "--cores", "1", target, folder=clone)
        (command,) = [line for line in done.stdout.splitlines() if "mix_preferences.py --on-policy" in line]
        assert flag in command
        assert "results/preferences/zephyr-7b/dpo/off/train" in command and "preferences/ultrafeedback/" in command


def test_a_decision_by_hand_is_handed_on(clone):
    by_hand = ["--config", "boundary={decisions: {zephyr-7b/sft: mix50}}"]
    for policy, flag in (("zephyr-7b/sft", True), ("phi-2/sft", False)):
        done = snakemake("-n", "-p", "--cores", "1", *by_hand, "--", f"results/decisions/{policy}.json", folder=clone)
        assert ("--by-hand mix50" in done.stdout) == flag


def test_a_sequential_measurement_is_one_job_that_samples_and_compares_for_itself(clone):
    target = "results/boundary/zephyr-7b/sft.json"
    fixed = Dag("--cores", "1", target, folder=clone)
    options = ["--cores", "1", "--config", "boundary={sequential: true}", "--", target]
    dag = Dag(*options, folder=clone)
    assert fixed.jobs - dag.jobs == {"sample_candidates": 8, "compare_candidates": 1, "gather_shards": 1}
    assert dag.jobs - fixed.jobs == {}
    lines = snakemake("-n", "-p", *options, folder=clone).stdout.splitlines()
    (command,) = [line for line in lines if "measure_in_blocks.py --" in line]
    assert "--sampler-env vllm --comparer-env pairrm --policy-manifest results/policies/zephyr-7b/sft/" in command
    assert (
        "--temperature 0.7" in command and "--seed 0 --name zephyr-7b/sft" in command and "--confidence 0.95" in command
    )


def test_the_robustness_panel_asks_other_preference_models_on_request(clone, tmp_path):
    overlay = tmp_path / "opinions.yaml"
    overlay.write_text(
        "preference_models: {other: {path: a/b, parameters: 8.0e+9}}\nboundary: {second_opinions: [other]}\n"
    )
    target = "results/robustness/zephyr-7b/dpo/off.json"
    plain = Dag("--cores", "1", target, folder=clone)
    asked = Dag("--cores", "1", "--configfile", overlay, "--", target, folder=clone)
    assert plain.jobs["measure_robustness"] == 1
    assert asked.jobs - plain.jobs == {"make_second_opinion": 1, "fetch_preference_model": 1}
    shown = snakemake("-n", "--cores", "1", "--configfile", overlay, "--", target, folder=clone).stdout
    rules = ("compare_candidates", "make_second_opinion")
    memory = {rule: re.search(rf"rule {rule}:.*?mem_mb=(\d+)", shown, re.DOTALL)[1] for rule in rules}
    assert list(memory.values()) == ["17740", "48000"]  # PairRM, and a model of 8 billion parameters
    shards = ["--config", "resources={shards: {comparison: 3}}"]
    sharded = Dag("--cores", "1", "--configfile", overlay, *shards, "--", target, folder=clone)
    assert (sharded.jobs["make_second_opinion"], sharded.jobs["compare_candidates"]) == (3, 3)


def test_a_table_that_shows_second_opinions_has_them_measured_for_every_initial_policy(clone, tmp_path):
    overlay = tmp_path / "opinions.yaml"
    overlay.write_text("preference_models: {other: {path: a/b}}\nboundary: {second_opinions: [other]}\n")
    options = ["--cores", "1", "--configfile", overlay]
    plain = Dag(*options, "--", TABLE_3, folder=clone)
    shown = Dag(*options, "--config", "tables={table3: {columns: [second_opinions]}}", "--", TABLE_3, folder=clone)
    asked = {"make_second_opinion": 9, "measure_second_opinion": 9, "fetch_preference_model": 1}
    assert shown.jobs - plain.jobs == asked
    alone = Dag(*options, "--", "results/second_opinions/other/phi-2/sft.md", folder=clone)
    assert alone.jobs["measure_second_opinion"] == 1 and not alone.jobs["compare_candidates"]


def test_what_a_verdict_hangs_on_comes_before_other_jobs(clone):
    shown = snakemake("--forceall", "-n", "--profile", "demo", "--quiet", "host", "--", TABLE_3, folder=clone).stdout
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?: +.*\n)+)", shown, re.MULTILINE)
    first = {
        rule: "priority: " in words
        for rule, words in jobs
        if re.search(r"output: .*(/sft/(manifest|test)|sft\.(json|md)|results/(demo|preference_models)/)", words)
    }
    assert first.keys() > {
        "train_sft",
        "sample_candidates",
        "compare_candidates",
        "train_ranker",
        "measure_second_opinion",
    }
    assert all(first.values())
    later = {rule for rule, words in jobs if "priority: " not in words}
    assert {"train_policy", "sample_candidates", "generate_evaluation_outputs"} <= later


def test_a_data_sets_own_labels_need_no_preference_model_and_the_pages_say_so(clone):
    labels = ["results/preferences/ultrafeedback/train.parquet", "results/preferences/zephyr-7b/sft/train.parquet"]
    dataset, agree = (["--config", f"labels={which}", "--"] for which in ("dataset", "agree"))
    own = Dag("--cores", "1", *dataset, labels[0], folder=clone)
    assert own.jobs == {"prepare_dataset": 1, "take_own_labels": 2, "gather_shards": 1}
    both = Dag("--cores", "1", *dataset, *labels, folder=clone)
    assert (both.jobs["take_own_labels"], both.jobs["label_preferences"]) == (
        2,
        2,
    )  # samples have no labels of their own
    shown = snakemake("-n", "-p", "--cores", "1", *agree, *labels, BOUNDARY, folder=clone).stdout
    commands = re.findall(r"label_preferences.py .*?--output", shown)
    assert [("--labels agree" in one, "--truncated" in one) for one in commands].count((True, False)) == 2
    assert [("--labels agree" in one, "--truncated" in one) for one in commands].count((False, True)) == 2
    assert "--notes 'Labels: training on ultrafeedback takes the pairs on which" in shown
    plain = snakemake("-n", "-p", "--cores", "1", "--", *labels, BOUNDARY, folder=clone).stdout
    assert "--labels" not in plain and "--notes" not in plain


def test_a_judge_gives_a_second_opinion_beside_networks_and_its_price_is_known(clone, tmp_path):
    (tmp_path / "prompt.txt").write_text("")
    overlay = tmp_path / "opinions.yaml"
    overlay.write_text(f"""
preference_models: {{other: {{path: a/b}}, api: {{judge: gpt-4-turbo}}}}
judges: {{gpt-4-turbo: {{answers: words, prompt: {tmp_path}/prompt.txt}}}}
boundary: {{second_opinions: [other, api]}}
""")
    options = ["--cores", "1", "--configfile", overlay, "--", "results/robustness/zephyr-7b/sft.json"]
    jobs = Dag(*options, folder=clone).jobs
    assert (jobs["make_second_opinion"], jobs["ask_second_opinion"], jobs["describe_judge"]) == (1, 1, 1)
    shown = snakemake("-n", "-p", *options, folder=clone).stdout
    job = shown.partition("rule ask_second_opinion:")[2].partition("[")[0]
    assert "cents=35584" in job  # 8,000 pairs in both orders, 1,200 tokens of request and 1,024 of answer
    assert "envs/run alpaca-eval workflow_scripts/compare_candidates.py" in job
    assert "--cache results/judge_cache/second_opinions/api/zephyr-7b/sft/test --output" in job
    described = shown.partition("rule describe_judge:")[2].partition("[")[0]
    assert f"--answers words --answer-tokens 1024 --prompt {tmp_path}/prompt.txt --identified-by" in described
    assert f"{tmp_path}/prompt.txt" in described.partition("output:")[0]


LENGTH_CONTROL = "results/evaluations/demo-instructions/length_control.json"


def test_a_witness_of_length_control_is_asked_about_both_versions_and_never_the_judge(clone, tmp_path):
    overlay = tmp_path / "witness.yaml"
    overlay.write_text("""
preference_models: {api: {judge: gpt-4-turbo}}
judges: {ranker: {kind: preference_model, model: demo-ranker}}
datasets: {demo-instructions: {rows: {verbose: 320, concise: 320}}}
""")
    demo = ["--profile", "demo", "--configfile", "demo/config.yaml", overlay]
    own = Dag(*demo, "--", LENGTH_CONTROL, folder=clone)
    assert (own.jobs["ask_length_witness"], own.jobs["judge_outputs"], own.jobs["train_policy"]) == (2, 2, 0)
    itself = Dag(
        *demo, "--config", "evaluation={judge: ranker, length_witness: demo-ranker}", "--", LENGTH_CONTROL, folder=clone
    )
    assert (itself.jobs["ask_length_witness"], itself.jobs["check_length_control"]) == (0, 1)
    asked = ["--config", "evaluation={length_witness: api}", "--", LENGTH_CONTROL]
    shown = snakemake("-n", "-p", "--quiet", "host", *demo, *asked, folder=clone).stdout
    job = shown.partition("rule ask_length_witness:")[2].partition("[")[0]
    assert (
        "results/preference_models/api/manifest.json" in job
        and "envs/run alpaca-eval workflow_scripts/judge_with_" in job
    )
    assert re.search("--cache results/judge_cache/witnesses/api/(verbose|concise) --output", job)
    assert "cents=768" in job  # 320 instructions, in both orders


def test_instructions_of_ones_own_in_one_file_have_plain_win_rates(clone, tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"instruction": "Why?", "output": "So."}\n')
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(f"""
datasets: {{mine: {{kind: instructions, adapter: local, splits: {{evaluation: {tmp_path}/mine.jsonl}}}}}}
evaluation: {{instructions: mine}}
tables: {{table3: {{models: [zephyr-7b]}}}}
""")
    options = ["--cores", "1", "--configfile", overlay, "--", TABLE_3]
    jobs = Dag(*options, folder=clone).jobs
    assert jobs["compute_win_rate"] == jobs["judge_outputs"] == 7
    assert not {"check_length_control", "ask_length_witness", "fit_instruction_difficulty"} & {*jobs}
    shown = snakemake("-n", "-p", *options, folder=clone).stdout
    assert shown.count(" --plain --output") == 7
    assert "--notes 'Win rates are plain ones" in shown and "splits verbose and concise in `datasets.mine`" in shown


def test_exports_and_cards_are_made_of_what_the_policies_are_made_of(clone):
    exports = ["results/exports/zephyr-7b/sft/train.jsonl", "results/exports/ultrafeedback/test.jsonl"]
    jobs = Dag("--cores", "1", *exports, "results/exports/zephyr-7b/sft/mix50.jsonl", folder=clone).jobs
    assert (jobs["export_preferences"], jobs["export_mixture"], jobs["mix_preferences"]) == (2, 1, 1)
    assert not jobs["train_policy"]
    cards = [f"results/policies/{policy}/README.md" for policy in ("phi-2/sft", "phi-2/dpo/off-mix50")]
    jobs = Dag("--cores", "1", *cards, folder=clone).jobs
    assert (jobs["write_model_card"], jobs["trace_policy"], jobs["train_policy"]) == (2, 1, 2)
    shown = snakemake("-n", "-p", "--cores", "1", "--", cards[1], folder=clone).stdout
    assert "--about 'Conversations of SFT=ultrachat' 'Off-policy data=ultrafeedback' 'Preference model=pairrm'" in shown


def test_data_in_a_folder_and_columns_of_other_names_reach_the_program(clone, tmp_path):
    folder = tmp_path / "my data"
    folder.mkdir()
    for name in ("state.json", "data.arrow"):
        (folder / name).touch()
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(f"""
datasets:
  mine: {{kind: preferences, adapter: local, splits: {{train: "{folder}"}}, columns: {{prompt: my question}}}}
""")
    target = "results/datasets/mine/train.parquet"
    shown = snakemake("-n", "-p", "--cores", "1", "--configfile", overlay, "--", target, folder=clone).stdout
    assert f"--source '{folder}'" in shown
    assert "--columns 'prompt=my question' --duplicates first" in shown


def test_published_difficulties_have_no_length_control_to_check(clone):
    assert Dag("--cores", "1", "all", folder=clone).jobs["check_length_control"] == 0
    assert Dag("--profile", "demo", "all", folder=clone).jobs["check_length_control"] == 1


def test_the_readmes_study_for_one_gpu_is_what_it_says(clone, tmp_path):
    """Its file and its command, on a machine without a GPU and a hub: as a dry run."""
    text = (ROOT / "README.md").read_text()
    block = text.split("## One GPU, 8B, your pairs")[1].split("```bash\n")[1].split("```")[0]
    written = block.split("<<'END'\n")[1].split("END\n")[0]
    (tmp_path / "mine.yaml").write_text(written)
    (tmp_path / "my-pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    target = block.strip().split(" -- ")[1]
    arguments = ["--snakefile", ROOT / "Snakefile", "--directory", tmp_path, "--profile", ROOT / "small"]
    on = target.replace("auto", "on")
    done = snakemake(
        *map(str, arguments), "--configfile", "mine.yaml", "-n", "-p", "--quiet", "host", "--", on, folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    for part in ("--candidates 8", "--pairs best-worst", "--lora-rank 16", "envs/run vllm ", "write_model_card"):
        assert part in said
    assert len(block.strip().splitlines()) <= 11
