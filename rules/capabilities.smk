"""What policies can do beside pleasing a judge: accuracy on tasks of EleutherAI's lm-evaluation-harness.

Required: a policy; tasks of the harness or of a folder, and what they ask.
Output:   results/capabilities/tasks.json, results/capabilities/{policy}.json
"""

TASK_FLAGS = given(
    tasks=config["capabilities"]["tasks"],
    task_folder=[study.file(folder)] if (folder := config["capabilities"]["task_folder"]) else [],
)


rule fetch_tasks:
    input:
        program=program("fetch_tasks", "lm-eval"),
    output:
        capabilities.TASKS,
    log:
        "results/logs/fetch_tasks.log",
    priority: BEFORE_VERDICT  # what is wrong with them is to be known first
    localrule: True  # asks the internet
    conda:
        "../envs/lm-eval.yaml"
    params:
        tasks=TASK_FLAGS,
        content=lambda w: capabilities.content(study),
    shell:
        f"{RUN} lm-eval {SCRIPTS}/fetch_tasks.py"
        " {params.tasks:q}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


rule measure_capabilities:
    input:
        policy=lambda w: paths.policy(w.policy),
        tasks=capabilities.TASKS,
        program=program("measure_capabilities", "lm-eval"),
    output:
        "results/capabilities/{policy}.json",
    log:
        "results/logs/measure_capabilities/{policy}.log",
    benchmark:
        "results/benchmarks/measure_capabilities/{policy}.jsonl"
    conda:
        "../envs/lm-eval.yaml"
    threads: needs.threads
    resources:
        gpu=needs.gpus("sampling"),
        mem_mb=needs.inference_memory,
        seconds=needs.expected(capabilities.seconds(study, needs)),
        runtime=needs.limit(capabilities.seconds(study, needs)),
    params:
        tasks=TASK_FLAGS,
        settings=as_flags(config["capabilities"], ["limit", "fewshot", "batch_size"]),
        dtype=study.dtype,
        seed=study.seed_of,
    shell:
        f"{RUN} lm-eval {SCRIPTS}/measure_capabilities.py"
        " --policy {input.policy:q}"
        " --name {wildcards.policy}"
        " {params.tasks:q}"
        " {params.settings}"
        " --dtype {params.dtype} --seed {params.seed}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
