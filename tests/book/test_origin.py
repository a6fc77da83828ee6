"""Dates and versions come from git, where there is one."""

import os
import subprocess
from types import SimpleNamespace

import logitkit
import logitkit.torch
from book.shared import origin
from tests.book.common import REPOSITORY


def test_source_without_its_git_has_no_dates_and_claims_no_release(tmp_path, monkeypatch):
    folder = tmp_path / "unpacked"
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)  # of somebody else
    monkeypatch.setattr(origin, "ROOT", folder)
    origin.git.cache_clear()
    config = SimpleNamespace(html_theme_options={"repository_url": REPOSITORY, "repository_branch": "main"})
    assert origin.last_updated({folder / "a.md"}) == ""
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
    (source / "a.md").touch()
    git("-C", source, "add", "a.md")
    git("-C", source, "commit", "--message", "first")
    git("-C", source, "tag", f"v{logitkit.__version__}")
    git("-C", source, "commit", "--allow-empty", "--message", "second")
    git("clone", "--depth=1", "--branch", f"v{logitkit.__version__}", source.as_uri(), shallow)
    git("-C", shallow, "fetch", "--depth=1")
    config = SimpleNamespace(html_theme_options={"repository_url": REPOSITORY, "repository_branch": "main"})
    for folder, day, revision in ((source, "2020-01-02", "main"), (shallow, "", f"v{logitkit.__version__}")):
        monkeypatch.setattr(origin, "ROOT", folder)
        origin.git.cache_clear()
        assert origin.last_updated({folder / "a.md"}) == day
        words, built = origin.version(config)
        assert (built, "development build of " in words) == (revision, revision == "main")
    monkeypatch.undo()
    origin.git.cache_clear()
