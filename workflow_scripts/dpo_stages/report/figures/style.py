"""Colours of the figures, and how a figure is saved."""

from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which stay apart for colour-blind readers, those with the most contrast on white first
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P")
PAPER_COLOUR, SHADE, INK, MUTED = "#8a8a8a", "#e8f1e4", "#222222", "#666666"


def save(figure: "Figure", path: Path, kind: str) -> None:
    """Write the figure as `svg` or `png`, the same bytes for the same points."""
    from matplotlib import rc_context

    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "boundary"}):
        figure.savefig(path, format=kind, dpi=160, metadata=metadata, facecolor="white")


def save_both(figure: "Figure", svg: Path, png: Path) -> None:
    """Write the figure as SVG and as PNG, each whole or not at all."""
    for path, kind in ((svg, "svg"), (png, "png")):
        with replacing(path) as temporary:
            save(figure, temporary, kind)
