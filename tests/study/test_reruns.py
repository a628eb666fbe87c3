"""The rerun matrix: which rules run again after which edit of a finished study, and that no other does.

Several studies stand finished: the demo with one model, of which everything is made; the paper's with two models, a model
hub, shards and a judge's endpoint, of which Table 3 is; and one whose sources follow sequential measurements, labelled by
a judge. What is expected is written here by hand: what each rule runs and which rules read what it makes. The modules that
a program needs are found by Python's own modulefinder.
"""

import re
from dataclasses import dataclass
from modulefinder import ModuleFinder
from pathlib import Path

import pytest
import yaml
from clones import copy_workflow
from conftest import ROOT
from dry_runs import Study, stand_in_for_a_finished_run

from dpo_stages.study import program_inputs

# Who reads what a rule makes. Where jobs of one rule have different readers, a suffix tells them apart.
TRAINED = (
    "sample_candidates measure_boundary compute_reference_logps train_policy generate_evaluation_outputs "
    "compute_likelihoods compute_pair_likelihoods"
)
JUDGED = "fit_instruction_difficulty compute_fitted_win_rates compute_win_rate make_report"
GAMED = "fit_instruction_difficulty check_length_control make_report"
GROUPED_BY = "score_candidates pair_candidates score_pooled_candidates pair_pooled_candidates"
SAMPLED = (
    "label_preferences compare_candidates make_second_opinion ask_second_opinion compute_likelihoods draw_quality_pairs "
    f"make_boundary_cost make_pairs_table {GROUPED_BY}"
)
ASKING = "ask_yardstick compare_chosen"
AUDITED = f"{ASKING} compute_pair_likelihoods audit_sources"
LABELLED = (
    "compute_reference_logps train_policy train_arm mix_preferences trace_policy draw_quality_pairs make_boundary_cost write_vote_sheet "
    f"read_votes export_preferences {AUDITED}"
)
COMPARED = "measure_boundary measure_robustness measure_consistency make_boundary_cost make_labels_table"
READERS = {
    "make_demo_world": (
        "make_demo_model prepare_dataset train_ranker label_ranker_samples measure_label_accuracy judge_outputs "
        f"judge_outputs:gamed judge_outputs:quality describe_judge measure_preference_model {ASKING}"
    ),
    "sample_ranker_candidates": "label_ranker_samples",
    "label_ranker_samples": "train_ranker measure_preference_model",
    "measure_label_accuracy": "make_labels_table",
    "make_demo_model": "adopt_policy train_sft",
    "fetch_model": "adopt_policy train_sft write_model_card",
    "fetch_model:untuned": "train_sft write_model_card",
    "prepare_dataset": (
        "prepare_dataset:chat prepare_dataset:preferences prepare_dataset:instructions sample_ranker_candidates"
    ),
    "prepare_dataset:chat": "train_sft",
    "prepare_dataset:preferences": (
        "draw_race_prompts "
        "sample_candidates label_preferences compare_candidates make_second_opinion ask_second_opinion measure_boundary "
        "compute_likelihoods "
        f"make_pairs_table {GROUPED_BY}"
    ),
    "prepare_dataset:instructions": (
        "generate_evaluation_outputs judge_outputs judge_outputs:gamed judge_with_preference_model "
        "judge_with_preference_model:gamed compare_arms make_table10 take_reference_outputs ask_length_witness"
    ),
    "adopt_policy": f"{TRAINED} measure_capabilities train_arm sample_ranker_candidates",
    "train_sft": f"{TRAINED} measure_capabilities train_arm make_report",
    "train_policy": f"{TRAINED} measure_capabilities train_arm write_model_card make_intra_diversity make_boundary_cost make_rq1 make_report",
    "sample_candidates": f"{SAMPLED} gather_shards:candidates",
    "gather_shards": "gather_shards:candidates gather_shards:preferences",
    "gather_shards:candidates": SAMPLED,
    "gather_shards:preferences": LABELLED,
    "score_candidates": "pair_candidates",
    "pair_candidates": f"{LABELLED} make_labels_table make_pairs_table",
    "score_pooled_candidates": "pair_pooled_candidates",
    "pair_pooled_candidates": "compute_reference_logps train_policy trace_policy",
    "fetch_preference_model": "score_candidates score_pooled_candidates label_preferences compare_candidates compare_arms make_second_opinion "
    "judge_with_preference_model judge_with_preference_model:gamed ask_length_witness",
    "describe_judge": f"label_preferences compare_candidates compare_arms measure_boundary ask_length_witness ask_second_opinion compare_racing_arms measure_judge {ASKING}",
    "train_ranker": "label_preferences compare_candidates compare_arms ask_length_witness measure_preference_model",
    "measure_preference_model": "measure_boundary make_race make_labels_table make_table make_report",
    "measure_judge": "measure_boundary make_race make_labels_table make_table make_report",
    "ask_length_witness": "check_length_control",
    "check_length_control": "make_table",
    "take_own_labels": f"{LABELLED} gather_shards:preferences make_labels_table make_pairs_table measure_label_accuracy",
    "label_preferences": f"{LABELLED} gather_shards:preferences make_labels_table make_pairs_table measure_label_accuracy",
    "compute_reference_logps": "train_policy train_arm",
    "compare_candidates": COMPARED,
    "make_second_opinion": "measure_second_opinion measure_robustness",
    "ask_second_opinion": "measure_second_opinion measure_robustness",
    "measure_second_opinion": "make_table:table3 make_report",
    "measure_robustness": "",
    "measure_boundary": "make_table make_decision mix_preferences trace_policy make_data_sets make_report",
    "draw_race_prompts": "sample_arm make_race",
    "train_arm": "sample_arm",
    "sample_arm": "compare_racing_arms",
    "compare_racing_arms": "decide_look",
    "decide_look": "make_race",
    "make_race": "make_decision make_report",
    "make_decision": "trace_policy make_table",  # and what is trained on the chosen source, once that is known
    "mix_preferences": "compute_reference_logps train_policy trace_policy",
    "trace_policy": "make_table write_model_card",
    "write_model_card": "",
    "export_preferences": "",
    "compute_likelihoods": "measure_consistency",
    "measure_consistency": "make_table8",
    "make_table8": "make_report",
    "generate_evaluation_outputs": "judge_outputs judge_with_preference_model compare_arms make_table10",
    "compare_arms": "make_table",
    "fetch_tasks": "measure_capabilities",
    "measure_capabilities": "make_table",
    "take_reference_outputs": "judge_outputs:gamed judge_with_preference_model:gamed ask_length_witness",
    "judge_outputs": JUDGED,
    "judge_outputs:gamed": GAMED,
    "judge_with_preference_model": JUDGED,
    "judge_with_preference_model:gamed": GAMED,
    "fit_instruction_difficulty": "compute_fitted_win_rates compute_win_rate",
    "compute_fitted_win_rates": "make_table",
    "compute_win_rate": "make_table",
    "draw_quality_pairs": "judge_outputs:quality judge_with_preference_model:quality",
    "judge_outputs:quality": "compute_win_rate:quality make_report",
    "judge_with_preference_model:quality": "compute_win_rate:quality make_report",
    "compute_win_rate:quality": "make_quality_table",
    "list_policies": "make_table make_table10",
    "make_table": "plot_boundary make_comparison make_rq1 plan_study make_report",
    "make_table:table3": "plot_boundary make_comparison plan_study make_report",
    "make_labels_table": "make_report",
    "make_pairs_table": "make_report",
    "plan_study": "make_report",  # the cost of the finished study
    "plot_boundary": "make_report",
    "make_comparison": "make_report",
    "make_table10": "make_report",
    "make_quality_table": "make_rq1 make_report",
    "make_rq1": "make_report",
    "make_settings_table": "make_report",
    "make_table9": "make_report",
    "draw_rule_graph": "make_report",
    "make_intra_diversity": "make_report",
    "make_boundary_cost": "make_report",
    "ask_yardstick": "audit_sources",
    "compare_chosen": "audit_sources",
    "compute_pair_likelihoods": "audit_sources",
    "read_votes": "audit_sources",
    "write_vote_sheet": "",
    "audit_sources": "make_report plan_study make_race make_data_sets",
    "make_data_sets": "make_report",
    "make_report": "",
}

# Who does not read it where a judge labels and no policy is trained on from (see ADAPTIVE), or where a judge is nothing but the
# yardstick.
NOT_READ = {
    "demo": {"describe_judge": "label_preferences compare_candidates compare_arms measure_boundary ask_length_witness"},
    "raced": {
        "describe_judge": "label_preferences compare_candidates compare_arms measure_boundary ask_length_witness",
        "make_decision": "trace_policy",  # the card is that of a history without `auto`
        "train_policy": "sample_candidates measure_boundary compute_reference_logps compute_pair_likelihoods train_arm",
    },
    "grouped": {"train_policy": "sample_candidates measure_boundary"},
    "several": {"train_policy": "sample_candidates measure_boundary compute_reference_logps"},
    "adaptive": {
        "train_policy": "sample_candidates measure_boundary",
        "fetch_preference_model": "label_preferences compare_candidates compare_arms",
    },
}

# Environments and their rules. A rule runs the program of its name, unless PROGRAMS says another.
SAMPLING = "sample_candidates generate_evaluation_outputs"
TRAINING = (
    "fetch_model make_demo_model train_sft compute_reference_logps train_policy compute_likelihoods prepare_dataset "
    "compute_pair_likelihoods train_arm"
)
JUDGING = "judge_outputs judge_outputs:gamed judge_outputs:quality"
WIN_RATES = "fit_instruction_difficulty compute_fitted_win_rates compute_win_rate compute_win_rate:quality"
RULES_OF = {
    "train": TRAINING,
    "vllm": f"{SAMPLING} sample_arm",
    "vllm-cpu": f"{SAMPLING} sample_arm sample_ranker_candidates",
    "pairrm": (
        "fetch_preference_model train_ranker score_candidates score_pooled_candidates label_preferences compare_candidates compare_arms make_second_opinion "
        "judge_with_preference_model ask_length_witness measure_preference_model"
    ),
    "alpaca-eval": f"{JUDGING} {WIN_RATES} make_table9 compare_racing_arms ask_second_opinion measure_judge {ASKING}",
    "lm-eval": "fetch_tasks measure_capabilities",
    "workflow": (
        "pair_candidates pair_pooled_candidates "
        "make_demo_world adopt_policy list_policies gather_shards measure_boundary measure_second_opinion measure_robustness make_decision mix_preferences trace_policy "
        "describe_judge take_reference_outputs draw_quality_pairs make_table "
        "plot_boundary measure_consistency make_table8 make_intra_diversity "
        "make_boundary_cost make_quality_table make_rq1 plan_study make_settings_table make_table10 make_comparison "
        "take_own_labels draw_rule_graph make_labels_table make_pairs_table check_length_control label_ranker_samples measure_label_accuracy make_report "
        "write_vote_sheet read_votes audit_sources draw_race_prompts decide_look make_race write_model_card export_preferences make_data_sets"
    ),
}
PROGRAMS = {
    "list_policies": [],
    "compute_fitted_win_rates": ["compute_win_rate"],
    "judge_outputs": ["judge_outputs", "serve_demo_judge"],
    "ask_yardstick": ["ask_yardstick", "serve_demo_judge"],
    "compare_chosen": ["ask_yardstick", "serve_demo_judge"],
    "describe_judge": ["describe_judge", "serve_demo_judge"],
    "score_pooled_candidates": ["score_candidates"],
    "pair_pooled_candidates": ["pair_candidates"],
    "make_second_opinion": ["compare_candidates"],
    "measure_judge": ["measure_preference_model"],
    "train_arm": ["train_policy"],
    "export_mixture": ["export_preferences"],
    "sample_arm": ["sample_candidates"],
    "decide_look": ["decide_race"],
    "ask_length_witness": ["judge_with_preference_model"],
    "sample_ranker_candidates": ["sample_candidates"],
    "measure_robustness": ["measure_boundary"],
    "measure_second_opinion": ["measure_boundary"],
    "measure_boundary": ["measure_boundary", "measure_in_blocks"],
}
# Studies that show what a program's files rerun, the first that has a rule for it. The demo has everything unless named.
STUDIES = {"adopt_policy": ["paper"], "measure_in_blocks": ["adaptive"], "program_inputs": ["adaptive"]}

# Modules for kinds of preference models that the demo and the paper have not. What labels takes a reward model for another
# network.
OTHER_KINDS = ["dpo_stages.preferences.judge", "dpo_stages.preferences.reward_model"]
NETWORKS = [f"dpo_stages.{module}" for module in program_inputs.NETWORKS]
ASKERS = ["ask_yardstick", "compare_racing_arms", "ask_second_opinion"]
LABELLERS = [
    "label_preferences",
    "score_candidates",
    "compare_candidates",
    "compare_arms",
    "judge_with_preference_model",
    "measure_preference_model",
]

# Other files that programs read, and by which rules. The rest of the data in workflow_scripts changes no result.
DATA = {
    "demo": {
        "dpo_stages/report/paper_reference/table1.csv": "make_comparison",
        "dpo_stages/report/paper_reference/table2.csv": "make_comparison make_rq1",
        "dpo_stages/report/paper_reference/table3.csv": "make_comparison",
        "dpo_stages/report/paper_reference/table4.csv": "make_comparison",
        "dpo_stages/report/paper_reference/table5.csv": "make_comparison",
        "dpo_stages/report/paper_reference/table6.csv": "make_settings_table",
        "dpo_stages/report/paper_reference/table7.csv": "make_settings_table",
        "dpo_stages/report/paper_reference/quality.csv": "make_quality_table",
        "dpo_stages/report/page.html.jinja": "make_report",
        "dpo_stages/report/style.css": "make_report",
    },
    "paper": {
        "dpo_stages/models/chat_templates/zephyr.jinja": "fetch_model:untuned",
        "dpo_stages/evaluation/alpaca_eval_data/df_gamed.csv": "compute_win_rate",
    },
}

# Two jobs have the whole configuration as their parameter: the graph of the rules and the cost of the study.
PAGE = "draw_rule_graph plan_study"

DEMO = """
demo_world:
  train_prompts: 96
  test_prompts: 32
  evaluation_prompts: 40
  ranker_samples: {models: [tiny-llama]}  # whose SFT policy is no training of the study
evaluation: {length_witness: null}  # the ranker: a network is one more that reads what it depends on
audit: {votes: {tiny-mistral/dpo/on: local/votes.csv}}
tables: {TABLES}
analyses:
  table8: {models: [tiny-mistral]}
  figure3: {models: [tiny-mistral]}
  boundary_cost: {models: [tiny-mistral]}
""".replace("TABLES", ", ".join(f"table{number}: {{models: [tiny-mistral]}}" for number in range(1, 6)))

PAPER = """
models: {phi-2: {path: local/phi-2}}
preference_models: {pairrm: {path: local/pairrm}}
datasets: {ultrachat: {path: local/ultrachat}}
resources: {shards: {sampling: 2, labelling: 2}}
tables:
  table3: {models: [zephyr-7b, phi-2], sources: [], histories: ["off", "on", off-on]}
capabilities: {tasks: [gsm8k], task_folder: local/tasks, tables: [table3]}
"""

ADAPTIVE = """
preference_model: judged
preference_models: {judged: {judge: gpt-4-turbo, held_out: local/held_out.jsonl}, opined: {judge: other}}
judges: {other: {kind: endpoint, model: other, base_url: "https://host/v1", answers: words, prompt: local/prompt.txt}}
boundary: {sequential: true, second_opinions: [pairrm, opined]}
evaluation: {judge: pairrm}
resources: {shards: {sampling: 1, labelling: 1, reference: 1}}
tables:
  table3: {models: [zephyr-7b], methods: [dpo], sources: [], histories: ["off", auto, mix50, blend], columns: [labels]}
"""


SHEET = "results/audits/sheets/tiny-mistral/dpo/on.csv"

GIVEN_AWAY = ["results/policies/zephyr-7b/dpo/off/README.md", "results/exports/ultrafeedback/train.jsonl"]

RACED = """
decide_by: race
labels: dataset
resources: {shards: {sampling: 1, labelling: 1, reference: 1}}
"""

GROUPED = """
pairs: best-worst
sampling: {candidates: 4}
methods: {dpo: {lora: {}}}
resources: {shards: {sampling: 1, labelling: 1, reference: 1}}
tables:
  table3: {models: [zephyr-7b], sources: [], histories: ["off", "on", pool, pick]}
"""

SEVERAL = """
preset: laptop
models: {mine: {path: local/mine, parameters: 1.0e+6}}
preference_data: [{train: local/pairs.jsonl, test: local/test.jsonl}, {train: local/old.jsonl, test: local/old-test.jsonl}]
preference_model: local/ranker
evaluation: {instructions: local/tasks.jsonl}
"""


@dataclass(frozen=True)
class Edit:
    """An edit of a finished study and what runs again for it.

    Attributes:
        name: what is edited.
        reruns: the rules that it touches itself, of which the readers follow; see READERS.
        overlay: YAML that is merged over the configuration.
        file, append, gone: a file of the study, and what is added at its end, or whether it is deleted instead.
        spared: rules that read what is made again by name, but only of the jobs that are not touched.
        only: what every file that is made again must match.
        never: what no file that is made again may match.
        study: "demo", "paper", "adaptive", where `auto` took "on", "raced", where the first look decides, "grouped", or
            "several", which has several data sets.
    """

    name: str
    reruns: str = ""
    overlay: str = "{}"
    file: str | None = None
    append: str = "\n"
    gone: bool = False
    spared: str = ""
    only: str = ""
    never: str = r"$^"
    study: str = "demo"


SFT_SAMPLES = r"results/(candidates|comparisons|preferences|reference_logps|likelihoods)/[^/]+/sft[./]"
LABELS_AND_COMPARISONS = "label_preferences compare_candidates compare_arms measure_boundary measure_judge"
SFT_LABELS = r"results/(candidates|comparisons|preferences|likelihoods)/[^/]+/sft[./]"
OFF_POLICY_LABELS = r"results/preferences/(demo-preferences|ultrafeedback)/"
SFT = r"results/policies/[^/]+/sft/"
RANKER = yaml.safe_load((ROOT / "demo/config.yaml").read_text())["preference_models"]["demo-ranker"]["training"]
OTHER_METHOD = (
    r"(policies|candidates|preferences)/[^/]+/slic|slic/.*annotations"  # its win rates stand on fitted difficulties
)
EDITS = [
    # Settings
    Edit(
        "beta",
        f"{PAGE} train_policy make_settings_table",
        "methods: {dpo: {beta: 0.2}}",
        never=f"{SFT_SAMPLES}|{OFF_POLICY_LABELS}|{SFT}|{OTHER_METHOD}",
    ),
    Edit(
        "learning rate",
        f"{PAGE} train_policy make_settings_table",
        "methods: {dpo: {learning_rate: 1.0e-4}}",
        never=f"{SFT_SAMPLES}|{OFF_POLICY_LABELS}|{SFT}|{OTHER_METHOD}",
    ),
    Edit(
        "LoRA of a method",
        f"{PAGE} train_policy make_settings_table",
        "methods: {dpo: {lora: {rank: 4}}}",
        never=f"{SFT_SAMPLES}|{OFF_POLICY_LABELS}|{SFT}|{OTHER_METHOD}",
    ),
    Edit("LoRA of SFT", "train_sft", "sft: {lora: {}}", only="phi-2|results/tables", study="paper"),
    Edit(
        "a supervised term",
        f"{PAGE} train_policy make_settings_table",
        "methods: {dpo: {sft_weight: 0.1}}",
        never=f"{SFT_SAMPLES}|{OFF_POLICY_LABELS}|{SFT}|{OTHER_METHOD}",
    ),
    Edit(
        "prompts computed once",
        f"{PAGE} compute_reference_logps compute_likelihoods compute_pair_likelihoods train_policy",
        "prefix_sharing: true",
        never=f"results/(candidates|comparisons|preferences)/[^/]+/sft[./]|{OFF_POLICY_LABELS}|{SFT}",
    ),
    Edit("who watches trainings", PAGE, "report_to: tensorboard"),
    Edit("what is kept of a policy", "", "methods: {dpo: {keep: adapter}}", study="grouped"),
    Edit(
        "rounding of a method",
        "train_policy",
        "methods: {dpo: {rounding: none}}",
        never=f"{SFT_SAMPLES}|{OFF_POLICY_LABELS}|{SFT}",
        study="paper",
    ),
    Edit("rounding of SFT", "train_sft", "sft: {rounding: none}", only="phi-2|results/tables", study="paper"),
    Edit(
        "rounding where nothing is rounded",
        f"{PAGE} make_settings_table",
        "{sft: {rounding: none}, methods: {dpo: {rounding: none}}}",
    ),
    Edit(
        "beta of a method that one table shows",
        f"{PAGE} train_policy make_settings_table",
        "methods: {slic: {beta: 0.2}}",
        spared="make_intra_diversity make_boundary_cost draw_quality_pairs make_quality_table "
        "judge_outputs:quality make_rq1 make_table10 fit_instruction_difficulty compute_fitted_win_rates "
        f"ask_second_opinion measure_second_opinion compute_likelihoods measure_consistency make_table8 write_vote_sheet read_votes {AUDITED}",
        never="dpo",
    ),
    Edit(
        "learning rate of SFT",
        f"{PAGE} train_sft make_settings_table",
        "sft: {learning_rate: 5.0e-4}",
        never=f"{OFF_POLICY_LABELS}|results/policies/tiny-llama|results/candidates/tiny-llama",
    ),
    Edit("recipe of SFT", f"{PAGE} train_sft make_settings_table", "sft: {packing: true, loss_on_prompts: true}",
         never=f"{OFF_POLICY_LABELS}|results/policies/tiny-llama|results/candidates/tiny-llama"),
    Edit("cut responses", f"{PAGE} label_preferences", "truncated: drop", spared="make_boundary_cost",
         never=f"{OFF_POLICY_LABELS}|{SFT}|sft/test"),
    Edit(
        "thoughts are shown to the preference model and the judge",
        f"{PAGE} label_preferences compare_candidates compare_arms ask_length_witness measure_preference_model {JUDGING} {ASKING}",
        "thoughts: show",
        never=rf"{SFT}|results/(candidates|evaluations|likelihoods)/[^/]+/sft/(train|test|model_outputs)",
    ),
    Edit(
        "thoughts are shown to a judge that labels and to second opinions",
        "label_preferences compare_candidates measure_boundary make_second_opinion ask_second_opinion judge_with_preference_model "
        "measure_judge",
        "thoughts: show",
        never=rf"{SFT}|results/evaluations/[^/]+/sft/model_outputs",
        study="adaptive",
    ),
    Edit("ties", f"{PAGE} label_preferences", "ties: second", never=SFT),
    Edit("held-out votes of the preference model", "measure_judge", file="local/held_out.jsonl", study="adaptive"),
    Edit("no held-out votes any more", f"{PAGE} measure_boundary make_labels_table make_report",
         "preference_models: {demo-ranker: {held_out: null}}"),
    Edit("the data set's own labels", f"{PAGE} take_own_labels measure_boundary make_report", "labels: dataset",
         spared="write_vote_sheet read_votes", never=f"{SFT}|{SFT_LABELS}"),
    Edit("labels on which both agree", f"{PAGE} label_preferences measure_boundary make_report", "labels: agree",
         spared="write_vote_sheet read_votes", never=f"{SFT}|{SFT_LABELS}"),
    Edit("the preference model's labels again", "label_preferences", "labels: model", study="raced"),
    Edit("duplicate prompts", f"{PAGE} prepare_dataset:preferences",
         "datasets: {demo-preferences: {duplicates: last}}", never=SFT),
    Edit("columns of other names", f"{PAGE} prepare_dataset:preferences",
         "datasets: {demo-preferences: {columns: {prompt: question}}}", never=SFT),
    Edit("sampling temperature", f"{PAGE} {SAMPLING} make_settings_table", "sampling: {temperature: 1.0}", never=SFT),
    Edit(
        "longest training example",
        f"{PAGE} train_sft compute_reference_logps train_policy compute_likelihoods make_settings_table "
        "compute_pair_likelihoods",
        "max_length: 128",
    ),
    Edit(
        "judge of another kind",
        f"{PAGE} judge_with_preference_model judge_with_preference_model:gamed judge_with_preference_model:quality make_table9 "
        "audit_sources",  # the yardstick is the ranker then, which is not asked about its own labels
        "{evaluation: {judge: ranker}, judges: {ranker: {kind: preference_model, model: demo-ranker}}}",
    ),
    Edit("no length control", f"{PAGE} compute_win_rate make_table make_report", "evaluation: {fit_difficulty_over: null}",
         only="/win_rate|results/(tables|figures|report|cost)"),
    Edit("margin of length control", f"{PAGE} check_length_control", "evaluation: {length_margin: 3}"),
    Edit(
        "another witness of length control",
        f"{PAGE} train_ranker",
        "{evaluation: {length_witness: other}, preference_models: {other: {training: RANKER}}}".replace("RANKER", str(RANKER)),
        spared="label_preferences compare_candidates compare_arms measure_preference_model",
        only="/other|/length_control|results/(tables|figures|report|cost)",
    ),
    Edit("judge", f"{PAGE} {JUDGING} make_table9 describe_judge", "judges: {demo-judge: {model: other-judge}}",
         spared="ask_second_opinion"),
    Edit("judge's endpoint", "judge_outputs", "judges: {gpt-4-turbo: {base_url: 'https://host/v1'}}", study="paper"),
    Edit(
        "preference model",
        f"{PAGE} train_ranker measure_boundary measure_consistency",
        "preference_models: {demo-ranker: {training: {layers: 2}}}",
        never=r"results/candidates/[^/]+/sft/|results/datasets|results/models|results/policies/[^/]+/sft/",
    ),
    Edit(
        "preference model's revision",
        "fetch_preference_model",
        "preference_models: {pairrm: {revision: 0123abc}}",
        never=r"results/candidates/[^/]+/sft/|results/shards/candidates/[^/]+/sft/|results/datasets|results/models",
        study="paper",
    ),
    # Another of a kind by its name alone: its file is equal in content, and all that hangs on it is made again.
    Edit(
        "another preference model",
        f"{PAGE} train_ranker measure_boundary measure_consistency",
        "{preference_model: other, preference_models: {other: {training: RANKER}}}".replace("RANKER", str(RANKER)),
        spared="measure_preference_model",  # nobody voted on what the other says
        never=r"results/candidates/[^/]+/sft/|results/datasets|results/models|results/policies/[^/]+/sft/"
        r"|results/evaluations/[^/]+/sft/(model_outputs|annotations)|demo-ranker",
    ),
    Edit(
        "another judge that labels",
        "describe_judge measure_robustness",
        "{preference_model: other, preference_models: {other: {judge: gpt-4-turbo}}}",
        spared="ask_second_opinion measure_judge",
        never=r"results/candidates/[^/]+/sft/|results/second_opinions|results/evaluations/[^/]+/sft/(model|annot)",
        study="adaptive",
    ),
    Edit(
        "another data set",
        f"{PAGE} prepare_dataset:preferences make_quality_table",
        "{preference_data: copy, datasets: {copy: {kind: preferences, adapter: local, splits: {train: "
        "results/demo/world/preferences_train.jsonl, test: results/demo/world/preferences_test.jsonl}}}}",
        never=rf"{SFT}|results/(datasets|preferences)/demo-preferences|evaluations/[^/]+/sft/(model_outputs|annotations)",
    ),
    Edit(
        "another data set of a measurement that decides",
        "prepare_dataset:preferences measure_robustness",
        "{preference_data: copy, datasets: {copy: {kind: preferences, adapter: ultrafeedback_binarized, "
        "path: HuggingFaceH4/ultrafeedback_binarized, splits: {train: train_prefs, test: test_prefs}}}}",
        never=r"ultrafeedback|policies/[^/]+/sft|evaluations/[^/]+/sft/(model_outputs|annotations)",
        study="adaptive",
    ),
    Edit(
        "name of a split at its source",
        "prepare_dataset:preferences",
        "datasets: {ultrafeedback: {splits: {test: other}}}",
        never=r"/train|results/policies|results/preferences",
        spared="label_preferences gather_shards:preferences compute_likelihoods",
        study="paper",
    ),
    Edit(
        "prompts of a measurement that decides",
        "measure_boundary make_second_opinion ask_second_opinion compare_candidates trace_policy",
        "boundary: {split: train}",
        never="(policies|evaluations)/.*/dpo/(mix50|off|on)|sft/(mix50|off|on)|results/candidates",
        study="adaptive",
    ),
    Edit(
        "another instruction set",
        f"{PAGE} prepare_dataset:instructions",
        "{evaluation: {instructions: copy}, datasets: {copy: {kind: instructions, adapter: local, splits: {evaluation: "
        "results/demo/world/evaluation.jsonl, verbose: results/demo/world/evaluation_verbose.jsonl, concise: "
        "results/demo/world/evaluation_concise.jsonl}}}}",
        spared="judge_outputs:quality",
        never="results/(policies|candidates|boundary|preferences|evaluations/quality)|demo-instructions",
    ),
    Edit(
        "a model's revision",
        "fetch_model",
        "models: {zephyr-7b: {revision: 0123abc}}",
        spared="train_sft",
        only="zephyr-7b|results/tables",
        study="paper",
    ),
    Edit(
        "a model's chat template",
        "fetch_model",
        "models: {phi-2: {chat_template: null}}",
        spared="adopt_policy",
        only="phi-2|results/tables",
        study="paper",
    ),
    Edit(
        "an argument of a model's chat template",
        "fetch_model",
        "models: {zephyr-7b: {chat_template_arguments: {enable_thinking: false}}}",
        spared="train_sft",
        only="zephyr-7b|results/tables",
        study="paper",
    ),
    Edit(
        "confidence of the boundary",
        f"{PAGE} measure_boundary measure_second_opinion measure_consistency audit_sources measure_preference_model",
        "boundary: {confidence: 0.9}",
    ),
    Edit(
        "pairs of audits",
        f"{PAGE} write_vote_sheet read_votes {AUDITED}",
        "audit: {pairs: 20}",
        only="results/(audits|figures|report|cost)",
    ),
    Edit(
        "sources of audits",
        f"{PAGE} compare_chosen compute_pair_likelihoods audit_sources",
        'audit: {sources: ["on", "off"]}',
        never="results/audits/(pairs|sheets|votes)",
    ),
    Edit("another yardstick", f"{PAGE} {ASKING}", "yardstick: demo-reader",
         only="demo-reader|results/audits/tiny|results/(figures|report|cost)"),
    Edit("a vote", "read_votes", file="local/votes.csv", only="results/audits/(votes|tiny-mistral/dpo/on)|results/(report|cost)"),
    Edit(
        "prompts of the boundary",
        f"{PAGE} compare_candidates ask_second_opinion compute_likelihoods make_boundary_cost",
        "boundary: {split: train}",
    ),
    Edit(
        "number of rows of a data set",
        f"{PAGE} prepare_dataset:preferences",
        "datasets: {demo-preferences: {limit: 20}}",
        never=SFT,
    ),
    Edit("prompts of quality", f"{PAGE} draw_quality_pairs", "quality: {prompts: 20}"),
    Edit(
        "one seed more",
        f"{PAGE} train_sft make_table make_table8",
        "seeds: [0, 1]",
        spared="draw_quality_pairs judge_outputs:quality compute_win_rate:quality make_quality_table make_table10 "
        "make_boundary_cost write_vote_sheet read_votes",
        only="@1|results/tables|results/figures|results/report|results/cost|/demo-instructions/difficulty"
        "|results/evaluations/tiny-mistral/.*/win_rate",  # difficulties are fitted over all policies
    ),
    Edit(
        "one replicate more",
        f"{PAGE} train_policy make_table",
        "replicates: 2",
        spared="sample_candidates measure_boundary compute_reference_logps compute_likelihoods make_intra_diversity "
        "make_boundary_cost make_table10 compute_pair_likelihoods",
        only="~2|results/tables/(table[1-5]|comparison|rq1)|results/figures|results/report|results/cost"
        "|/demo-instructions/difficulty|results/evaluations/tiny-mistral/.*/win_rate",  # fitted over all policies
    ),
    Edit(
        "two replicates more in the paper's study",
        "train_policy make_table",
        "replicates: 3",
        spared="sample_candidates measure_boundary compute_reference_logps",
        only="~[23]|results/tables",
        study="paper",
    ),
    Edit(
        "one replicate more where auto decides",
        "list_policies train_policy trace_policy compare_arms make_table",
        "replicates: 2",
        spared="compute_reference_logps",
        only="~2|results/tables",
        study="adaptive",
    ),
    Edit(
        "one model more",
        f"{PAGE} make_demo_model train_sft make_table",
        "{models: {tiny-new: {label: New, parameters: 0.5e+6, sft: demo-chat-fair}}, tables: {table1: {models: "
        "[tiny-mistral, tiny-new]}}, demo_world: {models: {tiny-new: {architecture: phi, data: poor, epochs: 2, "
        "learning_rate: 6.0e-3}}}}",
        spared="adopt_policy draw_quality_pairs judge_outputs:quality compute_win_rate:quality make_quality_table "
        "ask_second_opinion make_table10 compute_likelihoods measure_consistency make_table8 make_intra_diversity "
        "make_rq1 make_boundary_cost fit_instruction_difficulty compute_fitted_win_rates plot_boundary write_vote_sheet read_votes "
        f"{AUDITED}",
        only="tiny-new|results/tables/(table1|comparison|labels|pairs)|results/figures|results/report|results/cost",
    ),
    Edit(
        "one model more in the paper's study",
        "fetch_model make_table",
        "{models: {new: {label: New, path: hub/new, parameters: 1.0e+9, sft: ultrachat}}, tables: {table3: {models: "
        "[zephyr-7b, phi-2, new]}}}",
        spared="adopt_policy",
        only="/new/|results/tables",
        study="paper",
    ),
    Edit(
        "one seed more where auto decides",
        "list_policies adopt_policy",
        "seeds: [0, 1]",
        spared="compare_candidates make_second_opinion ask_second_opinion measure_robustness",
        only="@1|results/tables",
        study="adaptive",
    ),
    Edit("a table's models", "make_table", "tables: {table3: {models: [zephyr-7b]}}", study="paper"),
    Edit(
        "a table's histories",
        "sample_candidates train_policy make_table",
        'tables: {table3: {histories: ["off", "on", off-on, on-on]}}',
        spared="compare_arms",
        only="/dpo/on(-on)?[/.]|results/tables",
        study="paper",
    ),
    Edit(
        "a table's columns",
        f"{PAGE} make_table",
        "tables: {table1: {columns: [delta]}}",
        only="table1|results/tables/comparison|results/(figures/rules|report|cost)",
        spared="plot_boundary make_rq1",
    ),
    Edit(
        "a model's label",
        f"{PAGE} make_table make_table8 make_intra_diversity make_boundary_cost "
        "make_table10",
        "models: {tiny-mistral: {label: Another}}",
    ),
    Edit("sources of Figure 3", f"{PAGE} make_intra_diversity",
         'analyses: {figure3: {sources: ["off", "on"]}}'),
    Edit("resources", PAGE, "resources: {speeds: {training: 1.0e+12}, rows: 100, threads: 2}"),
    Edit("resources of the paper's study", "", "resources: {training_gpus: 8, speeds: {scoring: 1.0}}", study="paper"),
    # Settings of sources that follow the measurement. One iteration: nothing is sampled from what is trained.
    Edit(
        "a decision by hand",
        "make_decision",
        'boundary: {decisions: {zephyr-7b/sft: "off"}}',
        only="results/(decisions|traces/zephyr-7b/dpo/auto|tables)",  # what is trained for it shows once it is taken
        study="adaptive",
    ),
    Edit(
        "the rule for undecided scores",
        "make_decision",
        "boundary: {undecided: blend}",
        only="results/(decisions|traces/zephyr-7b/dpo/auto|tables)",
        study="adaptive",
    ),
    Edit(
        "confidence of a measurement that decides",
        "measure_boundary measure_robustness measure_judge",
        "boundary: {confidence: 0.9}",
        never="dpo/(mix50|off|on)|sft/(mix50|off|on)",
        study="adaptive",
    ),
    Edit(
        "sampling temperature of a measurement that decides",
        f"{SAMPLING} measure_boundary",
        "sampling: {temperature: 1.0}",
        never="preferences/ultrafeedback|policies/zephyr-7b/(sft|dpo/off)|reference_logps/zephyr-7b/sft/off",
        study="adaptive",
    ),
    Edit(
        "judge that labels",
        "describe_judge",
        "judges: {gpt-4-turbo: {model: gpt-5}}",
        spared="ask_second_opinion",
        never="results/second_opinions|results/policies/zephyr-7b/sft",
        study="adaptive",
    ),
    Edit(
        "a second opinion's revision",
        "fetch_preference_model",
        "preference_models: {pairrm: {revision: 0123abc}}",
        study="adaptive",
    ),
    Edit("another second opinion", "fetch_preference_model measure_robustness",
         "{preference_models: {other: {path: a/b}}, boundary: {second_opinions: [pairrm, opined, other]}}",
         spared="judge_with_preference_model judge_with_preference_model:gamed",
         only="/other/|results/robustness", study="adaptive"),
    Edit(
        "all comparisons instead of a sequence",
        "measure_boundary",
        "boundary: {sequential: false}",
        never="dpo/(mix50|off|on)|sft/(mix50|off|on)",
        study="adaptive",
    ),
    Edit("prompts of races", "draw_race_prompts", "race: {prompts: 100}", study="raced"),
    Edit("confidence of races", "compare_racing_arms decide_look", "race: {confidence: 0.9}", study="raced"),
    Edit("looks of races that come later", "compare_racing_arms decide_look", "race: {shares: [0.025, 0.05]}",
         only=r"/0\.025\.|results/(races/zephyr-7b|decisions)", study="raced"),
    Edit("orders of races", "train_arm compare_racing_arms", "race: {orders: 3}", only="~3|looks|results/races/zephyr-7b/sft|decisions",
         study="raced"),
    Edit("learning rate of racing arms", "train_arm train_policy", "methods: {dpo: {learning_rate: 1.0e-6}}", never="audits|preferences",
         study="raced"),
    Edit("yardstick", "compare_racing_arms describe_judge",
         "{preference_models: {other: {judge: gpt-4-turbo}}, yardstick: other}", study="raced"),
    Edit("a race overruled by hand", "make_race make_decision", 'boundary: {decisions: {zephyr-7b/sft: "on"}}', study="raced"),
    Edit("races in the report", f"{PAGE} draw_race_prompts train_arm sample_arm compare_racing_arms decide_look make_race make_report",
         "race: {tables: [table3]}", only="race|figures/rules|cost|report"),
    Edit("rule of pairs", "pair_candidates pair_pooled_candidates", "pairs: two",
         never="results/(scores|candidates|boundary|datasets)|pool", study="grouped"),
    Edit("number of candidates", "sample_candidates", "sampling: {candidates: 6}",
         never="results/(scores|preferences)/ultrafeedback|results/datasets|policies/zephyr-7b/(sft|dpo/off)", study="grouped"),
    Edit("ties of groups", "pair_candidates pair_pooled_candidates", "ties: second",
         never="results/(scores|candidates|boundary)", study="grouped"),
    Edit("what chooses pairs", "pair_candidates pair_pooled_candidates",
         file="workflow_scripts/dpo_stages/preferences/pairing.py", append="# A comment.\n",
         never="candidates/|boundary", study="grouped"),
    Edit("one more data set", "prepare_dataset:preferences measure_boundary",
         "preference_data: [{train: local/pairs.jsonl, test: local/test.jsonl}, {train: local/old.jsonl, test: local/old-test.jsonl}, "
         "{train: local/new.jsonl, test: local/new-test.jsonl}]",
         only=r"new|results/(boundary|decisions|tables|figures)", study="several"),
    Edit("how many questions are asked", "measure_capabilities", "capabilities: {limit: 100}",
         only="results/(capabilities|tables)", study="paper"),
    Edit("another task", "fetch_tasks", "capabilities: {tasks: [gsm8k, ifeval]}", only="results/(capabilities|tables)", study="paper"),
    Edit("no capabilities in a table", "make_table", "capabilities: {tables: []}", study="paper"),
    # Files
    Edit("a task's file", "fetch_tasks", file="local/tasks/own.yaml", only="results/(capabilities|tables)", study="paper"),
    Edit("weights of a model in a folder here", "fetch_model", file="local/phi-2/model.safetensors",
         only="phi-2|results/tables", spared="adopt_policy", study="paper"),
    Edit("weights of a preference model in a folder here", "fetch_preference_model", file="local/pairrm/pytorch_model.bin",
         never="results/datasets|results/models|results/policies/[^/]+/sft/", study="paper"),
    Edit("rows of a data set in a folder here", "prepare_dataset:chat", file="local/ultrachat/data/train.jsonl",
         never="ultrafeedback|zephyr-7b/sft/manifest", study="paper"),
    Edit("a model's description", "", file="local/phi-2/README.md", study="paper"),
    Edit("weights of a model are touched", "", file="local/phi-2/model.safetensors", append="", study="paper"),
    Edit("a comment in the configuration", "", file="config.yaml", append="# A comment.\n"),
    Edit("a comment in the profile", "", file="demo/config.yaml", append="# A comment.\n"),
    Edit("a comment in the rules", PAGE, file="rules/models.smk", append="# A comment.\n"),
    Edit("the schema's descriptions", "", file="rules/config.schema.yaml", append="# A comment.\n"),
    Edit("rows of the preference data", "prepare_dataset:preferences",
         file="results/demo/world/preferences_train.jsonl",
         never=SFT + r"|results/(candidates|comparisons)/[^/]+/sft/test"),
    Edit("training rows of one of several data sets", "prepare_dataset:preferences", file="local/old.jsonl",
         spared="sample_candidates compare_candidates measure_boundary", only="old|results/tables/gains", study="several"),
    Edit("rows of one of several data sets that are measured", "prepare_dataset:preferences", file="local/old-test.jsonl",
         spared="label_preferences", only=r"old|results/(decisions|tables|figures)", study="several"),
    Edit("rows of the first of several data sets", "prepare_dataset:preferences", file="local/test.jsonl",
         spared="label_preferences", never="old", study="several"),
    Edit("rows of the chat data", "prepare_dataset:chat make_demo_model", file="results/demo/world/chat_fair.jsonl",
         never=r"results/datasets/demo-(preferences|instructions)"),
    Edit("instructions", "prepare_dataset:instructions", file="results/demo/world/evaluation.jsonl",
         never="results/policies|results/candidates|results/boundary", spared="take_reference_outputs"),
    Edit("the hidden truth", f"{JUDGING} label_ranker_samples measure_label_accuracy describe_judge", file="results/demo/world/facts.json"),
    Edit("a policy's manifest", TRAINED, file="results/policies/tiny-mistral/sft/manifest.json",
         never=f"{OFF_POLICY_LABELS}|tiny-llama"),
    Edit("weights of an adapter are gone", "", file="results/policies/zephyr-7b/dpo/on/model.safetensors", gone=True, study="grouped"),
    Edit("a file inside a checkpoint folder", "", file="results/policies/tiny-mistral/sft/model.safetensors"),
    Edit("a ledger", "", file="results/candidates/tiny-mistral/sft/train.ledger.json"),
    Edit("a log is gone", "", file="results/logs/train_policy/tiny-mistral/dpo/off.log", gone=True),
    Edit("a benchmark is gone", "", file="results/benchmarks/train_policy/tiny-mistral/dpo/off.jsonl", gone=True),
    Edit("an intermediate file is gone", "", file="results/candidates/tiny-mistral/sft/train.parquet", gone=True),
    Edit("a decision", "trace_policy make_table", file="results/decisions/zephyr-7b/sft.json",
         only="results/traces/zephyr-7b/dpo/auto|results/tables", study="adaptive"),
    Edit("a decision is gone", "", file="results/decisions/zephyr-7b/sft.json", gone=True, study="adaptive"),
    Edit("a measurement is gone", "", file="results/boundary/zephyr-7b/sft.json", gone=True, study="adaptive"),
    Edit("a mixture", "compute_reference_logps train_policy trace_policy",
         file="results/mixtures/zephyr-7b/sft/mix50.parquet", only="mix50|results/tables", study="adaptive"),
    Edit("a judge's prompt", "describe_judge", file="local/prompt.txt", append="!", spared=LABELS_AND_COMPARISONS,
         only="/opined/|results/robustness", study="adaptive"),
    Edit("how long answers in words may be", "describe_judge", "judges: {other: {answer_tokens: 4096}}", spared=LABELS_AND_COMPARISONS,
         only="/opined/|results/robustness", study="adaptive"),
    Edit("answers of the judge in words", f"{PAGE} {JUDGING} make_table9 describe_judge", "judges: {demo-judge: {answers: words}}",
         spared="ask_second_opinion"),
    Edit("the program that compares", "compare_candidates make_second_opinion ask_second_opinion measure_boundary",
         file="workflow_scripts/compare_candidates.py", append="# A comment.\n", study="adaptive"),
    Edit("the program that compares arms", "compare_arms",
         file="workflow_scripts/compare_arms.py", append="# A comment.\n", study="paper"),
    Edit("what an arm's verdict is made of", "make_table",
         file="workflow_scripts/dpo_stages/evaluation/verdicts.py", append="# A comment.\n", study="paper"),
    Edit("what asks a judge", "label_preferences compare_candidates measure_boundary ask_second_opinion measure_judge",
         file="workflow_scripts/dpo_stages/preferences/judge.py", append="# A comment.\n", study="adaptive"),
    Edit("what opens PairRM", "fetch_preference_model",
         file="workflow_scripts/dpo_stages/preferences/pairrm/llm_blender.py", append="# A comment.\n", study="adaptive"),
    Edit("a table is gone", "make_table", file="results/tables/table3.csv", gone=True, study="paper"),
    Edit("the report is gone", "make_report", file="results/report.html", gone=True),
    *(
        Edit(f"{file} is touched", "", file=file, append="")
        for file in (
            "config.yaml",
            "workflow_scripts/train_policy.py",
            "workflow_scripts/dpo_stages/core/program.py",
            "envs/train.lock.txt",
            "results/demo/world/preferences_train.jsonl",
            "results/policies/tiny-mistral/sft/manifest.json",
            "results/candidates/tiny-mistral/sft/train.parquet",
            "results/tables/table3.csv",
        )
    ),
]  # fmt: skip


def finished(name: str, folder: Path, configuration: str, options: list[str], targets: list[str]) -> Study:
    """A study that stands finished, and takes what is in edit.yaml besides its configuration."""
    copy_workflow(folder)
    (folder / "study.yaml").write_text(configuration)
    (folder / "edit.yaml").write_text("{}")
    for edit in EDITS:
        if (edit.file or "").startswith("local/"):
            (folder / edit.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / edit.file).write_text("content")
    study = Study(folder, [*options, "study.yaml", "edit.yaml"], targets)
    besides = [edit.file for edit in EDITS if edit.study == name and (edit.file or "").startswith("results/")]
    stand_in_for_a_finished_run(study, besides)
    assert study.plan() == []
    assert not (folder / "results/run_config.yaml").exists()  # a dry run writes nothing
    return study


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    demo = ["--profile", "demo", "--configfile", "demo/config.yaml"]
    paper = ["--cores", "1", "--configfile"]
    return {
        "demo": finished("demo", tmp_path_factory.mktemp("demo"), DEMO, demo, ["all", SHEET]),
        "paper": finished("paper", tmp_path_factory.mktemp("paper"), PAPER, paper, ["results/tables/table3.csv"]),
        "adaptive": finished(
            "adaptive",
            tmp_path_factory.mktemp("adaptive"),
            ADAPTIVE,
            paper,
            ["results/tables/table3.csv", "results/robustness/zephyr-7b/sft.json"],
        ),
        "grouped": finished(
            "grouped", tmp_path_factory.mktemp("grouped"), GROUPED, paper, ["results/tables/table3.csv"]
        ),
        "several": finished(
            "several",
            tmp_path_factory.mktemp("several"),
            SEVERAL,
            paper,
            ["results/tables/gains.csv", "results/tables/data_sets.csv", "results/decisions/mine/sft.json"],
        ),
        "raced": finished(
            "raced",
            tmp_path_factory.mktemp("raced"),
            RACED,
            paper,
            ["results/decisions/zephyr-7b/sft.json", *GIVEN_AWAY],
        ),
    }


@pytest.fixture(scope="module")
def rules(studies):
    """Rules of each study."""
    return {name: {job.rule for job in study.plan("--forceall")} for name, study in studies.items()}


@pytest.fixture(scope="module")
def modules():
    """The files of dpo_stages that each program needs, by modulefinder."""
    programs = {path.stem: path for path in sorted((ROOT / "workflow_scripts").glob("*.py"))}
    programs["ask_second_opinion"] = programs["compare_candidates"]
    found = {}
    for name, program in programs.items():
        excluded = OTHER_KINDS[:1] if name in LABELLERS else OTHER_KINDS
        excluded = NETWORKS if name in ASKERS else excluded  # the yardstick is a judge
        finder = ModuleFinder(path=[str(ROOT / "workflow_scripts")], excludes=excluded)
        finder.run_script(str(program))
        found[name] = {module for module in finder.modules if module.startswith(("dpo_stages.", "dpo_boundary."))}
        found[name].add(program.stem)
    return found


@pytest.fixture(scope="module")
def followed(rules):
    """These nodes' rules, and of a study's all that read what they make, directly or through others."""

    def follow(nodes: str, study: str, spared: str = "") -> set[str]:
        found, waiting = set(), set(nodes.split())
        while waiting:
            node = waiting.pop()
            found.add(node)
            readers = {reader for reader in READERS[node].split() if reader.partition(":")[0] in rules[study]}
            not_read = NOT_READ[study][node].split() if node in NOT_READ.get(study, ()) else []
            waiting |= readers - found - set(spared.split()) - set(not_read)
        return {node.partition(":")[0] for node in found}

    return follow


def test_every_rule_has_its_place_here(rules):
    together = set().union(*rules.values())
    assert together <= {node.partition(":")[0] for node in READERS}
    assert together <= {rule.partition(":")[0] for rules in RULES_OF.values() for rule in rules.split()}


@pytest.mark.parametrize("edit", EDITS, ids=[edit.name for edit in EDITS])
def test_an_edit_reruns_what_it_touches(studies, followed, edit):
    study = studies[edit.study]
    file = edit.file or "edit.yaml"
    text = (study.folder / file).read_text() + edit.append if edit.file else edit.overlay
    with study.edited(file, None if edit.gone else text):
        plan = study.plan()
    assert {job.rule for job in plan} == followed(edit.reruns, edit.study, edit.spared)
    outputs = [path for job in plan for path in job.outputs]
    assert [path for path in outputs if not re.search(edit.only, path) or re.search(edit.never, path)] == []


def test_fewer_replicates_rerun_the_tables_alone(tmp_path):
    """With `auto` and without; where difficulties are fitted over policies, those and win rates as well."""
    study = finished(
        "three", tmp_path, f"{ADAPTIVE}\nreplicates: 3", ["--cores", "1", "--configfile"], ["results/tables/table3.csv"]
    )
    for fewer in (2, 1):
        with study.edited("edit.yaml", f"replicates: {fewer}"):
            assert {job.rule for job in study.plan()} == {"list_policies", "make_table"}


def files_of_programs():
    files = sorted(path for path in (ROOT / "workflow_scripts").rglob("*") if path.is_file())
    return [path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts]


def rules_that_run(program: str) -> list[str]:
    """The nodes whose program it is."""
    return [
        node
        for nodes in RULES_OF.values()
        for node in nodes.split()
        if program in PROGRAMS.get(rule := node.partition(":")[0], [rule])
    ]


@pytest.mark.parametrize("file", files_of_programs())
def test_a_file_of_the_programs_reruns_the_rules_that_use_it(studies, rules, followed, modules, file):
    """Tried in the first study that has a rule which uses it, or in one that has it for all sources; see STUDIES."""
    path = Path(file)
    name = path.relative_to("workflow_scripts").as_posix()
    module = name.removesuffix(".py").replace("/", ".")
    users = {program for program, needs in modules.items() if module in needs}
    nodes = [node for program in users for node in rules_that_run(program)]
    for study in STUDIES.get(path.stem, studies if nodes else DATA):
        touched = [node for node in nodes if node.partition(":")[0] in rules[study]]
        touched += DATA.get(study, {}).get(name, "").split()
        if touched:
            break
    text = (studies[study].folder / file).read_text()
    with studies[study].edited(file, text + "\n# A comment.\n"):
        plan = studies[study].plan()
    assert {job.rule for job in plan} == followed(" ".join(touched), study)


@pytest.mark.parametrize("profile", ["demo", "small", "slurm"])
def test_files_of_any_size_are_compared_by_content(profile):
    """Snakemake itself compares larger files than 1 MB by time, so that a touched or copied study would run again."""
    settings = yaml.safe_load((ROOT / profile / "profile.yaml").read_text())
    assert settings["max-checksum-file-size"] == "10GB"
    assert "rerun-triggers" not in settings  # each that there is


@pytest.mark.parametrize("env", RULES_OF)
def test_a_lock_reruns_the_rules_of_its_environment(studies, rules, followed, env):
    study = "paper" if env in ("vllm", "lm-eval") else "demo"
    file = f"envs/{env}.lock.txt"
    with studies[study].edited(file, (studies[study].folder / file).read_text() + "\n"):
        plan = studies[study].plan()
    nodes = [*RULES_OF[env].split(), "make_report"]
    nodes = [node for node in nodes if node.partition(":")[0] in rules[study]]
    assert {job.rule for job in plan} == followed(" ".join(nodes), study)
