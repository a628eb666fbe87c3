"""Which preference data should a language model train on next: responses that others wrote, or its own?

    comparisons   Algorithm 1's comparisons as columns that are checked
    reading       the same from CSV, JSON Lines and Parquet files
    measurement   the boundary score and its interval; block by block where samples are dear
    result        what it recommends, as JSON and in words
    blocks        nested blocks of prompts in a seeded order
    intervals     the intervals behind it: clustered, exact, and anytime-valid
    robustness    the decision on parts of the comparisons and under other preference models
    consistency   what the policy's own likelihoods say of the comparisons
    mixtures      how many prompts of each source a score between the two suggests
    cli           the command measure-boundary

Needs numpy and scipy; reading Parquet needs pyarrow. What stands here is imported when it is first used.
"""

from importlib import import_module

_MODULE_OF = {
    "BadInput": "errors",
    "BoundaryMeasurement": "result",
    "Comparisons": "comparisons",
    "Look": "robustness",
    "as_comparisons": "comparisons",
    "look_again": "robustness",
    "measure_boundary": "measurement",
    "measure_in_blocks": "measurement",
    "read_comparisons": "reading",
}
__all__ = [*_MODULE_OF]  # __init__.pyi has their types


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
