"""Names that a file has from other files: which file is meant, and when it's read.

A name that's imported is followed when somebody asks for it, and only into files that say something about scales.
"""

from __future__ import annotations

import ast
import re
from weakref import WeakKeyDictionary

from logitkit.check import structures
from logitkit.check.choices import read
from logitkit.check.facts import Facts
from logitkit.check.reader import Frame, Reader
from logitkit.check.sources import BadFileError, Module
from logitkit.check.structures import is_keras, last
from logitkit.check.values import Const, File, Function, Later, Symbol, Thing, Value

__all__ = ["exported", "has", "import_module", "imported", "matters", "read_top", "starred", "telling"]

MOST_IMPORTS = 64  # files read for one; large packages import each other, and a value's way is seldom so long
DEEPEST_IMPORT = 24  # calls and imports inside each other
MOST_STARS = 200  # a large package's `__init__` may import everything of everything
_REGISTERS = re.compile(r"^@[\w.]*register", re.M)
_TELLING: WeakKeyDictionary[ast.AST, bool] = WeakKeyDictionary()  # by the function, whoever imports it


def import_module(reader: Reader, name: str, level: int) -> Value:
    """A file of the program, or a library by its name."""
    module = reader.project.find(name, reader.frame.module.path, level)
    if module is not None and module is not reader.frame.module:
        if _REGISTERS.search(module.text):  # importing it is what puts its classes into a dictionary
            read_top(reader, module)
        return File(module)
    return Symbol(name) if not level else Thing(name)


def read_top(reader: Reader, module: Module) -> None:
    """Read what a module does when it's imported; for a script, when it's run."""
    if module.done or len(reader.frames) > DEEPEST_IMPORT or reader.imports > MOST_IMPORTS:
        return
    module.done = True
    reader.imports += 1
    try:
        body = module.source.tree.body
    except BadFileError:  # an imported file that isn't Python: nothing is known about its names
        return
    module.scope.names["__name__"] = Const("__main__" if not reader.frames else "imported")
    outer, reader.taken = reader.taken, frozenset()
    reader.frames.append(Frame(module, module.scope))
    try:
        reader.run(body)
    finally:
        reader.frames.pop()
        reader.taken = outer


def imported(reader: Reader, later: Later) -> Value:
    """What a name of a module stands for: the module is read now, or a file of the package is meant."""
    found = exported(reader, later.module, later.name)
    return Thing(later.name) if found is None else read(found, reader.taken)


def exported(reader: Reader, module: Module, name: str) -> Value | None:
    """What a name of a module stands for, if that can be found."""
    if not matters(reader.facts, module):
        return starred(reader, module, name)
    if module.done or module.defines(name):
        read_top(reader, module)
        found = module.scope.names.get(name)
        if isinstance(found, Later):
            found = module.scope.names[name] = imported(reader, found)
        if found is not None:
            return found
    inner = reader.project.find(name, module.path, 1) if module.path.endswith("__init__.py") else None
    return File(inner) if inner else starred(reader, module, name)


def starred(reader: Reader, module: Module, name: str) -> Value | None:
    """What a name stands for that a module has from an `import *`."""
    if name not in module.starred:
        module.starred[name] = None  # modules may import everything of each other
        for star in reader.project.stars(module) if not name.startswith("_") else ():
            reader.stars += 1
            if reader.stars > MOST_STARS:
                break
            if isinstance(star, Module):
                found = exported(reader, star, name)
            else:
                found = Symbol(f"{star}.{name}") if has(reader.facts, f"{star}.{name}") else None
            if found is not None:
                module.starred[name] = found
                break
    return module.starred[name]


def matters(facts: Facts, module: Module) -> bool:
    """Whether a file names an activation, a loss or a layer, calls a loss, or keeps what others define."""
    return (
        module.path.endswith("__init__.py")
        or "def register" in module.text
        or facts.speaks_of(module.text)
        or facts.calls_loss(module.text)
    )


def telling(facts: Facts, function: Function) -> bool:
    """Whether a function names an activation, a loss, a sampler or a layer."""
    node = function.node
    if node not in _TELLING:
        _TELLING[node] = facts.names_any(function.text)
    return _TELLING[node]


def has(facts: Facts, path: str) -> bool:
    """Whether a library is known to have this name."""
    name = last(path)
    return (
        name in structures.SCORING_LAYERS | structures.CONTAINERS | structures.LAYER_LISTS
        or (is_keras(path) and name[:1].isupper())
        or name in structures.TRAINERS
        or facts.of(path, [], {}) is not None
    )
