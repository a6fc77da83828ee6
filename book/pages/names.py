"""The records of logitkit.conventions: all in a list with a filter, and one loss in every framework in tabs."""

import re
from dataclasses import replace
from html import escape
from typing import NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

import logitkit as lk
from book import shared
from book.shared.records import AGREED_LOG_ODDS, FILES, best_covered_first, entry
from logitkit import conventions
from logitkit.conventions import SCALES, Record
from logitkit.conventions._schema import frozen

FORM = """\
<form class="names needs-script" role="search" aria-label="Filter the list">
<label>Find <input type="search" name="find" placeholder="a name, a word of a trap" autocomplete="off"></label>
<label>Framework <select name="framework"><option value="">any</option>{frameworks}</select></label>
<label>Scale <select name="scale"><option value="">any</option>{scales}</select></label>
<button type="reset">Clear</button>
<p role="status"></p>
</form>
"""
AGREED = [2.0, 0.0, -1.0]  # the scores of three classes on which the records agree; the true class is the first
SHOWN = {  # by the kind of loss: the prediction on the scales that it may want, scores first, the class, and its vector
    "multiclass loss": (
        {"logits": AGREED, "probabilities": lk.softmax(AGREED), "log-probabilities": lk.log_softmax(AGREED)},
        *(0, [1.0, 0.0, 0.0]),
    ),
    "binary loss": ({"log-odds": [AGREED_LOG_ODDS], "probabilities": [lk.expit(AGREED_LOG_ODDS)]}, 1, [1.0]),
}
BINDINGS = {"Python": "{} = {}", "JavaScript": "const {} = {}", "R": "{} <- {}"}
TAB = """
:::{{tab-item}} {record.framework}
:sync: {record.framework}

[`{record.symbol}`](<{record.case.docs}>) of {record.scale}:

```{language}
{inputs}
{record.case.check.call}
```

gives **{right}**; with {record.case.wrong.passes} in their place: {wrong}. Run with {versions}.
:::
"""


def setup(app: Sphinx) -> None:
    app.add_directive("names-table", NamesTable)
    app.add_directive("names-tabs", NamesTabs)
    app.connect("env-get-outdated", pages_without_new_records)


class NamesTable(SphinxDirective):
    """All records of logitkit.conventions: a form that filters them, and an entry for each that a link can name."""

    def run(self) -> list[nodes.Node]:
        depend_on_records(self)
        shared.load(self.env, "names.css", "names.js")
        records = best_covered_first(conventions.table())
        frameworks = sorted({record.framework for record in records}, key=str.lower)
        form = FORM.format(
            frameworks="".join(f"<option>{escape(name)}</option>" for name in frameworks),
            scales="".join(f'<option value="{each}">{conventions.words_for(each)}</option>' for each in SCALES),
        )
        entries = map(entry, records, anchors(records))
        return [nodes.raw("", form, format="html"), nodes.definition_list("", *entries, classes=["names"])]


def anchors(records: list[Record]) -> list[tuple[str, ...]]:
    """Return the names by which a link finds each entry: its symbol, and for the first of a callable all its paths."""
    taken = {anchor(record.symbol) for record in records}
    found = []
    for record in records:
        free = [name for name in map(anchor, record.callable.paths) if name not in taken]
        found.append((anchor(record.symbol), *free))
        taken.update(free)
    return found


def anchor(name: str) -> str:
    """Return a name as it may stand in an address."""
    return re.sub(r"[^\w.:-]+", "-", name).strip("-")


class NamesTabs(SphinxDirective):
    """One loss, such as ``multiclass loss``, on the same numbers in each framework: the call and what it gave."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        depend_on_records(self)
        return self.parse_text_to_nodes(tabs(self.arguments[0]))


def depend_on_records(directive: SphinxDirective) -> None:
    """Make the page depend on the records and on what came of them."""
    for path in FILES:
        directive.env.note_dependency(str(path))


def pages_without_new_records(app: Sphinx, env: BuildEnvironment, *_: set[str]) -> list[str]:
    """Return the pages that depend on the records and were read before there were all files of them."""
    files = set(map(str, FILES))
    return [page for page, known in env.dependencies.items() if files & known and files - known]


class Outcome(NamedTuple):
    """What a framework returned when it was last run, right and wrong, and which versions these were."""

    record: Record
    versions: dict[str, str]
    right: str
    wrong: str


def outcomes(role: str) -> list[Outcome]:
    """Return one loss a framework that was run: its first that takes scores, or else its first of any scale."""
    scores = next(iter(SHOWN[role][0]))
    chosen: dict[str, Record] = {}
    for record in sorted(conventions.table(), key=lambda record: record.scale != scores):
        check = record.case.check
        agreed = check and record.case.formula is None and check.p is None and check.x is None
        if record.case.role == role and agreed and record.case.wrong:
            chosen.setdefault(record.framework, record)
    found = []
    for record in best_covered_first(list(chosen.values())):
        runs = [run for run in conventions.results()["runs"] if run["framework"] == record.framework]
        versions = {package: number for run in runs for package, number in run["versions"].items()}
        numbers = {run.get("backend", ""): run["records"][record.symbol] for run in runs}
        if runs:
            said = (
                replace(getattr(record.case, part), gives=frozen({key: numbers[key][part] for key in numbers})).outcome
                for part in ("check", "wrong")
            )
            found.append(Outcome(record, versions, *said))
    return found


def tabs(role: str) -> str:
    """Return, as MyST, a tab for each framework with the call of its loss and what came of it."""
    return "\n".join(["::::{tab-set}", *map(tab, outcomes(role)), "::::"])


def tab(outcome: Outcome) -> str:
    """Return the tab of a framework."""
    facts = outcome._asdict() | {
        "language": outcome.record.language.lower(),
        "inputs": inputs(outcome.record),
        "versions": ", ".join(f"{package} {number}" for package, number in outcome.versions.items()),
    }
    return TAB.format(**facts)


def inputs(record: Record) -> str:
    """Return the assignments of what the call uses, on the scale that it wants."""
    scales, y, onehot = SHOWN[record.case.role]
    values = {"x": [round(float(each), 6) for each in scales[record.scale]], "y": y, "onehot": onehot}
    if record.language == "R":
        values = {name: f"c({str(value)[1:-1]})" if name != "y" else value for name, value in values.items()}
    used = [name for name in values if re.search(rf"\b{name}\b", record.case.check.call)]
    return "\n".join(BINDINGS[record.language].format(name, values[name]) for name in used)
