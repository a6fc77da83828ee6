"""The scripts that the workflows call: they release, report and publish what they should."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import logitkit

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"

sys.path.insert(0, str(GITHUB / "scripts"))
import drift  # noqa: E402
import release  # noqa: E402


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, text=True, capture_output=True, check=False, **options)


class TestRelease:
    """Package, changelog and citation are of one version and day."""

    def test_everything_agrees_with_the_version(self) -> None:
        assert release.problems(f"v{logitkit.__version__}") == []
        assert version("logitkit") == logitkit.__version__

    def test_another_tag_is_refused(self) -> None:
        for tag in ("v0.0.9", logitkit.__version__):
            done = run(sys.executable, GITHUB / "scripts/release.py", "check", tag)
            assert done.returncode == 1
            assert len(done.stderr.splitlines()) == 3

    def test_another_day_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "logitkit").mkdir()
        for name in ("logitkit/__init__.py", "CITATION.cff", "CHANGELOG.md"):
            (tmp_path / name).write_text((ROOT / name).read_text("utf-8"), "utf-8")
        cited = tmp_path / "CITATION.cff"
        cited.write_text(re.sub(r'(date-released: )".+"', r'\1"1999-12-31"', cited.read_text("utf-8")), "utf-8")
        monkeypatch.setattr(release, "ROOT", tmp_path)
        (problem,) = release.problems(f"v{logitkit.__version__}")
        assert "1999-12-31" in problem

    def test_notes_are_the_section_of_the_changelog(self) -> None:
        notes = release.notes(f"v{logitkit.__version__}")
        assert notes
        assert "## " not in notes
        assert f"{notes}\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


GH = """#!{python}
import json, sys
text = sys.stdin.read() if "-" in sys.argv else ""
with open("{calls}", "a") as file:
    file.write(json.dumps([sys.argv[1:], text]) + "\\n")
print("{number}" if sys.argv[1:3] == ["issue", "list"] else "")
"""
LOG = """\
Successfully installed numpy-99.1 logitkit-0.1.0 torch-{torch}+cpu
collected 3 items
\x1b[31mFAILED\x1b[0m tests/test_links.py::test_it - assert 1 == 2
..........
1 failed, 2 passed
"""


PINS = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), flags=re.MULTILINE))


class TestDrift:
    """One issue says what fails with the newest releases."""

    def report(self, folder: Path, result: str, number: str = "") -> list[Any]:
        """Run the script with a gh that notes how it is called and knows an open issue or none."""
        (folder / "logs").mkdir(exist_ok=True)
        gh, calls = folder / "gh", folder / "calls"
        gh.write_text(GH.format(python=sys.executable, calls=calls, number=number), "utf-8")
        gh.chmod(0o755)
        done = run(
            sys.executable,
            GITHUB / "scripts/drift.py",
            *(result, folder / "logs", "https://example.org/run"),
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in calls.read_text("utf-8").splitlines()]

    def test_what_fails_opens_an_issue_with_the_lines_that_tell(self, tmp_path: Path) -> None:
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs/test.log").write_text(LOG.format(torch=PINS["torch"]), "utf-8")
        _, _, (create, text) = self.report(tmp_path, "failure")
        assert create[:2] == ["issue", "create"]
        assert "test failed" in create[create.index("--title") + 1]
        assert create[create.index("--label") + 1] == drift.LABEL
        assert "\nFAILED tests/test_links.py::test_it" in text
        assert f"numpy {PINS['numpy']} → 99.1" in text
        assert "torch" not in text.partition("Newer than the pins")[2]
        assert "https://example.org/run" in text

    def test_the_open_issue_is_edited_and_none_is_added(self, tmp_path: Path) -> None:
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs/links.log").write_text("WARNING: broken link: https://example.org\n", "utf-8")
        _, (edit, text) = self.report(tmp_path, "failure", "7")
        assert edit[:3] == ["issue", "edit", "7"]
        assert "broken link: https://example.org" in text

    def test_issue_is_closed_when_all_is_well_and_nothing_is_done_without_one(self, tmp_path: Path) -> None:
        assert [call[:3] for call, _ in self.report(tmp_path, "success", "7")][1:] == [["issue", "close", "7"]]
        (tmp_path / "calls").unlink()
        assert len(self.report(tmp_path, "success")) == 1

    def test_jobs_that_failed_before_they_wrote_a_log_close_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(SystemExit, match="before"):
            drift.report("failure", {}, "")

    def test_long_log_fits_an_issue(self) -> None:
        log = "\n".join(f"ERROR {i} {'x' * 1000}" for i in range(10_000))
        assert len(drift.body(dict.fromkeys(["test", "frameworks", "book", "links"], log), "")) < 65_536


def test_notebooks_of_a_release_replace_those_of_the_last(tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    assert run("git", "init", "--quiet", "--bare", remote).returncode == 0
    for tag, name in (("v1", "old.ipynb"), ("v2", "new.ipynb")):
        folder = tmp_path / tag
        folder.mkdir()
        (folder / name).write_text("{}", "utf-8")
        done = run(GITHUB / "scripts/push-notebooks", tag, folder, remote)
        assert done.returncode == 0, done.stderr
    assert run("git", "-C", remote, "ls-tree", "--name-only", "notebooks").stdout == "new.ipynb\n"
    assert "v2" in run("git", "-C", remote, "log", "--format=%s", "notebooks").stdout
