"""The book on paper: one PDF, set with LaTeX and checked."""

from sphinx.application import Sphinx
from sphinx.config import Config

import logitkit
from book.shared import origin


def setup(app: Sphinx) -> None:
    app.setup_extension("book.paper.latex")
    app.connect("config-inited", configure)


def configure(app: Sphinx, config: Config) -> None:
    """Set what follows from other settings; the rest is in _config.yml."""
    title, _, subtitle = config.project.partition(": ")
    facts = {
        "booktitle": title,
        "booksubtitle": subtitle[0].upper() + subtitle[1:],
        "bookversion": logitkit.__version__,
        "bookaddress": origin.repository(config),
    }
    preamble = [*(rf"\newcommand{{\{name}}}{{{fact}}}" for name, fact in facts.items()), r"\usepackage{logits}"]
    config.latex_elements["preamble"] = "\n".join(preamble)
    config.latex_documents = [(config.root_doc, "logits.tex", config.project, config.author, "manual")]
