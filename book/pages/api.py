"""Every entry of the API ends with links to the chapters that use the function.

They are added when a page is written, so that a change in a chapter reads no other page again.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import desc, pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.ext.autodoc.mock import MockFinder
from sphinx.transforms.post_transforms import SphinxPostTransform

USE = re.compile(r"\b(lk|lt|logitkit\.torch|logitkit)\.(\w+)")
SHORT = {"lk": "logitkit", "lt": "logitkit.torch"}


def setup(app: Sphinx) -> None:
    app.connect("config-inited", mock_always)
    app.connect("env-updated", find_uses)
    app.add_post_transform(UsedIn)


def mock_always(app: Sphinx, config: Config) -> None:
    """Mock what autodoc mocks for the whole build: viewcode imports the modules too, and would import PyTorch."""
    sys.meta_path.insert(0, MockFinder(config.autodoc_mock_imports))


def find_uses(app: Sphinx, env: BuildEnvironment) -> set[str]:
    """Note which chapters use each function, and return the pages of the functions for which that has changed."""
    sources = {docname: Path(env.doc2path(docname)) for docname in env.external_site_map}
    used = {docname: functions_in(path) for docname, path in sources.items() if path.suffix == ".ipynb"}
    objects = env.get_domain("py").objects
    uses = {name: [docname for docname, functions in used.items() if name in functions] for name in objects}
    before, env.used_in = getattr(env, "used_in", {}), uses
    return {objects[name].docname for name in uses if uses[name] != before.get(name)}


def functions_in(notebook: Path) -> set[str]:
    """Return the full names of the functions that the text and the code of a notebook use."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    found = (use for cell in cells for use in USE.findall("".join(cell["source"])))
    return {f"{SHORT.get(module, module)}.{function}" for module, function in found}


class UsedIn(SphinxPostTransform):
    """The links, behind the docstring and before the methods of a class."""

    default_priority = 5  # before references are resolved

    def run(self, **_: Any) -> None:
        for entry in self.document.findall(desc):
            signature, content = entry[0], entry[-1]
            chapters = self.env.used_in.get(next(iter(signature.get("ids", ())), ""))
            if chapters:
                links = [self.link(docname) for docname in chapters]
                parts = [part for link in links for part in (nodes.Text(", "), link)][1:]
                place = content.first_child_matching_class(desc)
                paragraph = nodes.paragraph("", "", nodes.Text("Used in: "), *parts, nodes.Text("."))
                content.insert(len(content) if place is None else place, paragraph)

    def link(self, docname: str) -> pending_xref:
        """Return a reference to a chapter, as the role doc writes it."""
        attributes = {"refdomain": "std", "reftype": "doc", "reftarget": f"/{docname}", "refexplicit": False}
        words = nodes.inline("", "", classes=["xref", "std", "std-doc"])
        return pending_xref("", words, refdoc=self.env.docname, **attributes)
