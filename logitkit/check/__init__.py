"""Find it in my code: scales followed through Python source, and reported where they meet the wrong function.

It reads files and notebooks without importing or running them. It's an abstract interpretation: in place of arrays it
computes with scales (scores, probabilities, log-probabilities), through assignments, containers, classes and functions,
across the files of a project. When it doesn't know, it's silent.

It needs the standard library alone, so that it also runs in a browser. From below:

- `values` and `choices` are what a name may stand for, `sources` are files, and `facts` asks the registry;
- `arithmetic` and `structures` say what becomes of a scale, `rules` and `fixes` what's a mistake;
- `reader` is the state of reading a program; given it, `modules` follows imports, `layers` looks into models,
  `verdicts` finds what contradicts itself, and `transforms` changes scales;
- `names`, `containers` and `expressions` read expressions, each on top of the one before;
- `builtin`, `keras`, `models` and `library` say what a call gives that isn't the program's own;
- `calls`, `statements` and `interpreter` read the rest, again one on top of the other;
- `runner`, `output` and `command` face the user.
"""

from logitkit.check.findings import Finding
from logitkit.check.runner import Result, check_files, check_text, files_in

__all__ = ["Finding", "Result", "check_files", "check_text", "files_in"]
