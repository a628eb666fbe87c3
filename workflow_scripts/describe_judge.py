"""Write the manifest of a judge behind an endpoint, so that label_preferences.py and compare_candidates.py can ask it."""

import argparse
from dataclasses import asdict
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import replacing_folder
from dpo_stages.core.manifests import MANIFEST, write_manifest
from dpo_stages.core.program import finish, run
from dpo_stages.judges.judge import Judge, add_judge_flags, answers_from
from dpo_stages.preferences.options import JUDGE_KIND


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--model", required=True, metavar="NAME", help="the judge, as its endpoint knows it")
    add("--base-url", metavar="URL", help="base URL of the endpoint, such as https://host/v1")
    add("--api-key-variable", metavar="NAME", help="environment variable that holds the API key, if there is one")
    add_judge_flags(parser)
    add("--output", type=Path, required=True, metavar="MANIFEST", help=f"…/{MANIFEST}")
    arguments = parser.parse_args()
    if (arguments.base_url is None) == (arguments.serve is None):
        raise BadInput("give either --base-url or --serve: where the judge is asked")
    if arguments.output.name != MANIFEST:
        raise BadInput(f"--output must end in {MANIFEST}; got {arguments.output}")
    judge = Judge(
        arguments.model,
        arguments.base_url,
        arguments.serve,
        arguments.identified_by,
        arguments.api_key_variable,
        arguments.api_key_header,
        arguments.refused,
        **answers_from(arguments),
    )
    with replacing_folder(arguments.output.parent) as folder:
        write_manifest(folder, {"kind": JUDGE_KIND, **asdict(judge)})
    finish(arguments.output, 1, 1, {}, judge=arguments.model)


if __name__ == "__main__":
    run(main)
