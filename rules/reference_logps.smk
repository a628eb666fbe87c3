"""Log-probabilities of the pairs under the policy that trains on them, so that no reference model is in memory beside it.

Required: the initial policy, its preferences.
Output:   results/reference_logps/{initial}/{source}.parquet
"""


rule compute_reference_logps:
    input:
        policy=lambda w: paths.policy(w.initial),
        preferences=lambda w: study.preferences(w.initial, w.source),
        program=program("compute_reference_logps", "train"),
    output:
        shards.output("reference_logps", "{initial}/{source}.parquet"),
    log:
        shards.log("reference_logps", "results/logs/compute_reference_logps/{initial}/{source}.log"),
    benchmark:
        shards.log("reference_logps", "results/benchmarks/compute_reference_logps/{initial}/{source}.jsonl")
    conda:
        "../envs/train.yaml"
    threads: needs.threads
    resources:
        gpu=needs.gpus("sampling"),
        mem_mb=needs.inference_memory,
        seconds=needs.expected(needs.reference_seconds),
        runtime=needs.limit(needs.reference_seconds),
    params:
        scoring=flags.scoring(),
    shell:
        f"{RUN} train {SCRIPTS}/compute_reference_logps.py"
        " --policy {input.policy:q}"
        " --preferences {input.preferences:q}"
        " {params.scoring}"
        f"{flags.shard('reference_logps')}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
