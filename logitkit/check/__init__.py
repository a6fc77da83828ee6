"""Find it in my code: scales followed through Python source, and reported where they meet the wrong function.

It reads files and notebooks without importing or running them. It's an abstract interpretation: in place of arrays it
computes with scales (scores, probabilities, log-probabilities), through assignments, containers, classes and functions,
across the files of a project. When it doesn't know, it's silent.

It needs the standard library alone, so that it also runs in a browser. From below: `values` and `sources`;
`arithmetic`, `structures`, `builtin` and `keras` say what becomes of a scale; `expressions`, `calls`,
`statements` and `interpreter` read a program; `facts` asks the registry; `rules` and `fixes` judge;
`runner`, `output` and `command` face the user.
"""

from logitkit.check.findings import Finding
from logitkit.check.runner import Result, check_files, check_text, files_in

__all__ = ["Finding", "Result", "check_files", "check_text", "files_in"]
