"""The records of logitkit.conventions: all in a list with a filter, and one loss in every framework in tabs."""

import re
from dataclasses import replace
from html import escape
from typing import Any, NamedTuple

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

AGREED = [2.0, 0.0, -1.0]  # the scores of three classes on which the records agree; the true class is the first
FROM_SCORES = {"multiclass loss": "logits", "binary loss": "log-odds"}
BINDINGS = {"Python": "{} = {}", "JavaScript": "const {} = {}", "R": "{} <- {}"}


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
        form = nodes.raw("", FORM.format(frameworks=_options(records), scales=_scales()), format="html")
        entries = [entry(record, ids) for record, ids in zip(records, anchors(records), strict=True)]
        return [form, nodes.definition_list("", *entries, classes=["names"])]


FORM = """\
<form class="names needs-script" role="search" aria-label="Filter the list">
<label>Find <input type="search" name="find" placeholder="a name, a word of a trap" autocomplete="off"></label>
<label>Framework <select name="framework"><option value="">any</option>{frameworks}</select></label>
<label>Scale <select name="scale"><option value="">any</option>{scales}</select></label>
<button type="reset">Clear</button>
<p role="status"></p>
</form>
"""


def anchors(records: list[Record]) -> list[tuple[str, ...]]:
    """Return the names by which a link finds each entry: its symbol, and for the first of a callable all its paths."""
    taken = {_anchor(record.symbol) for record in records}
    found = []
    for record in records:
        free = [name for name in map(_anchor, record.callable.paths) if name not in taken]
        found.append((_anchor(record.symbol), *free))
        taken.update(free)
    return found


def _anchor(name: str) -> str:
    return re.sub(r"[^\w.:-]+", "-", name).strip("-")


def _options(records: list[Record]) -> str:
    names = sorted({record.framework for record in records}, key=str.lower)
    return "".join(f"<option>{escape(name)}</option>" for name in names)


def _scales() -> str:
    return "".join(f'<option value="{scale}">{conventions.words_for(scale)}</option>' for scale in SCALES)


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
    chosen: dict[str, Record] = {}
    for record in sorted(conventions.table(), key=lambda record: record.scale != FROM_SCORES[role]):
        check = record.case.check
        agreed = check and record.case.formula is None and check.p is None and check.x is None
        if record.case.role == role and agreed and record.case.wrong:
            chosen.setdefault(record.framework, record)
    found = []
    for record in best_covered_first(list(chosen.values())):
        runs = [run for run in conventions.results()["runs"] if run["framework"] == record.framework]
        if runs:
            given = {
                part: {run.get("backend", ""): run["records"][record.symbol][part] for run in runs}
                for part in ("check", "wrong")
            }
            versions = {package: number for run in runs for package, number in run["versions"].items()}
            right, wrong = (
                replace(getattr(record.case, part), gives=frozen(numbers)).outcome for part, numbers in given.items()
            )
            found.append(Outcome(record, versions, right, wrong))
    return found


def tabs(role: str) -> str:
    """Return, as MyST, a tab for each framework with the call of its loss and what came of it."""
    return "\n".join(["::::{tab-set}", *map(_tab, outcomes(role)), "::::"])


def _tab(outcome: Outcome) -> str:
    record = outcome.record
    versions = ", ".join(f"{package} {number}" for package, number in outcome.versions.items())
    return f"""
:::{{tab-item}} {record.framework}
:sync: {record.framework}

[`{record.symbol}`](<{record.case.docs}>) of {record.scale}:

```{record.language.lower()}
{_inputs(record)}
{record.case.check.call}
```

gives **{outcome.right}**; with {record.case.wrong.passes} in their place: {outcome.wrong}. Run with {versions}.
:::
"""


def _inputs(record: Record) -> str:
    """Return the assignments of what the call uses, on the scale that it wants."""
    if record.case.role == "binary loss":
        probability = round(float(lk.expit(AGREED_LOG_ODDS)), 6)
        x, y, onehot = [AGREED_LOG_ODDS if record.scale == "log-odds" else probability], 1, [1.0]
    else:
        on_scale = {"probabilities": lk.softmax, "log-probabilities": lk.log_softmax, "log-odds": lk.class_log_odds}
        convert = on_scale.get(record.scale, list)
        x, y, onehot = [round(float(each), 6) for each in convert(AGREED)], 0, [1.0, 0.0, 0.0]
    values = {"x": x, "y": y, "onehot": onehot}
    used = [name for name in values if re.search(rf"\b{name}\b", record.case.check.call)]
    return "\n".join(BINDINGS[record.language].format(name, _literal(values[name], record.language)) for name in used)


def _literal(value: Any, language: str) -> str:
    return f"c({', '.join(map(str, value))})" if language == "R" and isinstance(value, list) else str(value)
