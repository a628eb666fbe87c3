"""What the programs of the workflow share.

Nothing is imported here, so that `import dpo_stages.boundary` needs no more than that module does:

    policies      names of policies and candidate sources: the path grammar (standard library only)
    settings      validation of the configuration (standard library and jsonschema)
    program       how every program starts, fails and ends: exit codes, progress, summary line, ledger
    provenance    where an output came from, as the ledger tells
    files         reading with clear errors, writing whole files or none, checkpoint manifests
    schemas       the columns of every Parquet table
    prompts       prompt identifiers and per-request seeds
"""
