"""Where the book's source is, where its site is, and what git knows of both.

Everything is derived from one setting, ``repository`` in _config.yml.
"""

import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from sphinx.config import Config

import logitkit

ROOT = Path(__file__).parents[2]


def repository(config: Config) -> str:
    """Return the address of the source."""
    return config.html_theme_options["repository_url"].rstrip("/")


def branch(config: Config) -> str:
    """Return the branch that is developed on."""
    return config.html_theme_options["repository_branch"]


def site(config: Config) -> str:
    """Return the address of the book on the pages of the repository's host."""
    owner, name = urlsplit(repository(config)).path.strip("/").split("/")
    return f"https://{owner}.github.io/{name}/"


@cache
def git(*arguments: str) -> str:
    """Return what git answers about the source; nothing where there is no git, or the source lies in another's."""

    def answer(*words: str) -> str:
        command = ["git", "-C", str(ROOT), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        return answer(*arguments) if Path(answer("rev-parse", "--show-toplevel")) == ROOT.resolve() else ""
    except (OSError, subprocess.CalledProcessError):
        return ""


class Version(NamedTuple):
    """What is built: in words, and under the name that the repository has for it."""

    words: str
    revision: str


def version(config: Config) -> Version:
    """Return the release, if what is checked out is tagged as one, and else the development version with its commit."""
    tag = f"v{logitkit.__version__}"
    if tag in git("tag", "--points-at", "HEAD").split():
        return Version(f"logitkit {logitkit.__version__}", tag)
    commit = git("rev-parse", "--short", "HEAD")
    return Version(f"logitkit {logitkit.__version__}, development build{commit and f' of {commit}'}", branch(config))


def last_updated(paths: set[Path]) -> str:
    """Return the day of the last commit that changed one of the files, or nothing where it is not known."""
    if git("rev-parse", "--is-shallow-repository") != "false":  # the oldest commit there would seem to have made all
        return ""
    known = days(git("log", "--format=:%cs", "--name-only"))
    inside = (
        path.relative_to(ROOT.resolve()) for path in map(Path.resolve, paths) if path.is_relative_to(ROOT.resolve())
    )
    return max((known.get(path.as_posix(), "") for path in inside), default="")


@cache
def days(log: str) -> dict[str, str]:
    """Return the day on which each file was last changed, from the log of all commits, newest first."""
    found: dict[str, str] = {}
    for line in log.splitlines():
        if line.startswith(":"):
            day = line
        else:
            found.setdefault(line, day[1:])
    return found
