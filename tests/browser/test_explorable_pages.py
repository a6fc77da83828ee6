"""The explorables on their pages: they fit and are legible, print, need no network, and load where they are used."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest

from .audit import audit
from .explorable_numbers import COUNTS, check
from .explorables import BOX, CHAPTERS, address, another_page, opened

SCRIPTS = Path(__file__).parents[2] / "book" / "explorables"
SCRIPT = re.compile(rf"/_static/(numerics|explorable|{'|'.join(CHAPTERS)})\.js")
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
OUTSIDE = """figure => {
    const box = figure.getBoundingClientRect();
    const marks = [...figure.querySelectorAll("text, circle")].map((mark) => [mark, mark.getBoundingClientRect()]);
    const inside = (at) => at.left >= box.left && at.right <= box.right && at.bottom <= box.bottom;
    return marks
        .filter(([, at]) => !inside(at) || at.top < box.top - 2) // above the letters there is air
        .map(([mark, at]) => `${mark.tagName} ${mark.textContent} ${at.left - box.left} ${at.right - box.right}`);
}"""
# What is drawn with a meaning, as text for a table: the name of each mark, and its stroke or fill with its opacity.
MARKS = """figure => [...figure.querySelectorAll(":not(text, .faint, .empty, .tint, .bar)")].map((mark) => {
    const style = getComputedStyle(mark);
    const stroked = style.fill === "none" || mark.matches(".hollow");
    const opacity = style.opacity * (stroked ? style.strokeOpacity : style.fillOpacity);
    return [mark.getAttribute("class"), stroked ? style.stroke : style.fill, opacity];
})"""
# The alignment, the place and the width of every cell of a table, and whether its text is wider, row by row.
CELLS = """table => [...table.rows].map((row) => [...row.cells].map((cell) => {
    const at = cell.getBoundingClientRect();
    const origin = table.getBoundingClientRect();
    const wide = cell.scrollWidth > cell.clientWidth;
    return [getComputedStyle(cell).textAlign, at.x - origin.x, at.y - origin.y, at.width, at.height, wide];
}))"""
COUNT_SHIFTS = """window.shifts = 0;
new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shifts += entry.value;
}).observe({ type: "layout-shift", buffered: true });"""


@pytest.mark.parametrize("name", CHAPTERS)
class TestPage:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [360, 768, 1400])
    def test_figure_fits_and_is_legible(self, page, site, name, width, scheme):
        with another_page(page, viewport={"width": width, "height": 900}, color_scheme=scheme) as other:
            box = opened(other, site, name)
            check(box)
            assert other.evaluate(OVERFLOW) == 0
            for end in ("Home", "End"):
                for control in box.root.locator("input").all():
                    box.press(control.get_attribute("name"), end)
                assert other.evaluate(OVERFLOW) == 0
                assert box.figure.evaluate(OUTSIDE) == []
            for _ in box.everywhere():
                assert box.figure.evaluate(OUTSIDE) == []
            inks = box.figure.evaluate("f => [...f.querySelectorAll('text')].map((t) => getComputedStyle(t).fill)")
            background = other.evaluate("getComputedStyle(document.body).backgroundColor")
            assert min(contrast(ink, background) for ink in inks) >= 4.5
            marks = box.figure.evaluate(MARKS)
            faint = [mark for mark, ink, opacity in marks if contrast(blend(ink, background, opacity), background) < 3]
            assert marks
            assert faint == []

    @pytest.mark.parametrize("width", [360, 1400])
    def test_numbers_of_a_table_stand_under_their_headings_and_stay_there(self, page, site, name, width):
        with another_page(page, viewport={"width": width, "height": 900}) as other:
            box = opened(other, site, name)
            for table in box.root.locator("table").all():
                first, *others = columns = list(zip(*table.evaluate(CELLS), strict=True))
                assert {cell[0] for cell in first} == {"left"}
                assert {cell[0] for column in others for cell in column} == {"right"}
                for _ in box.everywhere():
                    assert list(zip(*table.evaluate(CELLS), strict=True)) == columns
                assert not any(cell[-1] for column in columns for cell in column)

    def test_no_share_is_called_all_or_nothing(self, page, site, name):
        box = opened(page, site, name)
        shares = [text for _ in box.everywhere() for text in re.findall(r"[^\s]+\s*%", box.root.inner_text())]
        assert not {"100%", "100.00%", "100.0%", "0%", "0.0%", "0.00%"}.intersection(shares)

    def test_works_from_the_file_system_without_a_network(self, page, site, folder, name):
        with another_page(page, offline=True) as local:
            troubles = []
            local.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
            local.on("pageerror", lambda error: troubles.append(str(error)))
            box = opened(local, folder.as_uri(), name)
            box.press(box.root.locator("input").first.get_attribute("name"), "ArrowRight")
            check(box)
            assert troubles == []

    def test_without_scripts_the_text_says_it_and_no_control_is_left(self, page, site, name):
        with another_page(page, java_script_enabled=False) as still:
            still.goto(address(site, name))
            audit(still, "layOut")
            box = still.locator(BOX.format(name))
            assert box.locator("input, select, button, svg, output").count() == 0
            assert box.locator(".explorable-still").is_visible()
            assert 2 <= box.locator("li").count() <= 4
            assert len(box.inner_text().split()) > 60

    def test_in_print_the_text_stands_alone(self, page, site, name):
        box = opened(page, site, name)
        assert not box.root.locator(".explorable-still").is_visible()
        page.emulate_media(media="print")
        assert not box.figure.is_visible()
        assert box.root.locator(".explorable-still").is_visible()
        assert box.root.locator("li").first.is_visible()

    def test_page_moves_no_more_than_it_does_without_it(self, page, site, name):
        """The scripts run before the page below them is there. What still moves are images above, as in any chapter."""
        moved = {}
        for scripts in ("loaded", "lost"):
            with another_page(page, viewport={"width": 1400, "height": 900}) as other:
                if scripts == "lost":
                    other.route(SCRIPT, lambda route: route.abort())
                else:
                    other.route(SCRIPT, slowly)
                other.add_init_script(COUNT_SHIFTS)
                other.goto(f"{address(site, name)}#explorable-{name}")
                other.wait_for_timeout(300)
                moved[scripts] = other.evaluate("shifts")
                assert (other.locator(".explorable-live").count() == 1) == (scripts == "loaded")
        assert moved["loaded"] < moved["lost"] + 0.01


@pytest.mark.parametrize("width", [360, 1400])
def test_name_of_the_floor_never_lies_on_the_axis(page, site, width):
    with another_page(page, viewport={"width": width, "height": 900}) as other:
        box = opened(other, site, "softmax-twice")
        axis = box.figure.locator("line.axis").first
        for place in range(len(COUNTS)):
            box.set(classes=place)
            label = box.figure.get_by_text("floor").bounding_box()
            assert label["y"] + label["height"] <= axis.bounding_box()["y"], COUNTS[place]


def test_names_of_the_scales_lie_above_the_ladder(page, site):
    box = opened(page, site, "log-odds-scales")
    drawn = box.figure.evaluate("figure => [...figure.children].map((mark) => mark.getAttribute('class'))")
    names = [place for place, style in enumerate(drawn) if style == "title"]
    assert len(names) == 3
    assert min(names) > max(
        place for place, style in enumerate(drawn) if style in ("faint", "blue dashed", "blue thick")
    )


def slowly(route):
    """Answer a request as a slow network does."""
    time.sleep(0.15)
    route.continue_()


def channels(color):
    """The red, green and blue of a color, from 0 to 1."""
    return np.array([float(each) for each in re.findall(r"[\d.]+", color)[:3]]) / 255


def blend(ink, background, opacity):
    """The color that is seen where an ink lets the background through."""
    seen = opacity * channels(ink) + (1 - opacity) * channels(background)
    return "rgb({}, {}, {})".format(*(255 * seen))


def contrast(ink, background):
    """The contrast of two opaque colors as the guidelines for web accessibility define it."""

    def luminance(color):
        parts = channels(color)
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted([luminance(ink), luminance(background)])
    return (high + 0.05) / (low + 0.05)


def test_scripts_are_small_and_loaded_only_where_they_are_used(folder):
    assert sum(path.stat().st_size for path in SCRIPTS.glob("*.js")) < 60_000
    scripts = re.compile(rb'<script src="\.\./_static/([a-z0-9-]+)\.js')
    loaded = {path.stem: scripts.findall(path.read_bytes()) for path in (folder / "chapters").glob("*.html")}
    expected = {chapter: [b"numerics", b"explorable", name.encode()] for name, chapter in CHAPTERS.items()}
    assert {chapter: names for chapter, names in loaded.items() if names} == expected
    styled = {path.stem for path in (folder / "chapters").glob("*.html") if b"explorables.css" in path.read_bytes()}
    assert styled == set(expected)


def test_every_script_belongs_to_a_page():
    assert {path.stem for path in SCRIPTS.glob("*.js")} == {"numerics", "explorable", *CHAPTERS}
