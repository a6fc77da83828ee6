"""Each audit finds what it is there for: a good page passes them all, and one change to it is noticed."""

import pytest

from . import server
from .test_pages import PROMISES, visit

PICTURE = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><path d='M0 0h9v9'/></svg>"
GOOD = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A good page</title>
<link rel="icon" href="data:,">
<style>
@font-face {{ font-family: KaTeX_Main; src: local("DejaVu Sans") }}
:root {{ color-scheme: light dark }}
pre {{ overflow-x: auto }}
@media print {{ :root {{ color-scheme: light }} pre {{ white-space: pre-wrap }} }}
.katex-html {{ font-family: KaTeX_Main }}
.katex-mathml {{ position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden }}
</style>
<script>
document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
</script>
</head>
<body><main>
<h1>A page</h1>
<p>Words, <span class="math"><span class="katex"><span class="katex-mathml"><math><mi>x</mi></math></span>
<span class="katex-html" aria-hidden="true">x</span></span></span>, <code>\\frac{{1}}{{2}}</code>.</p>
<pre tabindex="0">{"a line of code " * 20}</pre>
<article><img src="{PICTURE}" alt="A small black triangle on white."></article>
</main></body>
</html>
"""
# A fault: which audit finds it, in what words, and what is put in the place of what.
SPOILT = {
    "another host is asked": ("errors", "outside the site", "Words,", "<img src='https://example.org/a.png' alt=''>"),
    "a file is missing": ("errors", "status 404", "</head>", '<link rel="stylesheet" href="missing.css"></head>'),
    "a script throws": ("errors", "script error", "</main>", "<script>missing()</script></main>"),
    "a script complains": ("errors", "console error", "</main>", "<script>console.error('no')</script></main>"),
    "a word is wider than the screen": ("overflow", "<p>", "Words,", "W" * 99),
    "a box is wider than the screen": ("overflow", "<main>", "<main>", '<main style="width: 1500px">'),
    "text is cut off": ("cut", "<p>", "<p>", f"<p style='overflow: hidden; white-space: nowrap'>{'Words ' * 99}"),
    "a closed solution is cut off": (
        "cut",
        "<div>",
        "<p>",
        "<details><summary>Solution</summary>"
        f"<div style='overflow: hidden; white-space: nowrap'>{'Words ' * 99}</div></details><p>",
    ),
    "a page that is always light": ("theme", "that of a light page", "light dark", "light"),
    "a long line is cut off on paper": ("paper", "<pre>", "white-space: pre-wrap", "white-space: pre"),
    "dark on paper too": ("paper", "that of a dark page", ":root { color-scheme: light }", ""),
    "grey on grey": ("axe", "color-contrast", "<p>", '<p style="color: #777; background: #888">'),
    "a button without a name": ("axe", "button-name", "</main>", "<button></button></main>"),
    "a level of headings is left out": ("axe", "heading-order", "</main>", "<h4>Deep</h4></main>"),
    "targets too small for a finger": (
        "axe",
        "target-size",
        "</main>",
        '<button style="width: 9px; height: 9px; padding: 0; border: 0; font-size: 5px">a</button>' * 3 + "</main>",
    ),
    "text outside all landmarks": ("axe", "region", "</main>", "</main><p>Stray</p>"),
    "no alt text": ("images", "no alt text", ' alt="A small black triangle on white."', ""),
    "an empty alt text": ("images", "says little", "A small black triangle on white.", ""),
    "a file name for an alt text": ("images", "file name", "A small black triangle on white.", "../_images/a b c.svg"),
    "an alt text that says nothing": ("images", "says little", "A small black triangle on white.", "Figure"),
    "an image that does not load": ("images", "is not shown", PICTURE, "data:image/png;base64,AAAA"),
    "two images with one alt text": (
        "images",
        "alt text of another",
        "</article>",
        f'<img src="{PICTURE.replace("9", "8")}" alt="A small black triangle on white."></article>',
    ),
    "a drawing without a name": ("images", "no name", "</article>", "<svg width='9' height='9'></svg></article>"),
    "a formula left raw": ("math", "not rendered: y", "Words,", '<span class="math">y</span>'),
    "a formula without MathML": ("math", "no MathML", "<math><mi>x</mi></math>", ""),
    "a formula that KaTeX refused": (
        "math",
        "error: ParseError",
        "Words,",
        '<i class="katex-error" title="ParseError">',
    ),
    "formulas without their font": ("math", "own font", 'src: local("DejaVu Sans")', "src: url(data:,)"),
    "dollars around TeX": ("math", "raw TeX in <p>", "Words,", "$z_k$"),
    "a command of TeX": ("math", "raw TeX in <p>", "Words,", "the \\log of it"),
    "TeX in a description": (
        "math",
        "content of <meta>",
        "</head>",
        '<meta name="description" content="\\frac{1}{2}">',
    ),
    "two headings": ("structure", "2 h1", "</main>", "<h1>More</h1></main>"),
    "no heading": ("structure", "0 h1", "<h1>A page</h1>", ""),
    "no title": ("structure", "no title", "<title>A good page</title>", ""),
    "no language": ("structure", "lang is", ' lang="en"', ""),
    "a transition": ("motion", "<p>", "</style>", "p { transition: color 1s }</style>"),
    "an animation": (
        "motion",
        "<p>",
        "</style>",
        "@keyframes a { to { color: red } } p::after { animation: a 9s }</style>",
    ),
    "smooth scrolling": ("motion", "<html>", "</style>", "html { scroll-behavior: smooth }</style>"),
}


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    """A folder that is served, and its address."""
    folder = tmp_path_factory.mktemp("site")
    with server.serve(folder) as address:
        yield folder, address


def audited(browser, workshop, html):
    folder, address = workshop
    folder.joinpath("page.html").write_text(html)
    # Together these two visits make all audits.
    phone, desktop = (
        visit(browser, address, "page.html", "light", 360),
        visit(browser, address, "page.html", "dark", 1400),
    )
    return {name: phone.wrong.get(name, []) + desktop.wrong.get(name, []) for name in phone.wrong | desktop.wrong}


def test_a_good_page_passes(browser, workshop):
    wrong = audited(browser, workshop, GOOD)
    assert wrong.keys() == PROMISES.keys()
    assert not any(wrong.values()), wrong


@pytest.mark.parametrize("fault", SPOILT)
def test_fault_is_found(browser, workshop, fault):
    audit, words, before, after = SPOILT[fault]
    assert GOOD.count(before) == 1
    assert words in "\n".join(audited(browser, workshop, GOOD.replace(before, after))[audit])
