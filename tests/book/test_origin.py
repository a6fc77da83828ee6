"""Dates and versions come from git, where there is one."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import logitkit
import logitkit.torch
from book.shared import origin
from tests.book.common import CONFIG, REPOSITORY

SHALLOW = ",".join(CONFIG["sphinx"]["config"]["suppress_warnings"])


def last_updated(folder):
    """Return the day that a page shows, built as the book is: a warning is an error."""
    command = [sys.executable, "-m", "sphinx", "-qWCE", "-D", "html_theme=basic", "-D", f"suppress_warnings={SHALLOW}"]
    command += ["-D", "extensions=sphinx_last_updated_by_git", "-D", "html_last_updated_fmt=%Y-%m-%d"]
    subprocess.run([*command, folder, folder / "_build"], check=True)
    return "".join(re.findall(r"Last updated on ([\d-]+)", (folder / "_build" / "index.html").read_text("utf-8")))


def test_source_without_its_git_has_no_dates_and_claims_no_release(tmp_path, monkeypatch):
    folder = tmp_path / "unpacked"
    folder.mkdir()
    (folder / "index.rst").touch()
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)  # of somebody else
    monkeypatch.setattr(origin, "ROOT", folder)
    origin.git.cache_clear()
    config = SimpleNamespace(html_theme_options={"repository_url": REPOSITORY, "repository_branch": "main"})
    assert last_updated(folder) == ""
    assert origin.version(config) == (f"logitkit {logitkit.__version__}, development build", "main")
    monkeypatch.undo()
    origin.git.cache_clear()


def test_dates_and_releases_come_from_git_and_not_from_a_shallow_copy(tmp_path, monkeypatch):
    source, shallow = tmp_path / "source", tmp_path / "shallow"

    def git(*arguments):
        day = {"GIT_AUTHOR_DATE": "2020-01-02T12:00Z", "GIT_COMMITTER_DATE": "2020-01-02T12:00Z"}
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *who, *arguments], check=True, capture_output=True, env=os.environ | day)

    git("init", source)
    (source / "index.rst").touch()
    git("-C", source, "add", "index.rst")
    git("-C", source, "commit", "--message", "first")
    git("-C", source, "tag", f"v{logitkit.__version__}")
    git("-C", source, "commit", "--allow-empty", "--message", "second")
    git("clone", "--depth=1", "--branch", f"v{logitkit.__version__}", source.as_uri(), shallow)
    git("-C", shallow, "fetch", "--depth=1")
    config = SimpleNamespace(html_theme_options={"repository_url": REPOSITORY, "repository_branch": "main"})
    for folder, day, revision in ((source, "2020-01-02", "main"), (shallow, "", f"v{logitkit.__version__}")):
        monkeypatch.setattr(origin, "ROOT", folder)
        origin.git.cache_clear()
        assert last_updated(folder) == day
        words, built = origin.version(config)
        assert (built, "development build of " in words) == (revision, revision == "main")
    monkeypatch.undo()
    origin.git.cache_clear()
