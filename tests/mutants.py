"""Do the tests bite? The package is changed in one place at a time, and some test should notice.

`make mutants` makes every mutant, runs the tests that come by the changed line, and compares what survives with
tests/mutants.md, where each survivor is argued to be as good as the original. `python -m tests.mutants NAME` tries only
the modules whose path contains NAME.

The changes are mutmut's. Running them is not left to it: it passes over properties and the constants of a module, and
it makes each function a switch between its mutants, through which torch.compile cannot see. Here one process collects
the tests and runs them once; then, for each mutant, it forks a child in which the code of the functions is replaced.
"""

from __future__ import annotations

import difflib
import gc
import os
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

import coverage
import libcst as cst
import pytest
from _pytest.runner import runtestprotocol
from hypothesis import Phase, settings
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation import mutators

from tests import accuracy
from tests.contracts import Contract
from tests.survivors import REPORT, ROOT, Change, arguments, with_counts

# The tests of each half of the package; those are tried that come by a changed line.
TESTS = {
    "logitkit": ["links", "simplex", "losses", "linear", "accuracy", "properties", "policies"],
    "logitkit/torch": ["torch", "accuracy", "policies"],
}
# Of a contract's many alike cases, and of the examples of a property, this many are run.
ALIKE, EXAMPLES = 3, 25
CPU_SECONDS, MEMORY = 60, 6 << 30

# What is said in words is not mutated. A name without a value, or a call without one of its operands, fails wherever it
# is run at all; a check of lengths that are equal anyway never does.
OPERATORS = [
    (kind, operator)
    for kind, operator in mutators.mutation_operators
    if operator not in (mutators.operator_string, mutators.operator_dict_arguments, mutators.operator_assignment)
]
WORDS = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.Raise)


@dataclass(frozen=True)
class Mutant:
    """A change, the lines whose tests should notice it, and the module as it is then."""

    change: Change
    lines: range
    source: str


class _Mutator(cst.CSTVisitor):
    """Collects the mutants of a module."""

    METADATA_DEPENDENCIES = (PositionProvider, ParentNodeProvider)

    def __init__(self, module: str, tree: cst.Module) -> None:
        super().__init__()
        self.module, self.tree, self.mutants = module, tree, {}
        self.scope: list[str] = []
        self.head, *self.parts = map(tree.code_for_node, [cst.Module(body=[], header=tree.header), *tree.body])

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, WORDS) or self._is_alias(node):
            return False
        if isinstance(node, cst.Arg) and node.keyword and node.keyword.value == "strict":
            return False
        for kind, operator in OPERATORS:
            if isinstance(node, kind):
                for changed in operator(node):
                    if operator is not mutators.operator_arg_removal or _leaves_out_an_option(node, changed):
                        self._add(node, changed)
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self.scope.append(node.name.value)
        return True

    def on_leave(self, node: cst.CSTNode) -> None:
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self.scope.pop()

    def _is_alias(self, node: cst.CSTNode) -> bool:
        """Whether it names a type."""
        return isinstance(node, cst.Assign) and not self.scope and isinstance(node.value, cst.Subscript)

    def _add(self, node: cst.CSTNode, changed: cst.CSTNode) -> None:
        statement, holder = node, None
        while not isinstance(self._parent(statement), cst.Module):
            if holder is None and isinstance(statement, cst.SimpleStatementLine | cst.BaseCompoundStatement):
                holder = statement
            statement = self._parent(statement)
        old, new = (self.tree.code_for_node(s) for s in (statement, statement.deep_replace(node, changed)))
        diff = [line for line in difflib.ndiff(old.splitlines(), new.splitlines()) if line[:2] in ("- ", "+ ")]
        removed, added = (" ".join(line[2:].strip() for line in diff if line[0] == sign).strip() for sign in "-+")
        change = Change(self.module, ".".join(self.scope) or "module", removed, added)
        place = self.tree.body.index(statement)
        source = "".join([self.head, *self.parts[:place], new, *self.parts[place + 1 :]])
        self.mutants.setdefault(source, Mutant(change, self._lines(holder or statement), source))

    def _parent(self, node: cst.CSTNode) -> cst.CSTNode:
        return self.get_metadata(ParentNodeProvider, node)

    def _lines(self, holder: cst.CSTNode) -> range:
        lines = [self.get_metadata(PositionProvider, holder)]
        if isinstance(holder, cst.BaseCompoundStatement) and not isinstance(holder, cst.FunctionDef | cst.ClassDef):
            lines.append(self.get_metadata(PositionProvider, holder.body))  # only the head of a block
            return range(lines[0].start.line, lines[1].start.line)
        return range(lines[0].start.line, lines[0].end.line + 1)


def _leaves_out_an_option(node: cst.Call, changed: cst.Call) -> bool:
    names = [[arg.keyword.value for arg in call.args if arg.keyword] for call in (node, changed)]
    return len(names[1]) < len(names[0])


def mutants_of(module: str) -> list[Mutant]:
    """Return the mutants of a module, given by its path."""
    wrapper = MetadataWrapper(cst.parse_module((ROOT / module).read_text("utf-8")), unsafe_skip_copy=True)
    mutator = _Mutator(module, wrapper.module)
    wrapper.visit(mutator)
    return list(mutator.mutants.values())


def replace_code(module: ModuleType, source: str) -> None:
    """Make a module that is in use the one of another source."""
    flags = {"__name__": module.__name__, "__file__": module.__file__}
    changed: dict[str, Any] = dict(flags)
    exec(compile(source, str(module.__file__), "exec"), changed)
    for name, new in changed.items():
        old = vars(module).get(name)
        if getattr(new, "__module__", None) == module.__name__ and isinstance(new, FunctionType | type):
            _replace(old, new)
        elif name not in flags and not isinstance(new, ModuleType | FunctionType | type):
            for user in [m for n, m in sys.modules.items() if n.startswith("logitkit") and vars(m).get(name) is old]:
                setattr(user, name, new)


def _replace(old: Any, new: Any) -> None:
    if isinstance(new, FunctionType):
        old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__
    elif isinstance(new, staticmethod | classmethod):
        _replace(old.__func__, new.__func__)
    elif isinstance(new, property):
        _replace(old.fget, new.fget)
    elif isinstance(new, type):
        for name, value in vars(new).items():
            if isinstance(value, FunctionType | staticmethod | property):
                _replace(vars(old)[name], value)
            elif isinstance(value, bool):
                setattr(old, name, value)


class Trial:
    """A pytest plugin that runs the collected tests once and then on each mutant."""

    def __init__(self, mutants: list[Mutant]) -> None:
        self.mutants, self.survivors, self.failed = mutants, [], False
        self.outcomes: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        alike = defaultdict(list)
        for item in items:
            if issubclass(getattr(item, "cls", None) or object, Contract):
                alike[item.nodeid.partition("[")[0]].append(item)
        accuracy.rows.__defaults__ = ((1, 2, 3, 4, 10, 33),)
        left_out = {i for group in alike.values() if len(group) > ALIKE for i in set(group) - set(_spread(group))}
        items[:] = [item for item in items if item not in left_out]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        # A failure needs no smaller example.
        settings.register_profile("mutants", settings.get_profile("same-everywhere"), phases=[Phase.generate], max_examples=EXAMPLES)
        settings.load_profile("mutants")
        lines, seconds = self._run_once(session.items)
        print(f"[{len(session.items)} tests in {sum(seconds.values()):.0f} s of CPU]", file=sys.stderr, flush=True)
        if self.failed:
            raise pytest.UsageError("the tests fail without any change")
        gc.freeze()
        start, place = time.time(), ("", "")
        for n, mutant in enumerate(self.mutants):
            items = _coming_by(mutant, lines, session.items)
            items.sort(key=lambda item: seconds[item])
            if cap := float(os.environ.get("CAP", 0)):  # TODO
                total = 0.0
                for k, item in enumerate(items):
                    total += seconds[item]
                    if total > cap and k > 30:
                        items = items[:k]
                        break
            outcome = self._outcome(mutant, items)
            self.outcomes[outcome] += 1
            if outcome == "survives":
                self.survivors.append(mutant.change)
                if (mutant.change.module, mutant.change.function) != place:
                    place = (mutant.change.module, mutant.change.function)
                    print(f"\n### {place}\n", flush=True)
                print(mutant.change, f" ({len(items)} tests)" if len(items) < 10 else "", flush=True)
            if n % 50 == 49:
                print(f"[{n + 1} of {len(self.mutants)} in {time.time() - start:.0f} s: {dict(self.outcomes)}]", file=sys.stderr, flush=True)
        return True

    def _run_once(self, items: list[pytest.Item]) -> tuple[Any, dict[pytest.Item, float]]:
        measured = coverage.Coverage(data_file=None, include=["logitkit/*"], messages=False)
        seconds = {}
        measured.start()
        for item, following in zip(items, [*items[1:], None], strict=True):
            measured.switch_context(item.nodeid)
            for _ in range(2):  # what an oracle remembers costs nothing the second time
                start = time.process_time()
                runtestprotocol(item, nextitem=following)
                seconds[item] = time.process_time() - start
                if self.failed:
                    print(item.nodeid)
                if seconds[item] < 1:
                    break
        measured.stop()
        return measured.get_data(), seconds

    def _outcome(self, mutant: Mutant, items: list[pytest.Item]) -> str:
        child = os.fork()
        if child == 0:
            os._exit(self._is_killed(mutant, items))
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return "runs on" if os.WTERMSIG(status) == 24 else "crashes"
        return "is killed" if os.WEXITSTATUS(status) else "survives"

    def _is_killed(self, mutant: Mutant, items: list[pytest.Item]) -> bool:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        try:
            module = mutant.change.module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            replace_code(import_module(module), mutant.source)
            if "torch._dynamo" in sys.modules:
                sys.modules["torch._dynamo"].reset()
            for item in items:
                runtestprotocol(item, nextitem=None)
                if self.failed:
                    return True
        except BaseException:
            return True
        return False


def _spread(group: list[pytest.Item]) -> Iterator[pytest.Item]:
    """A few of many, from the first to the last."""
    return (group[i * (len(group) - 1) // (ALIKE - 1)] for i in range(ALIKE))


def _coming_by(mutant: Mutant, data: Any, items: list[pytest.Item]) -> list[pytest.Item]:
    tests = data.contexts_by_lineno(str(ROOT / mutant.change.module))
    # What runs when a module is imported concerns all who use it.
    lines = mutant.lines if mutant.change.function != "module" else tests
    nodes = {node for line in lines for node in tests.get(line, ())}
    return [item for item in items if item.nodeid in nodes]


def main(parts: list[str]) -> int:
    report = REPORT.read_text("utf-8")
    argued = arguments(report)
    paths = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "logitkit").rglob("*.py"))
    chosen = [p for p in paths if "plotting" not in p and "__init__" not in p and any(n in p for n in parts or [""])]
    wrong = 0
    for folder, names in TESTS.items():
        mutants = [m for p in chosen if os.path.dirname(p) == folder for m in mutants_of(p)]
        if not mutants:
            continue
        print(Counter(m.change.module for m in mutants), file=sys.stderr, flush=True)
        trial = Trial(mutants)
        only = "not test_accuracy or " + ("torch" if "torch" in folder else "not torch")
        options = ["--assert=plain", "-p", "no:terminal", "-p", "no:cacheprovider", "-s", "--doctest-modules", "-k", only]
        code = pytest.main([*options, *(f"tests/test_{name}.py" for name in names), folder], plugins=[trial])
        if code != pytest.ExitCode.OK:
            return 2
        print(f"\n{dict(trial.outcomes)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
