"""Pictures of the pages for link previews and home screens.

Drawn with Pillow and not with Matplotlib, which is ten times the size and not needed to build the book.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import logitkit as lk

WIDTH, HEIGHT = 1200, 630  # what previews show without cropping
MARGIN = 80
FINER = 3  # lines are drawn larger and scaled down, which smooths them
PAPER, INK, FAINT = "#fefefe", "#222832", "#5a6472"
BLUE, VERMILLION = "#0077bb", "#d55e00"  # of the loss and the probability, as on the cover


def draw(title: str, part: str, book: str) -> Image.Image:
    """Return the card of a page: its part of the book, its title, the two curves of the cover, and the book's name."""
    card = curves().copy()
    pen = ImageDraw.Draw(card)
    font = ImageFont.load_default
    pen.text((MARGIN, 70), part, FAINT, font(34))
    size = next(size for size in (76, 66, 56, 46) if len(wrap(title, size)) * size <= 240)
    pen.multiline_text((MARGIN, 125), "\n".join(wrap(title, size)), INK, font(size), spacing=size // 4)
    pen.text((MARGIN, HEIGHT - MARGIN), book, FAINT, font(28), "ls")
    return card.quantize(64)  # few colours are a third of the bytes


def wrap(text: str, size: int) -> list[str]:
    """Break a title into lines as wide as the card."""
    font = ImageFont.load_default(size)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= WIDTH - 2 * MARGIN:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@cache
def curves() -> Image.Image:
    """Return the background: over the log-odds of a class, its probability and its loss if it is the true one."""
    large = Image.new("RGB", (WIDTH * FINER, HEIGHT * FINER), PAPER)
    pen = ImageDraw.Draw(large)
    log_odds = np.linspace(-2.2, 6, 400)  # further left the loss would rise into the title
    for function, color in ((lambda x: lk.softplus(-x), BLUE), (lk.expit, VERMILLION)):
        polyline(pen, log_odds, function, color)
    return large.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def polyline(pen: ImageDraw.ImageDraw, x: np.ndarray, function: Callable, color: str) -> None:
    """Draw a function across the lower part of the card, 60 pixels a nat."""
    across = (x - x[0]) / (x[-1] - x[0]) * WIDTH * FINER
    down = (HEIGHT - 125 - 60 * function(x)) * FINER
    pen.line(list(zip(across, down, strict=True)), color, 5 * FINER, "curve")


def icon() -> Image.Image:
    """Return the favicon's curve as a home screen wants it: without rounded corners of its own."""
    side = 180
    large = Image.new("RGB", (side * FINER, side * FINER), BLUE)
    x = np.linspace(0, 1, 400)
    pen = ImageDraw.Draw(large)
    for point in side * FINER * np.stack([0.125 + 0.75 * x, 0.8 - 0.6 * lk.expit(10 * (x - 0.5))], axis=1):
        pen.circle(tuple(point), 9 * FINER, "white")
    return large.resize((side, side), Image.Resampling.LANCZOS).quantize(32)
