"""Evaluation: outputs for the instruction set, a judge that compares them with the reference, win rates.

Required: a policy, an instruction set with reference outputs, a judge.
Output:   results/evaluations/{policy}/{model_outputs,annotations,win_rate}.json
"""


rule generate_evaluation_outputs:
    input:
        policy=lambda w: manifest(w.policy),
        instructions=INSTRUCTIONS,
        program=program("generate_evaluation_outputs", SAMPLER),
    output:
        "results/evaluations/{policy}/model_outputs.json",
    params:
        sampling=sampling_flags(),
        dtype=DTYPE,
        seed=seed_of,
    log:
        "results/logs/generate_evaluation_outputs/{policy}.log",
    benchmark:
        "results/benchmarks/generate_evaluation_outputs/{policy}.jsonl"
    resources:
        gpu=gpus("sampling"),
        mem_mb=inference_memory,
        runtime=inference_time,
    conda:
        f"../envs/{SAMPLER}.yaml"
    shell:
        f"envs/run {SAMPLER} workflow_scripts/generate_evaluation_outputs.py"
        " --policy {input.policy:q}"
        " --generator {wildcards.policy}"
        " --instructions {input.instructions:q}"
        " {params.sampling}"
        " --dtype {params.dtype}"
        " --seed {params.seed}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
