"""Evaluation: outputs for the instruction set, and win rates of what a judge said of them.

Required: a policy, an instruction set with reference outputs; annotations (judges.smk).
Output:   results/evaluations/{judged}/{model_outputs,win_rate}.json

What is judged is a policy, a length-gamed version of the reference, or for the quality of candidates (Appendix C.5) one
random candidate of a source against the chosen response of another.
"""


rule generate_evaluation_outputs:
    input:
        policy=lambda w: paths.policy(w.policy),
        instructions=INSTRUCTIONS,
        trained_on=lambda w: trained_on("evaluation", study.named_by(w).taught) if study.named_by(w).history else [],
        program=program("generate_evaluation_outputs", SAMPLER),
    output:
        shards.output("evaluations", "{policy}/model_outputs.json"),
    log:
        shards.log("evaluations", "results/logs/generate_evaluation_outputs/{policy}.log"),
    benchmark:
        shards.log("evaluations", "results/benchmarks/generate_evaluation_outputs/{policy}.jsonl")
    conda:
        f"../envs/{SAMPLER}.yaml"
    threads: needs.threads
    resources:
        gpu=needs.gpus("sampling"),
        mem_mb=needs.inference_memory,
        seconds=needs.expected(needs.generation_seconds),
        runtime=needs.limit(needs.generation_seconds),
    params:
        sampling=flags.sampling(),
        shared=flags.shared_prompts,
        dtype=study.dtype,
        seed=study.seed_of,
    shell:
        f"{RUN} {SAMPLER} {SCRIPTS}/generate_evaluation_outputs.py"
        " --policy {input.policy:q}"
        " --generator {wildcards.policy}"
        " --instructions {input.instructions:q}"
        " {params.sampling}"
        " {params.shared}"
        " --dtype {params.dtype}"
        " --seed {params.seed}"
        f"{flags.shard('evaluations')}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule take_reference_outputs:
    input:
        instructions=f"results/datasets/{study.instruction_set}/{{variant}}.parquet",
        program=program("take_reference_outputs", "workflow"),
    output:
        f"results/evaluations/{study.instruction_set}/{{variant}}/model_outputs.json",
    log:
        f"results/logs/take_reference_outputs/{study.instruction_set}/{{variant}}.log",
    wildcard_constraints:
        variant="verbose|concise",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    shell:
        f"{RUN} workflow {SCRIPTS}/take_reference_outputs.py"
        " --instructions {input.instructions:q}"
        f" --generator {study.instruction_set}/{{wildcards.variant}}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


# AlpacaEval publishes the difficulties of its own instructions. Those of any other set are fitted over one table's policies, or
# its win rates are plain ones.
FITTED_OVER, PLAIN = study.fitted_over, plain_win_rates.are_plain(study)
DIFFICULTY = (
    paths.evaluation(study.instruction_set, "difficulty.csv")
    if FITTED_OVER
    else [] if PLAIN else f"{PREFIX}workflow_scripts/dpo_stages/evaluation/alpaca_eval_data/df_gamed.csv"
)


rule compute_win_rate:
    input:
        annotations="results/evaluations/{judged}/annotations.json",
        difficulty=lambda w: [] if w.judged.startswith("quality/") else DIFFICULTY,
        program=program("compute_win_rate", "alpaca-eval"),
    output:
        win_rate="results/evaluations/{judged}/win_rate.json",
        resamples="results/evaluations/{judged}/win_rate_resamples.parquet",
    log:
        "results/logs/compute_win_rate/{judged}.log",
    localrule: True
    conda:
        "../envs/alpaca-eval.yaml"
    params:
        control=lambda w, input: (
            ["--gamed-baselines", input.difficulty]
            if input.difficulty
            else "--length-alone" if w.judged.startswith("quality/") else "--plain"
        ),
    shell:
        f"{RUN} alpaca-eval {SCRIPTS}/compute_win_rate.py"
        " --annotations {input.annotations:q}"
        " {params.control:q}"
        " --output {output.win_rate:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


if FITTED_OVER:

    rule fit_instruction_difficulty:
        input:
            annotations=expand("results/evaluations/{policy}/annotations.json", policy=FITTED_OVER),
            baselines=[
                f"results/evaluations/{study.instruction_set}/{variant}/annotations.json"
                for variant in ("verbose", "concise")
            ],
            program=program("fit_instruction_difficulty", "alpaca-eval"),
        output:
            f"results/evaluations/{study.instruction_set}/difficulty.csv",
        log:
            f"results/logs/fit_instruction_difficulty/{study.instruction_set}.log",
        localrule: True
        conda:
            "../envs/alpaca-eval.yaml"
        shell:
            f"{RUN} alpaca-eval {SCRIPTS}/fit_instruction_difficulty.py"
            " --annotations {input.annotations:q}"
            " --verbose {input.baselines[0]:q}"
            " --concise {input.baselines[1]:q}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"

    # Difficulties that were fitted over policies change with any of them, and all their win rates with those: one job.
    rule compute_fitted_win_rates:
        input:
            annotations=expand("results/evaluations/{policy}/annotations.json", policy=FITTED_OVER),
            difficulty=DIFFICULTY,
            program=program("compute_win_rate", "alpaca-eval"),
        output:
            win_rates=expand("results/evaluations/{policy}/win_rate.json", policy=FITTED_OVER),
            resamples=expand("results/evaluations/{policy}/win_rate_resamples.parquet", policy=FITTED_OVER),
        log:
            f"results/logs/compute_win_rate/{study.instruction_set}.log",
        localrule: True
        conda:
            "../envs/alpaca-eval.yaml"
        shell:
            f"{RUN} alpaca-eval {SCRIPTS}/compute_win_rate.py"
            " --annotations {input.annotations:q}"
            " --gamed-baselines {input.difficulty:q}"
            " --output {output.win_rates:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"

    ruleorder: compute_fitted_win_rates > compute_win_rate


rule draw_quality_pairs:
    input:
        candidates=lambda w: study.candidates(w.origin, "train"),
        preferences="results/preferences/{against}/train.parquet",
        program=program("draw_quality_pairs", "workflow"),
    output:
        instructions="results/evaluations/quality/{origin}/against/{against}/instructions.parquet",
        outputs="results/evaluations/quality/{origin}/against/{against}/model_outputs.json",
    log:
        "results/logs/draw_quality_pairs/{origin}/against/{against}.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        prompts=config["quality"]["prompts"],
        seed=config["seeds"][0],
    shell:
        f"{RUN} workflow {SCRIPTS}/draw_quality_pairs.py"
        " --candidates {input.candidates:q}"
        " --preferences {input.preferences:q}"
        " --generator {wildcards.origin}"
        " --prompts {params.prompts}"
        " --seed {params.seed}"
        " --instructions {output.instructions:q}"
        " --output {output.outputs:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
