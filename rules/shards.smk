"""Wide stages run as several jobs, each on a shard of the rows; here their outputs are joined.

Required: `resources.shards` above 1 for a stage; the shards' files with their ledgers.
Output:   results/{candidates,preferences,comparisons,second_opinions,reference_logps}/….parquet,
          results/evaluations/{policy}/model_outputs.json
"""


scattergather:
    **shards.numbers,


rule gather_shards:
    input:
        shards=lambda w: shards.files(w, gather),
        program=program("gather_shards", "workflow"),
    output:
        "results/{kind}/{name}.{suffix}",
    log:
        "results/logs/gather_shards/{kind}/{name}.{suffix}.log",
    wildcard_constraints:
        kind=one_of(kind for kind in paths.STAGE_OF if shards.of(kind) > 1),
        name=rf"(?:(?:{patterns.opinion})/)?(?:{patterns.policy}|{patterns.origin}|{patterns.labelled})/(?:train|test|pooled|model_outputs|{patterns.source})",
        suffix="parquet|json",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    shell:
        f"{RUN} workflow {SCRIPTS}/gather_shards.py"
        " --shards {input.shards:q}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
