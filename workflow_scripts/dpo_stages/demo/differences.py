"""What tells two responses apart, by the hidden quality."""

from dpo_stages.demo.quality import Assessment

SEVERAL = "several"
KINDS = ("repetition", "wrong value", "other subject", "stray words", "too short", SEVERAL)


def kind_of_difference(first: Assessment, second: Assessment) -> str:
    """What one of two responses of different quality has more of: one of `KINDS`.

    A false statement in the place of a true one is a wrong value alone, though fewer are right then. Too short is what has
    no end, or says or answers less and nothing else that is wrong.
    """

    def differ(*names: str) -> bool:
        return any(getattr(first, name) != getattr(second, name) for name in names)

    found = {
        "repetition": differ("repeated"),
        "wrong value": differ("wrong"),
        "other subject": differ("off_subject"),
        "stray words": differ("stray_words"),
        "too short": differ("unfinished") or (differ("right", "answered") and not differ("wrong", "off_subject")),
    }
    kinds = [kind for kind, there in found.items() if there]
    return kinds[0] if len(kinds) == 1 else SEVERAL
