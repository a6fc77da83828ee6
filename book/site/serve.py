"""Build the book, serve it on this machine, and build again when something it is made of changes."""

import subprocess
import sys
from pathlib import Path

from livereload import Server

SOURCES = ("chapters/*.ipynb", "chapters/*.md", "logitkit/*.py", "book/**/*", "*.yml", "references.bib", "CHANGELOG.md")
HOST, PORT = "127.0.0.1", 8000


def build() -> None:
    """Build without -W: a half-written page is better seen than refused."""
    subprocess.run([Path(sys.executable).with_name("jupyter-book"), "build", "-n", "--quiet", "."], check=False)


if __name__ == "__main__":
    build()
    server = Server()
    for pattern in SOURCES:
        server.watch(pattern, build, ignore=lambda name: "node_modules" in name)
    server.serve(root="_build/html", host=HOST, port=PORT)
