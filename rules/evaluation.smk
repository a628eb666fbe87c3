"""Evaluation: outputs for the instruction set, a judge that compares them with the reference, win rates.

Required: a policy, an instruction set with reference outputs, a judge.
Output:   results/evaluations/{judged}/{model_outputs,annotations,win_rate}.json

What is judged is a policy, a length-gamed version of the reference, or the candidates of a source (quality.smk).
"""


rule generate_evaluation_outputs:
    input:
        policy=lambda w: manifest(w.policy),
        instructions=INSTRUCTIONS,
        trained_on=trained_on("evaluation"),
        program=program("generate_evaluation_outputs", SAMPLER),
    output:
        sharded("evaluations", "{policy}/model_outputs.json"),
    log:
        sharded_log("evaluations", "results/logs/generate_evaluation_outputs/{policy}.log"),
    benchmark:
        sharded_log("evaluations", "results/benchmarks/generate_evaluation_outputs/{policy}.jsonl")
    conda:
        f"../envs/{SAMPLER}.yaml"
    resources:
        gpu=gpus("sampling"),
        mem_mb=inference_memory,
        seconds=expected(generation_seconds),
        runtime=limit(generation_seconds),
    params:
        sampling=sampling_flags(),
        shared=shared_prompts_flags,
        dtype=DTYPE,
        seed=seed_of,
    shell:
        f"envs/run {SAMPLER} workflow_scripts/generate_evaluation_outputs.py"
        " --policy {input.policy:q}"
        " --generator {wildcards.policy}"
        " --instructions {input.instructions:q}"
        " {params.sampling}"
        " {params.shared}"
        " --dtype {params.dtype}"
        " --seed {params.seed}"
        f"{shard_flag('evaluations')}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule take_reference_outputs:
    input:
        instructions=f"results/datasets/{INSTRUCTION_SET}/{{variant}}.parquet",
        program=program("take_reference_outputs", "workflow"),
    output:
        f"results/evaluations/{INSTRUCTION_SET}/{{variant}}/model_outputs.json",
    log:
        f"results/logs/take_reference_outputs/{INSTRUCTION_SET}/{{variant}}.log",
    wildcard_constraints:
        variant="verbose|concise",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    shell:
        "envs/run workflow workflow_scripts/take_reference_outputs.py"
        " --instructions {input.instructions:q}"
        f" --generator {INSTRUCTION_SET}/{{wildcards.variant}}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


if JUDGE["kind"] == "preference_model":

    rule judge_with_preference_model:
        input:
            outputs="results/evaluations/{judged}/model_outputs.json",
            instructions=instructions_of,
            preference_model=f"results/preference_models/{JUDGE['model']}/manifest.json",
            program=program("judge_with_preference_model", "pairrm", without=JUDGES),
        output:
            "results/evaluations/{judged}/annotations.json",
        log:
            "results/logs/judge_with_preference_model/{judged}.log",
        benchmark:
            "results/benchmarks/judge_with_preference_model/{judged}.jsonl"
        conda:
            "../envs/pairrm.yaml"
        resources:
            gpu=gpus("labelling"),
            mem_mb=judging_memory,
            seconds=expected(judging_seconds),
            runtime=limit(judging_seconds),
        params:
            preference_model=preference_model_flags(JUDGE["model"]),
        shell:
            "envs/run pairrm workflow_scripts/judge_with_preference_model.py"
            " --outputs {input.outputs:q}"
            " --instructions {input.instructions:q}"
            " --preference-model {input.preference_model:q}"
            " {params.preference_model}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"

else:

    JUDGING_GPUS = gpus("judging") if SERVED else 0

    # A judge that the job serves itself: what its command reads and runs must rerun the judging as well.
    rule judge_outputs:
        input:
            outputs="results/evaluations/{judged}/model_outputs.json",
            instructions=instructions_of,
            stands_on=judge_stands_on() if SERVED else [],
            program=program("judge_outputs", "alpaca-eval"),
            server=program("serve_judge", SAMPLER) if JUDGE["kind"] == "vllm" else [],
        output:
            "results/evaluations/{judged}/annotations.json",
        log:
            "results/logs/judge_outputs/{judged}.log",
        benchmark:
            "results/benchmarks/judge_outputs/{judged}.jsonl"
        localrule: not JUDGING_GPUS  # an API is asked from where the internet is
        conda:
            "../envs/alpaca-eval.yaml"
        resources:
            gpu=JUDGING_GPUS,
            mem_mb=judging_memory,
            cents=CENTS_PER_POLICY,
            cents_per_million_tokens=CENTS_PER_MILLION_TOKENS,
            seconds=expected(judging_seconds),
            runtime=limit(judging_seconds),
        params:
            model=JUDGE["model"],
            base_url=JUDGE["base_url"] or "none",
            api_key_variable=JUDGE["api_key_variable"] or "none",
            serve=lambda w, input: ["--serve", serve_command(w), "--stands-on", *input.stands_on] if SERVED else [],
        shell:
            "envs/run alpaca-eval workflow_scripts/judge_outputs.py"
            " --outputs {input.outputs:q}"
            " --instructions {input.instructions:q}"
            " --judge-model {params.model:q}"
            " --base-url {params.base_url:q}"
            " --api-key-variable {params.api_key_variable}"
            " {params.serve:q}"
            " --cents-per-million-tokens {resources.cents_per_million_tokens}"
            " --cache results/judge_cache/{wildcards.judged}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"


# AlpacaEval publishes the difficulties of its own instructions. Those of any other set are fitted over one table's policies.
FITTED_OVER = (
    policies_of_table(config["evaluation"]["fit_difficulty_over"])
    if config["evaluation"]["fit_difficulty_over"]
    else []
)
DIFFICULTY = (
    f"results/evaluations/{INSTRUCTION_SET}/difficulty.csv"
    if FITTED_OVER
    else "workflow_scripts/alpaca_eval_data/df_gamed.csv"
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
        control=lambda w, input: ["--gamed-baselines", input.difficulty] if input.difficulty else "--length-alone",
    shell:
        "envs/run alpaca-eval workflow_scripts/compute_win_rate.py"
        " --annotations {input.annotations:q}"
        " {params.control:q}"
        " --output {output.win_rate:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


if FITTED_OVER:

    rule fit_instruction_difficulty:
        input:
            annotations=expand("results/evaluations/{policy}/annotations.json", policy=FITTED_OVER),
            baselines=[
                f"results/evaluations/{INSTRUCTION_SET}/{variant}/annotations.json"
                for variant in ("verbose", "concise")
            ],
            program=program("fit_instruction_difficulty", "alpaca-eval"),
        output:
            f"results/evaluations/{INSTRUCTION_SET}/difficulty.csv",
        log:
            f"results/logs/fit_instruction_difficulty/{INSTRUCTION_SET}.log",
        localrule: True
        conda:
            "../envs/alpaca-eval.yaml"
        shell:
            "envs/run alpaca-eval workflow_scripts/fit_instruction_difficulty.py"
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
            f"results/logs/compute_win_rate/{INSTRUCTION_SET}.log",
        localrule: True
        conda:
            "../envs/alpaca-eval.yaml"
        shell:
            "envs/run alpaca-eval workflow_scripts/compute_win_rate.py"
            " --annotations {input.annotations:q}"
            " --gamed-baselines {input.difficulty:q}"
            " --output {output.win_rates:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"

    ruleorder: compute_fitted_win_rates > compute_win_rate
