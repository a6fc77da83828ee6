"""Who calls what by the name *logits*: each framework's callables, the scale of every input, run against the framework.

Data and standard library only: no framework is imported here, and NumPy isn't needed either. `resolve` is exact and
meant for tools; `find` is for people. ``schema.json`` says what a file of the registry may hold.

Source: each callable names its own; ``tests/frameworks`` runs them, and ``results.json`` is what came out.
"""

from logitkit.conventions._find import candidates, find, suggest
from logitkit.conventions._load import OUTPUT, Framework, Record, callables, load, results
from logitkit.conventions._query import IMPORTED_AS
from logitkit.conventions._resolve import UNKNOWN, equivalents, framework_named, resolve, table, words_for
from logitkit.conventions._schema import (
    SCALES,
    ByBackend,
    Callable,
    Case,
    Check,
    Flag,
    Input,
    Reduction,
    Scale,
    Setting,
)

__all__ = [
    "IMPORTED_AS",
    "OUTPUT",
    "SCALES",
    "UNKNOWN",
    "ByBackend",
    "Callable",
    "Case",
    "Check",
    "Flag",
    "Framework",
    "Input",
    "Record",
    "Reduction",
    "Scale",
    "Setting",
    "callables",
    "candidates",
    "equivalents",
    "find",
    "framework_named",
    "load",
    "resolve",
    "results",
    "suggest",
    "table",
    "words_for",
]
