"""Set the whole book as one PDF with LaTeX, and refuse one that is not right: make pdf."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from shutil import copyfile, rmtree, which
from time import time

import logitkit
from book.paper import checks
from book.shared.origin import ROOT, git

BUILD = ROOT / "_build" / "pdf"
LATEX = BUILD / "_build" / "latex"
ENVIRONMENT = BUILD / "_build" / ".doctrees" / "environment.pickle"
COVER = ROOT / "book" / "theme" / "static" / "idea.svg"
MOST_PROBLEMS = 30
COMMANDS = ("latexmk", "makeindex", "rsvg-convert", "xelatex")  # what is used, and the command that brings it
INSTALL = (
    "apt-get install --yes --no-install-recommends fonts-dejavu-core fonts-dejavu-extra fonts-texgyre "
    "fonts-texgyre-math latexmk librsvg2-bin texlive-fonts-recommended texlive-latex-extra "
    "texlive-latex-recommended texlive-xetex"
)


def install_tools() -> None:
    """Install what is missing where that is allowed, or end with a line that says what to install."""
    if which("apt-get") and os.geteuid() == 0:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        command = f"{INSTALL} || {{ apt-get update && {INSTALL}; }}"  # what is there needs no list of what there is
        run = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)
        if run.returncode:
            sys.exit(f"make pdf: {INSTALL} did not work:\n{run.stderr}")
    elif not all(map(which, COMMANDS)):
        sys.exit(f"make pdf needs XeLaTeX, rsvg-convert and fonts. On Debian and Ubuntu: sudo {INSTALL}")


def write_latex() -> None:
    """Let Sphinx write the LaTeX."""
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    options = ["-Wnq", "--keep-going", "--builder", "custom", "--custom-builder", "latex", "--path-output"]
    if subprocess.run([jupyter_book, "build", *options, BUILD, ROOT]).returncode:
        sys.exit("make pdf: Sphinx has warned, see above")
    subprocess.run(["rsvg-convert", "--format=pdf", f"--output={LATEX / 'cover.pdf'}", COVER], check=True)


def typeset() -> bool:
    """Run LaTeX as often as it wants, and return whether it came to an end."""
    command = ["latexmk", "-pdfxe", "-interaction=nonstopmode", "-halt-on-error", "logits.tex"]
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
    write_latex()
    print("Setting the pages", flush=True)
    finished = typeset()
    print("Checking the file", flush=True)
    problems = list(checks.problems(LATEX / "logits", pickle.loads(ENVIRONMENT.read_bytes())))
    if problems or not finished:
        print("\n".join(problems[:MOST_PROBLEMS]))
        sys.exit(f"make pdf: {len(problems)} problems; LaTeX's log is {LATEX}/logits.log")
    book = BUILD / f"logits-{logitkit.__version__}.pdf"
    copyfile(LATEX / "logits.pdf", book)
    print(f"The book is set. Open file://{book}")


if __name__ == "__main__":
    main()
