"""Programs as they lie on the disk: Python files and notebooks' code cells, and which file an import means.

Only the standard library's `ast` is used. astroid and jedi infer types, not scales, and neither survives a file with an
error in it; parso does, at five times the time and with a second kind of tree. What recovery this needs is little: a
line that doesn't parse is left out, and the rest is read.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from posixpath import basename, dirname, join

from logitkit.check.values import Namespace, Place, Value

__all__ = ["BadFileError", "Module", "Project", "Source", "read_source"]

# What these say of scales is in the registry, even where their own source is what's read.
LIBRARIES = frozenset("torch tensorflow keras tf_keras jax flax optax haiku equinox".split())
_SKIPPED_LINES = 25  # a file with more lines than this that don't parse isn't Python
_MAGIC = re.compile(r"^\s*(?:[%!]|\?|[\w.]+\?{1,2}\s*$|[\w, ]+=\s*!|(?:cd|ls|pip|conda|apt-get) [^=(]*$)")
_STAR = re.compile(r"^\s*from\s+(\.*)\s*([\w.]*)\s+import\s+\*", re.MULTILINE)
_PRINT = re.compile(r"^(\s*)(?:print|exec)\b(?!\s*\().*$|^(\s*)raise \w+, .*$")


class BadFileError(Exception):
    """A file that can't be read, with the reason in a few words."""


@dataclass(frozen=True)
class Source:
    """The text of a program, and where each of its lines is in the file."""

    path: str
    text: str
    tree: ast.Module
    lines: tuple[str, ...]
    cells: tuple[tuple[int, int], ...] = ()  # for a notebook: cell number and line in it, of each line
    trouble: str = ""  # what was left out, in one line

    def place(self, node: ast.AST) -> Place:
        """Where a piece of the program is."""
        line, end = getattr(node, "lineno", 1), getattr(node, "end_lineno", None)
        column, end_column = getattr(node, "col_offset", 0), getattr(node, "end_col_offset", None)
        return Place(self.path, line, column + 1, end or line, (end_column or column) + 1)


def read_source(path: str, text: str) -> Source:
    """Parse a file.

    Parameters
    ----------
    path : str
        Its name; ``.ipynb`` is a notebook.
    text : str
        What's in it.

    Returns
    -------
    Source

    Raises
    ------
    BadFileError
        If it's no notebook, or hardly any of it is Python.
    """
    cells: list[tuple[int, int]] = []
    if path.endswith(".ipynb"):
        text, cells = _code_cells(text)
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\f", " ")
    lines = text.split("\n")
    tree, trouble = _parse(list(lines), "magic" if cells else "")
    return Source(path, text, tree, tuple(lines), tuple(cells), trouble)


def _code_cells(text: str) -> tuple[str, list[tuple[int, int]]]:
    try:
        notebook = json.loads(text)
        sheets = notebook.get("worksheets", [notebook])
        found = [cell for sheet in sheets for cell in sheet["cells"]]
        lines: list[str] = []
        places: list[tuple[int, int]] = []
        for number, cell in enumerate(found, 1):
            if cell.get("cell_type") != "code":
                continue
            source = cell.get("source", cell.get("input")) or ""
            code = source if isinstance(source, str) else "".join(source)
            # A cell in another language or for the shell.
            if re.match(r"\s*%%(?!time|capture|timeit|tensorboard)", code):
                continue
            for line, each in enumerate(code.split("\n"), 1):
                lines.append(each)
                places.append((number, line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadFileError("not a notebook") from None
    return "\n".join(lines), places


def _parse(lines: list[str], _kind: str) -> tuple[ast.Module, str]:
    """The tree of a program. Lines that don't parse are left out, a few at most."""
    trouble = ""
    skipped: set[int] = set()
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse("\n".join(lines)), trouble
        except SyntaxError as error:
            number = min(max((error.lineno or 1), 1), len(lines)) - 1
            if not skipped:
                magic = [i for i, line in enumerate(lines) if _MAGIC.match(line) or _PRINT.match(line)]
                for i in magic:
                    lines[i] = _indent(lines[i]) + "pass"
                skipped.add(-1)
                if magic:
                    continue
            if not trouble:
                trouble = f"line {number + 1} doesn't parse ({error.msg}); it's left out"
            number = _to_leave_out(lines, number, skipped)
            if len(skipped) > _SKIPPED_LINES or number < 0:
                raise BadFileError(f"not Python 3: line {error.lineno}: {error.msg}") from None
            skipped.add(number)
            lines[number] = _indent(lines[number]) + "pass"
        except (ValueError, RecursionError, MemoryError) as error:
            raise BadFileError(str(error) or type(error).__name__) from None


def _to_leave_out(lines: list[str], number: int, skipped: set[int]) -> int:
    """The line to give up: the one complained about, or one before it that's still there."""
    while number >= 0 and (number in skipped or not lines[number].strip()):
        number -= 1
    return number


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


_source = lru_cache(maxsize=400)(read_source)  # the files of a project import the same ones


@dataclass(eq=False)
class Module:
    """A file of the program and the names at its top, parsed when somebody asks: most imports matter to nobody."""

    path: str
    text: str
    scope: Namespace = field(default_factory=Namespace)
    starred: dict[str, Value | None] = field(default_factory=dict)  # names looked for behind `import *`
    unknown: dict[str, Value] = field(default_factory=dict)  # names that nobody has defined
    done: bool = False

    @cached_property
    def source(self) -> Source:
        """The parsed file."""
        return _source(self.path, self.text)

    def defines(self, name: str) -> bool:
        """Whether the file may define or import a name: it's there where that's done, to go by the text."""
        return name in self.text and bool(_definition(name).search(self.text))


@lru_cache(maxsize=4096)
def _definition(name: str) -> re.Pattern[str]:
    name = re.escape(name)
    return re.compile(rf"^\s*(?:(?:async\s+)?def|class|from\b.*|import\b.*)\s{name}\b|^[ \w,(]*\b{name}\s*[:=,)]", re.M)


@lru_cache(maxsize=4096)
def _stars(text: str) -> tuple[tuple[int, str], ...]:
    """What a program imports everything of, last first: how many levels up, and the name."""
    return tuple((len(dots), name) for dots, name in reversed(_STAR.findall(text)))


@dataclass
class Project:
    """The files that belong together.

    `read` gives the text of a file, or None if there's none: the disk here, the reader's own files in a browser.
    """

    read: Callable[[str], str | None]
    roots: tuple[str, ...] = ()
    modules: dict[str, Module | None] = field(default_factory=dict)
    _found: dict[tuple[str, str, int], Module | None] = field(default_factory=dict)

    def open(self, path: str) -> Module:
        """The module in a file.

        Raises
        ------
        BadFileError
            If it can't be read.
        """
        module = self._open(path)
        if module is None:
            raise BadFileError("can't be read")
        _ = module.source
        return module

    def _open(self, path: str) -> Module | None:
        if path not in self.modules:
            self.modules[path] = None
            text = self.read(path)
            if text is not None:
                self.modules[path] = Module(path, text)
        return self.modules[path]

    def stars(self, module: Module) -> Iterator[Module | str]:
        """What a module imports everything of, last first: modules of the program, and libraries by their names."""
        for level, name in _stars(module.source.text if module.path.endswith(".ipynb") else module.text):
            found = self.find(name, module.path, level)
            if found is not module and (found or not level):
                yield found or name

    def find(self, name: str, importer: str, level: int = 0) -> Module | None:
        """The file that an import means, or None if it's none of the project's."""
        key = (name, dirname(importer), level)
        if key not in self._found:
            self._found[key] = self._find(*key)
        return self._found[key]

    def _find(self, name: str, folder: str, level: int) -> Module | None:
        for _ in range(level - 1):
            folder = dirname(folder)
        top = name.partition(".")[0]
        if not level and top in sys.stdlib_module_names | LIBRARIES:
            return None
        inside = name.replace(".", "/")
        for start in [folder] if level else self._starts(folder, top):
            path = join(start, inside) if inside else start
            for file in (f"{path}.py" if inside else None, join(path, "__init__.py")):
                if file is not None and (module := self._open(file)):
                    return module
        return None

    def _starts(self, folder: str, top: str) -> Iterator[str]:
        """Where an absolute import is looked for: beside the file, in the given folders, and where its package lies."""
        yield folder
        for root in self.roots:
            root = "" if root == "." else root
            yield root
            yield join(root, "src")
        while folder not in ("", "/"):
            if basename(folder) == top:
                yield dirname(folder)
            folder = dirname(folder)
