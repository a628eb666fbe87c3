"""What is said when a run has made what it was asked for: where it is, and how a policy is loaded. Standard library only."""

import re
from collections.abc import Iterable, Iterator

_POLICY = re.compile(r"(results/policies/.+)/(?:manifest\.json|README\.md)")
_PAGE = re.compile(r"results/.+\.(?:html|md)")


def last_words(targets: Iterable[str]) -> Iterator[str]:
    """Sentences on the files that a run was asked for.

    Args:
        targets: files, as they were asked for.
    """
    targets = sorted(targets)
    policies = list(dict.fromkeys(found.group(1) for target in targets if (found := _POLICY.fullmatch(target))))
    for policy in policies:
        yield f"{policy}/ is the policy, a folder that Transformers and vLLM load:"
    if policies:
        yield "    from transformers import AutoModelForCausalLM, AutoTokenizer"
        yield f'    model, tokenizer = (kind.from_pretrained("{policies[-1]}") for kind in (AutoModelForCausalLM, AutoTokenizer))'
    if pages := [target for target in targets if _PAGE.fullmatch(target)]:
        yield f"To read: {', '.join(pages)}"
