"""What the programs of the workflow share, by stage; docs/architecture.md says what lies where and what may import what.

core          how every program starts, fails and ends; files, tables, manifests, ledgers
study         a study as its configuration describes it, without Snakemake (standard library and jsonschema)
data          data sets and the schemas of every table
models        checkpoint folders and chat templates
training      SFT, preference optimisation, log-probabilities
sampling      responses of a policy
preferences   preference models
judges        judges behind an endpoint
evaluation    win rates
report        tables, figures, the page
demo          the demo's world
"""
