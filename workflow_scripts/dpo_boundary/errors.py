"""The exceptions that are the user's fault."""


class BadInput(ValueError):
    """What was given cannot be measured. The message is one sentence that says what to do.

    It is one line whatever it quotes: characters that cannot be printed appear as Python writes them.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message))


class NoComparisons(BadInput):
    """A table is as it should be, and there is nothing in it."""
