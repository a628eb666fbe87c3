"""Data sets: prompts with off-policy candidates, conversations for SFT, instructions for evaluation.

Required: a hub id or local files in `config["datasets"]`.
Output:   results/datasets/{dataset}/{split}.parquet
"""


rule prepare_dataset:
    input:
        rows=or_stop(contents.local_split(study, alone=ALONE)),
        program=program("prepare_dataset", "train"),
    output:
        "results/datasets/{dataset}/{split}.parquet",
    log:
        "results/logs/prepare_dataset/{dataset}/{split}.log",
    benchmark:
        "results/benchmarks/prepare_dataset/{dataset}/{split}.jsonl"
    priority: BEFORE_VERDICT  # what is wrong with it is to be known first
    localrule: True  # asks the internet
    conda:
        "../envs/train.yaml"
    params:
        kind=lambda w: config["datasets"][w.dataset]["kind"],
        adapter=lambda w: config["datasets"][w.dataset]["adapter"],
        source=lambda w, input: config["datasets"][w.dataset]["path"] or contents.file_or_folder(input.rows),
        revision=lambda w: config["datasets"][w.dataset]["revision"],
        content=lambda w: study.content("datasets", w.dataset),
        split=lambda w: config["datasets"][w.dataset]["splits"].get(w.split, w.split),
        columns=flags.columns,
        responses=lambda w: groups.of_data_sets(config, config["datasets"][w.dataset]["kind"]),
        duplicates=lambda w: config["datasets"][w.dataset]["duplicates"],
        limit=lambda w: config["datasets"][w.dataset]["limit"] or "none",
        seed=config["seeds"][0],
    shell:
        f"{RUN} train {SCRIPTS}/prepare_dataset.py"
        " --kind {params.kind}"
        " --adapter {params.adapter}"
        " --source {params.source:q}"
        " --revision {params.revision:q}"
        " --pin results/pins/datasets/{wildcards.dataset}.json"
        " --split {params.split:q}"
        " {params.columns:q}"
        " --duplicates {params.duplicates} {params.responses}"
        " --limit {params.limit}"
        " --seed {params.seed}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


# All that the study takes from elsewhere, for a cluster whose compute nodes have no internet.
rule fetch:
    input:
        contents.from_the_hub(study),
    localrule: True
