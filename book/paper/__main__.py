"""Set the whole book as one PDF with LaTeX, and refuse one that is not right: make pdf."""

import os
import subprocess
import sys
from shutil import copyfile, rmtree, which
from time import gmtime, strftime, time
from typing import Any

import yaml
from jupyter_book.config import get_final_config
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

import logitkit
from book.paper import checks
from book.shared.origin import ROOT, git

BUILD = ROOT / "_build" / "pdf"
LATEX = BUILD / "latex"
COVER = ROOT / "book" / "theme" / "static" / "idea.svg"
NAME = f"logits-{logitkit.__version__}"
MOST_PROBLEMS = 30
COMMANDS = ("latexmk", "makeindex", "rsvg-convert", "xelatex")  # what is used, and the command that brings it
INSTALL = (
    "apt-get install --yes --no-install-recommends fonts-dejavu-core fonts-dejavu-extra fonts-texgyre "
    "fonts-texgyre-math latexmk librsvg2-bin texlive-fonts-recommended texlive-latex-extra texlive-latex-recommended texlive-xetex"
)


def install_tools() -> None:
    """Install what is missing where that is allowed, or end with a line that says what to install."""
    if which("apt-get") and os.geteuid() == 0:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        # What is there already needs no list of what there is.
        for command in (INSTALL, "apt-get update", INSTALL):
            run = subprocess.run(command.split(), env=environment, capture_output=True, text=True)
            if command == INSTALL and run.returncode == 0:
                return
        sys.exit(f"make pdf: {INSTALL} did not work:\n{run.stderr}")
    if not all(map(which, COMMANDS)):
        sys.exit(f"make pdf needs XeLaTeX, rsvg-convert and fonts. On Debian and Ubuntu: sudo {INSTALL}")


def settings(date: str) -> dict[str, Any]:
    """Return what the PDF has of its own; all else is that of the site, _config.yml."""
    site, contents = (yaml.safe_load((ROOT / name).read_text("utf-8")) for name in ("_config.yml", "_toc.yml"))
    title, _, subtitle = site["project"].partition(": ")
    facts = {
        "booktitle": title,
        "booksubtitle": subtitle[0].upper() + subtitle[1:],
        "bookversion": logitkit.__version__,
        "bookaddress": site["repository"]["url"],
    }
    preamble = [*(rf"\newcommand{{\{name}}}{{{fact}}}" for name, fact in facts.items()), r"\usepackage{logits}"]
    return {
        "today": date,
        "latex_documents": [(contents["root"], f"{NAME}.tex", site["project"], site["author"], "manual")],
        "latex_engine": "xelatex",
        "latex_elements": {
            "papersize": "a4paper",
            "pointsize": "11pt",
            "extraclassoptions": "oneside,openany",
            "fontpkg": "",  # logits.sty sets the fonts
            "fncychap": "",
            "figure_align": "htb",  # where there is room: the text goes on below its place
            "preamble": "\n".join(preamble),
        },
        "latex_additional_files": ["book/paper/logits.sty"],
        "latex_use_xindy": False,
        "latex_domain_indices": False,
        "nb_mime_priority_overrides": [["latex", "image/svg+xml", 5]],
    }


def write_latex() -> Sphinx:
    """Let Sphinx write the LaTeX, with the configuration of the site except for what settings says."""
    given = {"external_toc_path": "_toc.yml", "latex_individualpages": False, "nitpicky": True}
    config, _ = get_final_config(user_yaml=ROOT / "_config.yml", sourcedir=ROOT, cli_config=given)
    config["extensions"].remove("sphinx_jupyterbook_latex")  # Jupyter Book's own idea of a book
    config["extensions"].append("book.paper")
    config |= settings(strftime("%-d %B %Y", gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))))
    folders = (ROOT, None, LATEX, BUILD / "doctrees")
    with patch_docutils(), docutils_namespace():
        app = Sphinx(*folders, "latex", config, status=None, warningiserror=True, keep_going=True)
        app.build()
    if app.statuscode:
        sys.exit("make pdf: Sphinx has warned, see above")
    subprocess.run(["rsvg-convert", "--format=pdf", f"--output={LATEX / 'cover.pdf'}", COVER], check=True)
    return app


def typeset() -> bool:
    """Run LaTeX as often as it wants, and return whether it came to an end."""
    command = ["latexmk", "-pdfxe", "-interaction=nonstopmode", "-halt-on-error", f"{NAME}.tex"]
    environment = os.environ | {"FORCE_SOURCE_DATE": "1", "max_print_line": "10000", "LATEXOPTS": ""}
    with (LATEX / "latexmk.log").open("wb") as log:
        return subprocess.run(command, cwd=LATEX, env=environment, stdout=log, stderr=log).returncode == 0


def main() -> None:
    """Build the book, and say what is wrong with it or where it is."""
    install_tools()
    # The book is dated to the last commit, so that two builds are the same.
    os.environ.setdefault("SOURCE_DATE_EPOCH", git("log", "-1", "--format=%ct") or str(int(time())))
    rmtree(BUILD, ignore_errors=True)  # what is cached warns of nothing
    print("Writing LaTeX", flush=True)
    app = write_latex()
    print("Setting the pages", flush=True)
    finished = typeset()
    print("Checking the file", flush=True)
    pages = [page for page in app.env.external_site_map if page not in (app.config.root_doc, "genindex")]
    problems = list(checks.problems(LATEX, NAME, app.env, pages))
    if problems or not finished:
        print("\n".join(problems[:MOST_PROBLEMS]))
        sys.exit(f"make pdf: {len(problems)} problems; LaTeX's log is {LATEX / NAME}.log")
    copyfile(LATEX / f"{NAME}.pdf", BUILD / f"{NAME}.pdf")
    print(f"The book is set. Open file://{BUILD / NAME}.pdf")


if __name__ == "__main__":
    main()
