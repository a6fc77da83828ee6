"""``{diagnose}``: a form that says what a loss could be, with the causes of logitkit.diagnose and no network."""

import json
from dataclasses import asdict
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from book import shared
from logitkit.diagnose._tells import CAUSES, KNOWN_CLASSES, SMOOTHINGS, USUAL_CLASSES, Tell, constants, of_positive_rate

FORM = """\
<form class="names diagnose needs-script" role="search" aria-label="Look up a loss">
<label>Loss <input name="loss" inputmode="decimal" placeholder="1.4615" autocomplete="off"></label>
<label>Number of classes <input name="classes" inputmode="numeric" placeholder="unknown" autocomplete="off"></label>
<p role="status"></p>
<ol></ol>
<script type="application/json">{facts}</script>
</form>
"""


def setup(app: Sphinx) -> None:
    app.add_directive("diagnose", Diagnose)


class Diagnose(SphinxDirective):
    """The form, which docutils has no node for."""

    def run(self) -> list[nodes.Node]:
        shared.load(self.env, "names.css", "diagnose.js")
        facts = {
            "causes": {name: asdict(cause) for name, cause in CAUSES.items()},
            "usual": USUAL_CLASSES,
            "known": KNOWN_CLASSES,
            "smoothings": SMOOTHINGS,
            "binary": [plain(tell) for tell in of_positive_rate(None)] + [plain(next(constants(2)))],
            "fixed": [plain(tell) for tell in constants(3)],
        }
        text = json.dumps(facts, ensure_ascii=False).replace("</", "<\\/")
        return [nodes.raw("", FORM.format(facts=text), format="html")]


def plain(tell: Tell) -> dict[str, Any]:
    """What the script has to know of a value; its number of classes isn't worth saying."""
    return {"cause": tell.cause, "value": tell.value, "kind": tell.kind, "weight": tell.weight}
