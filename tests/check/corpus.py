"""The checker's own corpus: programs with one mistake each, the same programs without it, and look-alikes.

In the files, ``=== wrong: title`` begins a program with a mistake. A line that ends in ``# LK101`` is where it's
reported; ``# right: text`` gives the line that mends it, so that the right program differs in nothing else. ``=== ok:
title`` begins a look-alike, which stays quiet. ``--- name.py`` begins another file of the same program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Program:
    """The files of one program, and what's to be found: file, line (or 0 for anywhere) and code."""

    title: str
    files: dict[str, str]
    expected: frozenset[tuple[str, int, str]]

    def __repr__(self) -> str:
        return self.title


def _programs() -> list[Program]:
    return [
        program
        for path in sorted(FOLDER.glob("*.txt"))
        for block in re.split(r"^=== ", path.read_text("utf-8"), flags=re.M)[1:]
        for program in _read(path.stem, *block.split("\n", 1))
    ]


def _read(room: str, title: str, text: str) -> list[Program]:
    parts = re.split(r"^--- (\S+)\n", text, flags=re.M)
    files = dict(zip(parts[1::2], parts[2::2], strict=True)) or {"main.py": text}
    kind, _, name = title.partition(": ")
    if kind == "ok":
        return [Program(f"{room}: {name}", files, frozenset())]
    wrong = {path: re.sub(r"  # right: .*$", "", text, flags=re.M) for path, text in files.items()}
    right = {path: re.sub(r"^( *).*  # right: (.*)$", r"\1\2", text, flags=re.M) for path, text in files.items()}
    expected = {
        (path, 0 if kind == "code" else number, code)
        for path, text in wrong.items()
        for number, line in enumerate(text.split("\n"), 1)
        for kind, code in re.findall(r"# (code: )?(LK\d+)", line)
        for kind in [kind.rstrip(": ")]
    }
    return [
        Program(f"{room}: {name}", wrong, frozenset(expected)),
        Program(f"{room}: {name}, mended", right, frozenset()),
    ]


PROGRAMS = _programs()
