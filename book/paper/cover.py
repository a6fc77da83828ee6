"""Draw the cover: what logits are, what log-odds are, and the one loss that both lead to."""

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import logitkit as lk
from logitkit import plotting

COVER = Path(__file__).with_name("cover.svg")
LOGITS = np.array([2.0, 0.0, -1.0])


def draw() -> Figure:
    """Return the figure: three logits twice, and their log-odds on the one curve of the loss."""
    plotting.use_book_style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), width_ratios=(1, 1.5))
    shift = 1.5
    for name, logits, marker, face in (("z", LOGITS, "o", plotting.INK), (f"z + {shift}", LOGITS + shift, "o", "none")):
        left.plot(range(3), logits, marker, color=plotting.INK, markerfacecolor=face, markersize=9, label=name)
    for place, logit in enumerate(LOGITS):
        left.annotate(
            "", (place, logit + shift), (place, logit), arrowprops={"arrowstyle": "->", "color": plotting.INK}
        )
    left.set(title="logits: fixed up to a constant", xlabel="class", ylabel="nats", xticks=range(3), xlim=(-0.4, 2.6))
    left.legend(loc="upper right", handlelength=1)

    log_odds = np.linspace(-4.5, 4.5, 181)
    right.plot(log_odds, lk.softplus(-log_odds), color=plotting.BLUE, label="loss of the class, if it is the true one")
    right.plot(
        log_odds, lk.expit(log_odds), color=plotting.VERMILLION, linestyle="--", label="probability of the class"
    )
    for name, value in enumerate(lk.class_log_odds(LOGITS)):
        loss = lk.cross_entropy(name, logits=LOGITS)
        right.plot([value, value], [lk.expit(value), loss], color=plotting.FAINT, linestyle=":", zorder=0)
        right.plot(value, lk.expit(value), "o", color=plotting.VERMILLION)
        right.plot(value, loss, "o", color=plotting.BLUE)
        right.annotate(f"class {name}", (value, loss), (6, 6), textcoords="offset points")
    right.set(
        title="log-odds: one for each class, and one loss", xlabel="log-odds of the class (nats)", ylim=(-0.15, 5)
    )
    right.legend(loc="upper right")
    return figure


if __name__ == "__main__":
    COVER.write_text(plotting.figure_svg(draw()), encoding="utf-8")
