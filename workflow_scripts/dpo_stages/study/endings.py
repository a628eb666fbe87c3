"""What is said when a run has made what it was asked for: where it is, and how a policy is loaded. Standard library only."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_POLICY = re.compile(r"(results/policies/.+)/(?:manifest\.json|README\.md)")
_PAGE = re.compile(r"results/.+\.(?:html|md)")


def last_words(targets: Iterable[str]) -> Iterator[str]:
    """Sentences on the files that a run was asked for.

    Args:
        targets: files, as they were asked for.
    """
    targets = sorted(targets)
    policies = list(dict.fromkeys(found.group(1) for target in targets if (found := _POLICY.fullmatch(target))))
    adapters = [policy for policy in policies if _is_adapter(Path(policy))]
    for policy in adapters:
        yield f"{policy}/adapter/ is what is kept of the policy; with its weights it is made by"
        yield f"    envs/run train workflow_scripts/merge_policy.py {policy}/manifest.json"
    whole = [policy for policy in policies if policy not in adapters]
    for policy in whole:
        yield f"{policy}/ is the policy, a folder that Transformers and vLLM load:"
    if whole:
        yield "    from transformers import AutoModelForCausalLM, AutoTokenizer"
        yield f'    model, tokenizer = (kind.from_pretrained("{whole[-1]}") for kind in (AutoModelForCausalLM, AutoTokenizer))'
    if pages := [target for target in targets if _PAGE.fullmatch(target)]:
        yield f"To read: {', '.join(pages)}"


def _is_adapter(policy: Path) -> bool:
    return (policy / "adapter").is_dir() and not any(policy.glob("model*.safetensors"))
