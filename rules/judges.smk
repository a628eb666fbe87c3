"""The judge that evaluates: it compares outputs with those of a reference, or the candidates of two sources.

Required: outputs, what was asked; an endpoint, a model that the job serves itself, or a preference model.
Output:   results/evaluations/{judged}/annotations.json
"""

JUDGE_ENV = "pairrm" if study.judge["kind"] == "preference_model" else "alpaca-eval"
SERVED = study.judge["kind"] in ("vllm", "served")  # by the judging job itself
JUDGING_GPUS = needs.gpus("judging") if SERVED else 0

# How it is asked, where that is not as AlpacaEval asks its own
JUDGE_ASKED = in_command(judges.how_asked(study, config["evaluation"]["judge"]))

# The command that serves a judge, whose {port} and {workflow} are no wildcards, and the files that its answers stand on
if study.judge["kind"] == "vllm":
    JUDGE_MODEL = paths.base_model(study.judge["model"])
    SERVE_COMMAND = (
        f"{{workflow}}/envs/run {SAMPLER} {{workflow}}/workflow_scripts/serve_judge.py --model {JUDGE_MODEL}"
        f" --name {study.judge['model']} --dtype {study.dtype} --port {{port}}"
    )
    JUDGE_FILES = [JUDGE_MODEL, f"{PREFIX}workflow_scripts/serve_judge.py", f"{PREFIX}envs/{SAMPLER}.lock.txt"]
else:
    SERVE_COMMAND = study.judge["command"]
    JUDGE_FILES = study.identified_by(config["evaluation"]["judge"]) if SERVED else []


if study.judge["kind"] == "preference_model":

    rule judge_with_preference_model:
        input:
            outputs="results/evaluations/{judged}/model_outputs.json",
            instructions=study.instructions_of,
            preference_model=paths.preference_model(study.judge["model"]),
            program=program("judge_with_preference_model", "pairrm", without=JUDGES),
        output:
            "results/evaluations/{judged}/annotations.json",
        log:
            "results/logs/judge_with_preference_model/{judged}.log",
        benchmark:
            "results/benchmarks/judge_with_preference_model/{judged}.jsonl"
        conda:
            "../envs/pairrm.yaml"
        threads: needs.threads
        resources:
            gpu=needs.gpus("labelling"),
            mem_mb=needs.judging_memory,
            seconds=needs.expected(needs.judging_seconds),
            runtime=needs.limit(needs.judging_seconds),
        params:
            preference_model=flags.preference_model(study.judge["model"]),
        shell:
            f"{RUN} pairrm {SCRIPTS}/judge_with_preference_model.py"
            " --outputs {input.outputs:q}"
            " --instructions {input.instructions:q}"
            " --preference-model {input.preference_model:q}"
            " {params.preference_model}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"

else:

    # A judge that the job serves itself: what its command reads and runs must rerun the judging as well.
    rule judge_outputs:
        input:
            outputs="results/evaluations/{judged}/model_outputs.json",
            instructions=study.instructions_of,
            identified_by=JUDGE_FILES,
            prompt=judges.prompt(study, config["evaluation"]["judge"]),
            program=program("judge_outputs", "alpaca-eval"),
            server=program("serve_judge", SAMPLER) if study.judge["kind"] == "vllm" else [],
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
            mem_mb=needs.judging_memory,
            cents=needs.cents_per_policy,
            cents_per_million_tokens=needs.cents_per_million_tokens,
            seconds=needs.expected(needs.judging_seconds),
            runtime=needs.limit(needs.judging_seconds),
        params:
            model=study.judge["model"],
            base_url=study.judge["base_url"] or "none",
            api_key_variable=study.judge["api_key_variable"] or "none",
            api_key_header=study.judge["api_key_header"],
            refused=study.judge["refused"],
            thoughts=config["thoughts"],
            serve=lambda w, input: ["--serve", SERVE_COMMAND, "--identified-by", *input.identified_by] if SERVED else [],
        shell:
            f"{RUN} alpaca-eval {SCRIPTS}/judge_outputs.py"
            " --outputs {input.outputs:q}"
            " --instructions {input.instructions:q}"
            " --judge-model {params.model:q}"
            " --base-url {params.base_url:q}"
            " --api-key-variable {params.api_key_variable}"
            " --api-key-header {params.api_key_header}"
            " --refused {params.refused}"
            " --thoughts {params.thoughts}"
            f"{JUDGE_ASKED}"
            " {params.serve:q}"
            " --cents-per-million-tokens {resources.cents_per_million_tokens}"
            " --cache results/judge_cache/{wildcards.judged}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"
