"""Where the book's source is, where its site is, and what git knows of both.

Everything is derived from one setting, ``repository`` in _config.yml.
"""

import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sphinx.config import Config

import logitkit

ROOT = Path(__file__).parents[2]


def repository(config: Config) -> str:
    """Return the address of the source."""
    return config.html_theme_options["repository_url"].rstrip("/")


def site(config: Config) -> str:
    """Return the address of the book on the pages of the repository's host."""
    *_, owner, name = repository(config).split("/")
    return f"https://{owner}.github.io/{name}/"


@cache
def git(*arguments: str) -> str:
    """Return what git answers about the source; nothing where there is no git, or the source lies in another's."""
    command = ["git", f"--git-dir={ROOT / '.git'}", *arguments]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


class Version(NamedTuple):
    """What is built: in words, and under the name that the repository has for it, a tag or the branch."""

    words: str
    revision: str


def version(config: Config) -> Version:
    """Return the release, if what is checked out is tagged as one, and else the development version with its commit."""
    tag = f"v{logitkit.__version__}"
    if tag in git("tag", "--points-at", "HEAD").split():
        return Version(f"logitkit {logitkit.__version__}", tag)
    commit = git("rev-parse", "--short", "HEAD")
    words = f"logitkit {logitkit.__version__}, development build{commit and f' of {commit}'}"
    return Version(words, config.html_theme_options["repository_branch"])
