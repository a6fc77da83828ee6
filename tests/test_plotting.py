"""The figure style: the same bytes everywhere, legible in both themes, never PNG."""

import itertools
import os
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from logitkit import plotting

LIGHT_PAGE, DARK_PAGE = "#ffffff", "#121212"  # the theme's backgrounds

DRAW = """
import sys
import numpy as np
import matplotlib.pyplot as plt
from logitkit import plotting

plotting.use_book_style()
figure, axes = plt.subplots()
x = np.linspace(-4, 4, 50)
axes.plot(x, x, label="one")
axes.plot(x, x**2, marker="o", label="$x^2$")
axes.fill_between(x, x, x**2, alpha=0.3, hatch="//")
axes.scatter(x, -x, rasterized=True)
axes.legend()
sys.stdout.write(plotting.figure_svg(figure))
"""


@pytest.fixture
def figure():
    plotting.use_book_style()
    figure, axes = plt.subplots()
    axes.plot([0, 1], [0, 1])
    axes.set(xlabel="log-odds", ylabel="probability")
    yield figure
    plt.close(figure)


def luminance(color: str) -> float:
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """Contrast ratio as WCAG 2.2 defines it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_figure_is_the_same_in_every_process_whatever_the_readers_settings(tmp_path):
    readers = tmp_path / "matplotlibrc"
    readers.write_text("lines.linewidth: 9\nfont.family: serif\n")
    drawn = {
        subprocess.run(
            [sys.executable, "-c", DRAW],
            env={**os.environ, "MPLBACKEND": "agg", "PYTHONHASHSEED": seed, **settings},
            capture_output=True,
            check=True,
        ).stdout
        for seed, settings in (("1", {"MATPLOTLIBRC": str(readers)}), ("2", {}))
    }
    assert len(drawn) == 1


def test_figure_names_no_date_no_program_and_no_font_of_the_machine(figure):
    svg = plotting.figure_svg(figure)
    for trace in ("dc:date", "dc:creator", "Matplotlib v", "font-family", "<text"):
        assert trace not in svg


def test_figure_has_no_background_and_turns_its_ink_on_dark_pages(figure):
    svg = plotting.figure_svg(figure)
    assert "@media (prefers-color-scheme:dark)" in svg
    assert "#ffffff" not in svg
    for attribute in ("fill", "stroke"):
        assert f"{attribute}: {plotting.INK}" in svg  # what the dark rule selects is really written this way
        assert f'[style*="{attribute}: {plotting.INK}"]' in svg
    assert f"stroke: {plotting.FAINT}" in svg


@pytest.mark.parametrize("page", [LIGHT_PAGE, DARK_PAGE])
@pytest.mark.parametrize("color", plotting.COLORS)
def test_every_line_stands_out_from_the_page(color, page):
    assert contrast(color, page) >= 3


@pytest.mark.parametrize(("color", "page"), [(plotting.INK, LIGHT_PAGE), (plotting._ON_DARK[plotting.INK], DARK_PAGE)])
def test_text_is_legible(color, page):
    assert contrast(color, page) >= 7


def test_page_colour_is_the_page_in_the_dark():
    assert plotting._ON_DARK[plotting.PAPER] == DARK_PAGE


def test_colour_never_stands_alone(figure):
    lines = [figure.axes[0].plot([0, 1])[0] for _ in plotting.COLORS]
    for one, other in itertools.combinations(lines, 2):
        assert one.get_color() != other.get_color()
        assert one._dash_pattern != other._dash_pattern
    assert len(set(plotting.MARKERS)) == len(plotting.COLORS)


def test_notebook_shows_figures_as_svg_only(figure):
    shell = InteractiveShell.instance()
    try:
        plotting.use_book_style()
        shown, _ = shell.display_formatter.format(figure)
        assert set(shown) == {"image/svg+xml", "text/plain"}
        assert shown["image/svg+xml"] == plotting.figure_svg(figure)
    finally:
        InteractiveShell.clear_instance()
        plt.switch_backend("agg")
