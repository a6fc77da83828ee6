"""Do the tests bite? The package is changed in one place at a time, and some test should notice.

`make mutants` makes every mutant, runs the tests that come by the changed lines, and compares what survives with
tests/mutants.md, where each survivor is argued to be as good as the original. It fails if one is not.
`python -m tests.mutants NAME` tries the modules whose path contains NAME.

The changes are mutmut's. Running them is not left to it: it passes over properties and the constants of a module, and
makes each function a switch between its mutants, through which torch.compile cannot see. Here one process collects the
tests and runs them once; then, for each mutant, it forks a child in which the code of the functions is replaced.
"""

from __future__ import annotations

import difflib
import gc
import inspect
import mmap
import os
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from functools import partial
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

import coverage
import libcst as cst
import pytest
from hypothesis import Phase, settings
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation import mutators

from tests import contracts, gathered
from tests.accuracy import draws
from tests.survivors import REPORT, ROOT, Change, Mutant, arguments, with_counts

# The tests that try a module, and which of the promises of accuracy are about it. What one line's tests let through is
# tried by those of the next line that has the module: the formulas are those of NumPy and PyTorch.
OF_NUMPY = (
    "links simplex losses cross_entropy cross_entropy_gradient binary_losses kl_divergence linear linear_contract "
    "accuracy properties fuzz edge_cases"
)
OF_KERNELS = "kernels kernel_calls kernel_options threads"
OF_TORCH = (
    "torch_agreement torch_blocks torch_digits torch_derivatives torch_transforms torch_limits torch_memory "
    f"torch_reports torch_layer torch_compiled guard guard_notes {OF_KERNELS} accuracy edge_cases"
)
TESTS = (
    ("_arrays _scales _targets linear links losses simplex", OF_NUMPY, "not torch"),
    ("formulas/binary formulas/double_double formulas/softcap", OF_NUMPY, "not torch"),
    ("kernels/__init__", OF_KERNELS, "nothing"),
    (
        "formulas/binary formulas/softcap kernels/__init__ torch/_blocks torch/_classes torch/_eager torch/_evidence "
        "torch/_func torch/_inputs torch/_layer torch/_operators torch/_rows torch/guard torch/linear torch/links "
        "torch/losses torch/simplex",
        OF_TORCH,
        "torch",
    ),
)
# Of a contract's many alike cases, and of the examples of a property, this many are run.
ALIKE, EXAMPLES = 3, 25
MEMORY = 6 << 30  # bytes that a mutant may take
# Words are not mutated. A name without a value, or a call without one of its operands, fails wherever it is run at all;
# of a call's arguments only the options are left out.
OPERATORS = [
    (kind, operator)
    for kind, operator in mutators.mutation_operators
    if operator not in (mutators.operator_string, mutators.operator_dict_arguments, mutators.operator_assignment)
]
WORDS = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.Raise)
# Options that leave all numbers as they are: lengths are equal anyway, and an array may be stored in any way.
NEUTRAL = ("strict", "copy", "order")


class _Mutator(cst.CSTVisitor):
    """Collects the mutants of a module."""

    METADATA_DEPENDENCIES = (PositionProvider, ParentNodeProvider)

    def __init__(self, module: str, tree: cst.Module) -> None:
        super().__init__()
        self.module, self.tree = module, tree
        self.mutants: dict[str, Mutant] = {}
        self.scope: list[str] = []
        self.head, *self.parts = map(tree.code_for_node, [cst.Module(body=[], header=tree.header), *tree.body])

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, WORDS) or _is_neutral(node):
            return False
        for kind, operator in OPERATORS:
            if isinstance(node, kind):
                for changed in operator(node):
                    if operator is not mutators.operator_arg_removal or _options(changed) < _options(node):
                        self._add(node, changed)
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self.scope.append(node.name.value)
        return True

    def on_leave(self, node: cst.CSTNode) -> None:
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self.scope.pop()

    def _add(self, node: cst.CSTNode, changed: cst.CSTNode) -> None:
        statements = []  # around the node, from the inside out
        while not isinstance(node_around := self._parent(statements[-1] if statements else node), cst.Module):
            statements.append(node_around)
        statements = [s for s in (node, *statements) if isinstance(s, cst.BaseStatement)]
        place = self.tree.body.index(statements[-1])
        old, new = self.parts[place], self.tree.code_for_node(statements[-1].deep_replace(node, changed))
        source = "".join([self.head, *self.parts[:place], new, *self.parts[place + 1 :]])
        difference = list(difflib.ndiff(old.splitlines(), new.splitlines()))
        lines = (" ".join(d[2:].strip() for d in difference if d.startswith(sign)) for sign in ("- ", "+ "))
        change = Change(self.module, ".".join(self.scope) or "module", *lines)
        self.mutants.setdefault(source, Mutant(change, self._lines(statements[0]), source))

    def _parent(self, node: cst.CSTNode) -> cst.CSTNode:
        return self.get_metadata(ParentNodeProvider, node)

    def _lines(self, statement: cst.CSTNode) -> range:
        """Its lines; of a statement with a block only the head, but of a function, whose head has its defaults, all."""
        place = self.get_metadata(PositionProvider, statement)
        if isinstance(statement, cst.BaseCompoundStatement) and not isinstance(statement, cst.FunctionDef):
            return range(place.start.line, self.get_metadata(PositionProvider, statement.body).start.line)
        return range(place.start.line, place.end.line + 1)


def _is_neutral(node: cst.CSTNode) -> bool:
    """Whether no change of a node can show; in a block of two dimensions the axis -1 is the axis +1."""
    if isinstance(node, cst.Arg):
        return node.keyword is not None and node.keyword.value in NEUTRAL
    return isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Minus) and _is_one(node.expression)


def _is_one(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.Integer) and node.value == "1"


def _options(call: cst.Call) -> int:
    return sum(arg.keyword is not None and arg.keyword.value not in NEUTRAL for arg in call.args)


def mutants_of(module: str) -> list[Mutant]:
    """Return the mutants of a module, given by its path."""
    wrapper = MetadataWrapper(cst.parse_module((ROOT / module).read_text("utf-8")), unsafe_skip_copy=True)
    mutator = _Mutator(module, wrapper.module)
    wrapper.visit(mutator)
    return list(mutator.mutants.values())


def replace_code(module: ModuleType, source: str) -> None:
    """Make a module that is in use the one of another source."""
    changed: dict[str, Any] = {"__name__": module.__name__, "__file__": module.__file__}
    exec(compile(source, str(module.__file__), "exec"), changed)
    for name, new in changed.items():
        old = vars(module).get(name)
        if isinstance(new, FunctionType | type):
            if new.__module__ == module.__name__:
                _replace(old, new)
        elif not name.startswith("__") and not isinstance(new, ModuleType):  # a constant, for all who imported it
            for user in [m for n, m in sys.modules.items() if n.startswith("logitkit") and vars(m).get(name) is old]:
                setattr(user, name, new)


def _replace(old: Any, new: Any) -> None:
    if isinstance(new, FunctionType):
        old, new = inspect.unwrap(old), inspect.unwrap(new)  # a decorator's code is the same for all that it decorates
        old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__
    elif isinstance(new, staticmethod):
        _replace(old.__func__, new.__func__)
    elif isinstance(new, property):
        _replace(old.fget, new.fget)
    elif isinstance(new, type):
        for name, value in vars(new).items():
            if isinstance(value, FunctionType | staticmethod | property):
                _replace(vars(old)[name], value)
            elif isinstance(value, bool):
                setattr(old, name, value)


def _spread(test: gathered.Test, trials: gathered.Trials) -> gathered.Trials:
    """Of a contract's cases the first, the middle and the last."""
    if test.__module__ != contracts.__name__:
        return trials
    return list({i: trials[i] for i in (n * (len(trials) - 1) // (ALIKE - 1) for n in range(ALIKE))}.values())


class Trial:
    """A pytest plugin that runs the collected tests once, and then those that matter on each mutant."""

    def __init__(self, mutants: list[Mutant]) -> None:
        self.mutants, self.failed, self.why = mutants, False, ""
        self.seconds: dict[pytest.Item, float] = {}
        self.outcomes: dict[Mutant, str] = {}
        self.killers: dict[tuple[str, str], set[pytest.Item]] = defaultdict(set)
        self.place = mmap.mmap(-1, 4)  # which test a child is at

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed
        self.why = report.longreprtext or self.why

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # Rows of a few classes show an error as well as those of thousands, whose exact values take long.
        draws.rows.__defaults__ = ((1, 2, 3, 4, 10, 33),)
        gathered.all_of = _spread
        for item in items:
            if isinstance(item, pytest.DoctestItem):  # else its second run would find no names
                item.runner.run = partial(item.runner.run, clear_globs=False)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        examples = {"phases": [Phase.generate], "max_examples": EXAMPLES}  # a failure needs no simpler one
        settings.register_profile("mutants", settings.get_profile("same-everywhere"), **examples)
        settings.load_profile("mutants")
        session.config.option.tbstyle = "native"  # all else reads the sources of what failed
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)  # a child would wait for ever for threads that it has not
        for module in {mutant.change.module for mutant in self.mutants}:
            # If this alone made a test fail, all mutants would be thought killed.
            replace_code(_imported(module), (ROOT / module).read_text("utf-8"))
        tests = self._run_once(session.items)
        gc.freeze()
        start = time.monotonic()
        for mutant in self.mutants:
            coming_by = _coming_by(mutant, tests[mutant.change.module])
            killers = self.killers[mutant.change.module, mutant.change.function]
            # What has killed a mutant of the same function is tried first, and the quickest of what has not.
            items = sorted(
                (i for i in session.items if i.nodeid in coming_by), key=lambda i: (i not in killers, self.seconds[i])
            )
            self.outcomes[mutant] = outcome = self._outcome(mutant, items)
            if outcome != "survives" and items:
                killers.add(items[int.from_bytes(self.place[:], "little")])
            done = f"[{len(self.outcomes)} of {len(self.mutants)}, {time.monotonic() - start:.0f} s]"
            print(f"{done} {outcome}: {mutant.change.module}, {mutant.change.function}\n{mutant.change}", flush=True)
        return True

    def _run_once(self, items: list[pytest.Item]) -> dict[str, dict[int, list[str]]]:
        """Return the tests that run each line of each module; note the time that they take."""
        measured = coverage.Coverage(data_file=None, include=["logitkit/*"], messages=False)
        measured.start()
        for item, following in zip(items, [*items[1:], None], strict=True):
            measured.switch_context(item.nodeid)
            if self._run(item, following) > 1:  # what an oracle remembers costs nothing the next time
                self._run(item, following)
            if self.failed:
                raise pytest.UsageError(f"{item.nodeid} fails on the package as it is:\n{self.why}")
        measured.stop()
        print(f"{len(items)} tests in {sum(self.seconds.values()):.0f} s", flush=True)
        data = measured.get_data()
        return {m: data.contexts_by_lineno(str(ROOT / m)) for m in {mutant.change.module for mutant in self.mutants}}

    def _run(self, item: pytest.Item, following: pytest.Item | None) -> float:
        start = time.process_time()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        self.seconds[item] = time.process_time() - start
        return self.seconds[item]

    def _outcome(self, mutant: Mutant, items: list[pytest.Item]) -> str:
        child = os.fork()
        if child == 0:
            os._exit(self._is_noticed(mutant, items))
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return "runs on" if os.WTERMSIG(status) == signal.SIGPROF else "crashes"
        return "killed" if os.WEXITSTATUS(status) else "survives"

    def _is_noticed(self, mutant: Mutant, items: list[pytest.Item]) -> bool:
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        try:
            replace_code(_imported(mutant.change.module), mutant.source)
            if "torch._dynamo" in sys.modules:
                sys.modules["torch._dynamo"].reset()  # it remembers the code that it compiled
            for place, item in enumerate(items):
                self.place[:] = place.to_bytes(4, "little")
                signal.setitimer(signal.ITIMER_PROF, 5 + 10 * self.seconds[item])  # of CPU, then it is killed
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                if self.failed:
                    return True
        except BaseException:  # whatever it is, it is noticed
            return True
        return False


def _imported(module: str) -> ModuleType:
    return import_module(module.removesuffix(".py").removesuffix("/__init__").replace("/", "."))


def _coming_by(mutant: Mutant, tests: dict[int, list[str]]) -> set[str]:
    at_lines = {test for line in mutant.lines for test in tests.get(line, ())}
    # What runs when the module is imported concerns all who use it.
    return at_lines or {test for at_line in tests.values() for test in at_line}


def main(parts: list[str]) -> int:
    """Try the mutants of the modules whose path contains one of `parts`, and correct the counts in the report."""
    text = REPORT.read_text("utf-8")
    argued = arguments(text)
    outcomes: dict[Mutant, str] = {}
    for modules, names, promises in TESTS:
        paths = [f"logitkit/{module}.py" for module in modules.split()]
        chosen = [path for path in paths if any(part in path for part in parts)]
        # What is argued is tried last: a run that is cut short has tried all else.
        mutants = [m for c in chosen for m in mutants_of(c) if outcomes.get(m, "survives") == "survives"]
        if mutants:
            trial = Trial(sorted(mutants, key=lambda m: m.change in argued))
            options = ["--assert=plain", "-p", "no:terminal", "-p", "no:cacheprovider", "-s", "--doctest-modules"]
            only = ["-k", f"not test_accuracy or ({promises})"]
            if pytest.main([*options, *only, *(f"tests/test_{n}.py" for n in names.split()), *chosen], plugins=[trial]):
                return 2
            outcomes |= trial.outcomes
    survivors = dict.fromkeys(m.change for m, outcome in outcomes.items() if outcome == "survives")
    counts = {
        module: (n, sum(s.module == module for s in survivors))
        for module, n in Counter(m.change.module for m in outcomes).items()
    }
    REPORT.write_text(with_counts(text, counts), "utf-8")
    print("\n", Counter(outcomes.values()))
    for change in argued:
        if change.module in counts and change not in survivors:
            print(f"argued, but not among the survivors: {change.module}, {change.function}\n{change}")
    unargued = [change for change in survivors if not argued.get(change)]
    for change in unargued:
        print(f"survives without an argument in {REPORT.name}: {change.module}, {change.function}\n{change}")
    return len(unargued) > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or [""]))
