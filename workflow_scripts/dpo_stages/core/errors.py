"""The one exception that every program turns into a sentence and exit code 2."""


class BadInput(Exception):
    """The user's input is at fault. The message is one sentence that names the file or key and says what to do.

    It is one line whatever it quotes: characters that cannot be printed, such as a line break in a column's name or a
    terminal's escape codes, appear as Python writes them.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message))
