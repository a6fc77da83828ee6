"""What runs the checker for others: the GitHub Action at the top of the repository, and the hook for pre-commit."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from logitkit.cli import main

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
WRONG = "import torch.nn.functional as F\n\nloss = F.cross_entropy(F.softmax(z, 1), y)\n"
# How the runner reads a line of the log; %25, %0A, %3A and %2C stand for what it splits at.
COMMAND = re.compile(r"^::(?P<name>error|notice) (?P<properties>[^:]*)::(?P<message>.*)$")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a folder" / "50%, or so.py").write_text(WRONG)
    (tmp_path / "right.py").write_text(WRONG.replace("F.softmax(z, 1)", "z"))
    return tmp_path


def act(project: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the action's step as the runner does."""
    (step,) = ACTION["runs"]["steps"]
    given = {name: each["default"] for name, each in ACTION["inputs"].items()} | inputs
    values = {f"inputs.{name}": value for name, value in given.items()} | {"github.action_path": str(ROOT)}
    env = {name: values[re.fullmatch(r"\$\{\{ (.*) \}\}", each)[1]] for name, each in step["env"].items()}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    home = {"XDG_CACHE_HOME": str(project / ".cache"), "PATH": os.environ["PATH"]}
    return subprocess.run(command, cwd=project, env=home | env, text=True, capture_output=True, check=False)


def test_action_marks_the_line_and_fails(project: Path) -> None:
    done = act(project)
    assert (done.returncode, done.stderr) == (1, "")
    (line,) = done.stdout.splitlines()
    command = COMMAND.match(line)
    properties = dict(each.split("=", 1) for each in command["properties"].split(","))
    assert command["name"] == "error"
    assert unquote(properties["file"]) == "a folder/50%, or so.py"
    assert (properties["line"], properties["title"]) == ("3", "LK101")
    assert "softmax" in command["message"]


def test_action_passes_options_and_paths(project: Path) -> None:
    assert act(project, paths="right.py").returncode == 0
    assert act(project, options="--ignore LK101").returncode == 0
    assert act(project, paths="nowhere").returncode == 2


def test_hook_checks_the_files_it_is_given(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program, *words = HOOK["entry"].split()
    assert (program, HOOK["language"], set(HOOK["types_or"])) == ("logitkit", "python", {"python", "jupyter"})
    assert main([*words, str(project / "right.py")]) == 0
    assert main([*words, *map(str, project.rglob("*.py"))]) == 1
