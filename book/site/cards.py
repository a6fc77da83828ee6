"""Pictures of the pages for link previews.

Drawn with Pillow and not with Matplotlib, which is ten times the size and not needed to build the book.
"""

from functools import cache
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import logitkit as lk

WIDTH, HEIGHT = 1200, 630  # what previews show without cropping
MARGIN = 80
FINER = 3  # lines are drawn larger and scaled down, which smooths them
PAPER, INK, FAINT = "#fefefe", "#222832", "#5a6472"
BLUE, VERMILLION = "#0077bb", "#d55e00"  # of the loss and the probability, as in the figures
LETTER = 0.5  # width of a letter, in its size


def draw(title: str, part: str, book: str) -> Image.Image:
    """Return the card of a page: its part of the book, its title, the two curves, and the book's name."""
    card = curves().copy()
    pen = ImageDraw.Draw(card)
    font = ImageFont.load_default
    pen.text((MARGIN, 70), part, FAINT, font(34))
    broken = ((size, wrap(title, int((WIDTH - 2 * MARGIN) / (LETTER * size)))) for size in (76, 66, 56, 46))
    size, lines = next((size, lines) for size, lines in broken if len(lines) * size <= 240)
    pen.multiline_text((MARGIN, 125), "\n".join(lines), INK, font(size), spacing=size // 4)
    pen.text((MARGIN, HEIGHT - MARGIN), book, FAINT, font(28), "ls")
    return card.quantize(64)  # few colors are a third of the bytes


@cache
def curves() -> Image.Image:
    """Return the background: over the log-odds of a class, its probability and its loss if it is the true one."""
    large = Image.new("RGB", (WIDTH * FINER, HEIGHT * FINER), PAPER)
    log_odds = np.linspace(-2.2, 6, 400)  # further left the loss would rise into the title
    across = np.linspace(0, WIDTH * FINER, log_odds.size)
    for y, color in ((lk.softplus(-log_odds), BLUE), (lk.expit(log_odds), VERMILLION)):
        down = (HEIGHT - 125 - 60 * y) * FINER
        ImageDraw.Draw(large).line(list(zip(across, down, strict=True)), color, 5 * FINER, "curve")
    return large.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
