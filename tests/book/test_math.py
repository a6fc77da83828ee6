"""Formulas are rendered while the book is built, and one that cannot be read is a warning at its page."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[2]


@pytest.fixture
def built(tmp_path):
    """Return a function that builds a page of reStructuredText and returns it parsed, with what Sphinx has said."""

    def build(text):
        (tmp_path / "index.rst").write_text(f"A page\n======\n\n{text}\n", "utf-8")
        command = [
            sys.executable,
            "-m",
            "sphinx",
            "-q",
            "-C",
            "-D",
            "extensions=book.site.math",
            tmp_path,
            tmp_path / "out",
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=True)
        return BeautifulSoup((tmp_path / "out" / "index.html").read_bytes(), "lxml"), done.stderr

    return build


def test_formula_is_written_for_eyes_and_ears_and_numbered_formula_can_be_linked_to(built):
    page, said = built("One :math:`x < 1`, and\n\n.. math:: y = x^2\n   :label: square\n\nas in :eq:`square`.")
    assert said == ""
    inline, block = page.select(".math")
    assert inline.select_one("annotation").get_text() == "x < 1"
    assert block.select_one("math")["display"] == "block"
    assert block.select_one(".eqno").get_text().startswith("(1)")
    assert page.find(id=block["id"]) is block
    assert page.select_one(f"p a[href='#{block['id']}']").get_text() == "(1)"


def test_formula_that_cannot_be_read_is_a_warning_with_its_page(built):
    page, said = built(r":math:`x^2` and :math:`\frac{1}`")
    assert "index.rst:4: WARNING: KaTeX parse error" in said
    assert len(page.select(".katex-error")) == 1


def test_formula_of_a_later_build_is_rendered_too(built):
    built(":math:`a`")
    page, said = built(":math:`a` and :math:`b`")
    assert said == ""
    assert [each.get_text() for each in page.select("annotation")] == ["a", "b"]
