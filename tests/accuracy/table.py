"""The book's tables, chapters/accuracy-*.csv: logitkit, its PyTorch twins, SciPy and PyTorch on the same numbers."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import scipy
import torch

from tests.accuracy.draws import DTYPES
from tests.accuracy.promise import Promise
from tests.accuracy.promises import PROMISES
from tests.accuracy.torch_promises import TWINS

CHAPTERS = Path(__file__).parents[2] / "chapters"
VERSIONS = {"SciPy": scipy.__version__, "PyTorch": torch.__version__.split("+")[0]}


@dataclass(frozen=True)
class Table:
    """The promises of one dtype, as the book shows them."""

    promises: tuple[Promise, ...]
    dtype: type
    file: str
    ours: str
    peers: tuple[str, ...]

    @property
    def path(self) -> Path:
        return CHAPTERS / f"{self.file}-{self.dtype.__name__}.csv"

    @property
    def header(self) -> list[str]:
        return ["function", "promise", self.ours, *(f"{peer} {VERSIONS[peer]}" for peer in self.peers)]

    @property
    def promised(self) -> list[list[str]]:
        """The first columns: what is promised."""
        return [[promise.name, f"{promise.bound[self.dtype]:g}"] for promise in self.promises]

    def measured(self) -> Iterator[list[str]]:
        """Yield the other columns: the largest error of each library; a dash where it has no such function."""
        for promise in self.promises:
            peers = [promise.peers.get(peer) for peer in self.peers]
            worst = [_figure(promise.worst(self.dtype, f)) if f else "–" for f in (promise.ours, *peers)]
            print(f"{self.dtype.__name__} {promise.name:45}", *worst)
            yield worst


TABLES = [
    *(Table(PROMISES, dtype, "accuracy", "logitkit", ("SciPy", "PyTorch")) for dtype in DTYPES),
    *(Table(TWINS, dtype, "accuracy-torch", "logitkit.torch", ("PyTorch",)) for dtype in DTYPES),
]


def _figure(ulps: float) -> str:
    if ulps < 1000:
        return f"{ulps:.2f}" if ulps < 10 else f"{ulps:.0f}"
    return f"{ulps:.0e}".replace("e+0", "e").replace("e+", "e")


def main() -> None:
    """Measure everything and write the tables."""
    for table in TABLES:
        lines = [table.header, *(p + m for p, m in zip(table.promised, table.measured(), strict=True))]
        with table.path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)
