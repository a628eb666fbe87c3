"""Is on-policy data always the best choice for DPO-based alignment?

snakemake --profile demo  results/tables/table3.csv      a laptop, in minutes
snakemake --profile slurm results/tables/table3.csv      the paper's study on a cluster
"""

from snakemake.utils import min_version

min_version("9.27")


# A study of one's own, whose file names a preset, is completed in rules/common.smk.
if not config.get("preset"):

    configfile: f"{workflow.basedir}/config.yaml"


include: "rules/common.smk"
include: "rules/shards.smk"
include: "rules/data.smk"
include: "rules/models.smk"
include: "rules/reference_logps.smk"
include: "rules/candidates.smk"
include: "rules/preferences.smk"
include: "rules/held_out.smk"
include: "rules/pairs.smk"
include: "rules/boundary.smk"
include: "rules/robustness.smk"
include: "rules/races.smk"
include: "rules/sources.smk"
include: "rules/exports.smk"
include: "rules/judges.smk"
include: "rules/evaluation.smk"
include: "rules/arms.smk"
include: "rules/capabilities.smk"
include: "rules/audits.smk"
include: "rules/length_control.smk"
include: "rules/analysis.smk"
include: "rules/tables.smk"
include: "rules/analysis_tables.smk"
include: "rules/data_sets.smk"
include: "rules/appendix.smk"
include: "rules/plan.smk"
include: "rules/report.smk"


if "demo_world" in config:

    include: "rules/demo.smk"


rule all:
    default_target: True
    input:
        "results/report.html",  # and with it every table, and every figure as SVG
        expand("results/figures/{figure}.png", figure=REPORT_FIGURES),


if workflow.is_main_process and ALONE and (unmade := guards.reasons_not_to_plan(workflow, config)):
    print(*unmade, sep="\n", file=sys.stderr)
    sys.exit(2)


watch = Watch(lambda: guards.running(workflow))


onstart:
    guards.start_jobs_at_once(workflow)
    if workflow.is_main_process:
        # Imported by the main process alone, once a run.
        from dpo_stages.preflight import check
        from dpo_stages.preflight.data import Data
        from dpo_stages.preflight.jobs import Jobs

        looked_at = check.reasons_not_to_start(Data(study, Jobs(guards.planned(workflow))))
        if reasons := [*contents.missing_files(study), *guards.reasons_not_to_start(workflow), *looked_at]:
            print(*dict.fromkeys(reasons), sep="\n", file=sys.stderr)
            sys.exit(2)
        write_text(
            guards.RUN_CONFIG,
            yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False, allow_unicode=True),
        )
        guards.mark_unfinished(workflow)
        guards.tell_failures_at_once(workflow)
        telling.tell_progress(
            workflow, RunProgress(read_yaml("demo/seconds.yaml") if "demo_world" in config else {})
        )
        watch.start()


onsuccess:
    watch.stop()
    if workflow.is_main_process:
        for words in endings.last_words(guards.targets(workflow)):
            print(words, file=sys.stderr)


onerror:
    watch.stop()
    if workflow.is_main_process:
        guards.mark_unfinished(workflow)  # jobs, too, that a decision of `auto` has added since
        guards.mark_readers_of_unfinished(workflow)
        for failure in guards.failures(workflow):
            print(failure, file=sys.stderr)
