"""The book's figure style, in one place.

A figure is stored in a notebook as SVG and compared byte for byte, so nothing in it may vary: no date, no random ids,
no font of the machine (text is drawn as paths of the DejaVu Sans that Matplotlib ships). It has no background of its
own and carries a style sheet that turns its ink light on dark pages, so one figure serves both themes.
"""

import io
import re

import matplotlib as mpl
from cycler import cycler
from IPython.core.getipython import get_ipython
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

__all__ = [
    "AMBER",
    "BLUE",
    "COLORS",
    "FAINT",
    "GREEN",
    "INK",
    "LINESTYLES",
    "MARKERS",
    "PAPER",
    "PURPLE",
    "SKY",
    "VERMILLION",
    "figure_svg",
    "use_book_style",
]

# The hues of Okabe and Ito, told apart with every common kind of color blindness. Sky, amber and purple are darker
# than theirs: every color has a contrast of at least 3 to 1 with the white page and with the dark one.
BLUE = "#0077bb"
VERMILLION = "#d55e00"
GREEN = "#00936b"
PURPLE = "#b8669a"
AMBER = "#a87800"
SKY = "#2f8fc4"
COLORS = (BLUE, VERMILLION, GREEN, PURPLE, AMBER, SKY)

# Color never stands alone: line n differs in dashes too, and marker n goes with color n.
LINESTYLES = ("-", (0, (6, 2)), (0, (6, 2, 1.2, 2)), (0, (1.2, 1.6)), (0, (9, 3)), (0, (6, 2, 1.2, 2, 1.2, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P")

# These three change with the theme: text and axes, grid lines, and the color of the page itself.
INK = "#222832"
FAINT = "#d0d0d1"
PAPER = "#fefefe"
_ON_DARK = {INK: "#ced6dd", FAINT: "#41474f", PAPER: "#121212"}


def use_book_style() -> None:
    """Give every figure of this session the book's style, and a notebook's figures as SVG only.

    Examples
    --------
    >>> from logitkit import plotting
    >>> plotting.use_book_style()
    """
    mpl.rcdefaults()  # a reader's own matplotlibrc would change the stored figures
    mpl.rcParams.update(
        {
            "figure.figsize": (5.6, 3.4),
            "figure.constrained_layout.use": True,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            # On a phone a figure shrinks to about 60 %: 12 points are then still 9.6 pixels high.
            "font.family": "DejaVu Sans",
            "font.size": 12,
            "axes.titlesize": 12,
            "axes.labelsize": 12,
            "xtick.labelsize": 11,
            "ytick.labelsize": 11,
            "legend.fontsize": 11,
            "legend.frameon": False,
            "legend.handlelength": 2.8,
            "text.color": INK,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.titlecolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "patch.edgecolor": INK,
            "hatch.color": INK,
            "boxplot.flierprops.color": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": FAINT,
            "lines.linewidth": 2,
            "lines.markersize": 6,
            "axes.prop_cycle": cycler(color=COLORS) + cycler(linestyle=LINESTYLES),
            "svg.fonttype": "path",
            "svg.hashsalt": "logits",
        }
    )
    shell = get_ipython()
    if shell is not None and shell.display_formatter is not None:
        plt.switch_backend("module://matplotlib_inline.backend_inline")  # registers its PNG first; ours replaces it
        formatters = shell.display_formatter.formatters
        for formatter in formatters.values():
            formatter.pop(Figure, None)
        formatters["image/svg+xml"].for_type(Figure, figure_svg)


def figure_svg(figure: Figure) -> str:
    """Return a figure as SVG text: the same bytes on every run, legible on light and on dark pages.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        A figure drawn after :func:`use_book_style`.

    Returns
    -------
    str
        The SVG document.
    """
    file = io.StringIO()
    unset = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", bbox_inches="tight", pad_inches=0.05, metadata=unset)
    svg = file.getvalue()
    # An SVG in an <img> sees no style of the page, but it does see the color scheme that the page's theme has chosen.
    rules = "".join(
        f'[style*="{attribute}: {light}"]{{{attribute}:{dark}!important}}'
        for light, dark in _ON_DARK.items()
        for attribute in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>"
    return re.sub(r"(<svg[^>]*>)", lambda opening: opening[1] + style, svg, count=1)
