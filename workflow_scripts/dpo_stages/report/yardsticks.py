"""What "which arm is better" may be measured with. Standard library only.

Three yardsticks, which differ. The preference model that labels is what the boundary score is relative to. The judge's win
rate is what a user of the policy is nearest to. The length-controlled one takes out what length alone wins, which needs
length-gamed references that are as good as the reference: where they are not it is not valid, and the plain one leads.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Yardstick:
    """A yardstick.

    Attributes:
        name: in columns; the intervals of a level over instructions and over runs are called so, too.
        words: in sentences.
        label: above columns that people read.
        level: the column of a row that has a policy's own figure; None where arms are compared with each other alone.
        gain: the column of a row that has an arm's gain; None likewise.
        compared: the column of a row that holds the off-policy arm against the on-policy arm.
        even: its value where neither is better.
        unit: of that column.
    """

    name: str
    words: str
    label: str
    level: str | None
    gain: str | None
    compared: str
    even: float
    unit: str


PREFERENCE_MODEL = Yardstick(
    name="preference_model",
    words="the preference model",
    label="Preference model",
    level=None,
    gain=None,
    compared="verdict",
    even=50.0,
    unit="%",
)
WIN_RATE = Yardstick(
    name="win_rate",
    words="win rate",
    label="Win Rate",
    level="win_rate",
    gain="win_rate_gain",
    compared="win_rate_difference",
    even=0.0,
    unit="points",
)
LC_WIN_RATE = Yardstick(
    name="lc",
    words="length-controlled win rate",
    label="LC Win Rate",
    level="lc_win_rate",
    gain="gain",
    compared="difference",
    even=0.0,
    unit="points",
)
YARDSTICKS = (PREFERENCE_MODEL, WIN_RATE, LC_WIN_RATE)


def yardsticks(lc_valid: bool | None) -> tuple[Yardstick, Yardstick, Yardstick]:
    """The preference model, then the judge's win rate that leads, then the other; see `leading`."""
    first = leading(lc_valid)
    return PREFERENCE_MODEL, first, WIN_RATE if first is LC_WIN_RATE else LC_WIN_RATE


def leading(lc_valid: bool | None) -> Yardstick:
    """What stands first in tables and figures: the plain win rate where length control was found not to be valid."""
    return WIN_RATE if lc_valid is False else LC_WIN_RATE


def described(yardstick: Yardstick, lc_valid: bool | None) -> str:
    """A yardstick in a sentence, and that it is not valid here."""
    return yardstick.words + (" (not valid here)" if yardstick is LC_WIN_RATE and lc_valid is False else "")


def labelled(yardstick: Yardstick, lc_valid: bool | None) -> str:
    """The same above a column."""
    return yardstick.label + (" (not valid)" if yardstick is LC_WIN_RATE and lc_valid is False else "")
