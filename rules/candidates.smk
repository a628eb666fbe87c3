"""Candidates that are sampled from a policy.

Required: a policy, the prompts of a preference data set.
Output:   results/candidates/{sampled}/{split}.parquet
"""


rule sample_candidates:
    input:
        policy=lambda w: paths.policy(w.sampled),
        prompts=lambda w: study.off_policy(w.split, w.sampled),
        trained_on=lambda w: trained_on(w.split, w.sampled),
        program=program("sample_candidates", SAMPLER),
    output:
        shards.output("candidates", "{sampled}/{split}.parquet"),
    log:
        shards.log("candidates", "results/logs/sample_candidates/{sampled}/{split}.log"),
    benchmark:
        shards.log("candidates", "results/benchmarks/sample_candidates/{sampled}/{split}.jsonl")
    priority: lambda w: SAMPLES_FOR_VERDICT * (w.split == config["boundary"]["split"])
    conda:
        f"../envs/{SAMPLER}.yaml"
    threads: needs.threads
    resources:
        gpu=needs.gpus("sampling"),
        mem_mb=needs.inference_memory,
        seconds=needs.expected(needs.sampling_seconds),
        runtime=needs.limit(needs.sampling_seconds),
    params:
        sampling=flags.sampling() + flags.candidates(),
        shared=flags.shared_prompts,
        dtype=study.dtype,
        seed=study.seed_of,
        name=study.plain_name,
    shell:
        f"{RUN} {SAMPLER} {SCRIPTS}/sample_candidates.py"
        " --policy {input.policy:q}"
        " --prompts {input.prompts:q}"
        " {params.sampling}"
        " {params.shared}"
        " --dtype {params.dtype}"
        " --seed {params.seed}"
        " --name {params.name}"
        f"{flags.shard('candidates')}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
