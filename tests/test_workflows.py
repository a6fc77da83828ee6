"""What publishes the book and the package is well formed, pinned, and calls what is there."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from importlib.metadata import metadata, packages_distributions
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from logitkit import conventions

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
BIN = Path(sys.executable).parent
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in sorted(GITHUB.glob("workflows/*.yml"))}
JOBS = {f"{name}-{job}": content for name, workflow in WORKFLOWS.items() for job, content in workflow["jobs"].items()}
JOBS["check"] = yaml.safe_load((GITHUB / "actions/check/action.yml").read_text("utf-8"))["runs"]
STEPS = [(f"{job}-{i}", step) for job, content in JOBS.items() for i, step in enumerate(content.get("steps", []))]
SCRIPTS = [pytest.param(step["run"], id=name) for name, step in STEPS if "run" in step]

sys.path.insert(0, str(GITHUB / "scripts"))
import drift  # noqa: E402


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, text=True, capture_output=True, check=False, **options)


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("vendor.github-workflows", ".github/workflows/*.yml"),
        ("custom.github-workflows-require-timeout", ".github/workflows/*.yml"),
        ("vendor.github-actions", ".github/actions/*/action.yml"),
        ("vendor.github-actions", "action.yml"),
        ("vendor.dependabot", ".github/dependabot.yml"),
        ("vendor.github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
        ("vendor.github-issue-forms", ".github/ISSUE_TEMPLATE/[!c]*.yml"),
        ("vendor.github-issue-forms", ".github/ISSUE_TEMPLATE/claim.yml"),
        ("vendor.citation-file-format", "CITATION.cff"),
    ],
)
def test_file_follows_its_schema(schema: str, pattern: str) -> None:
    paths = sorted(ROOT.glob(pattern))
    assert paths
    done = run(BIN / "check-jsonschema", "--builtin-schema", schema, *paths)
    assert done.returncode == 0, done.stdout


def test_audit_finds_no_unpinned_action_no_needless_permission_and_no_injection() -> None:
    done = run(BIN / "zizmor", "--offline", "--persona", "pedantic", GITHUB)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_is_pinned_to_one_commit_with_its_version() -> None:
    text = "".join(path.read_text("utf-8") for path in GITHUB.rglob("*.yml"))
    uses = re.findall(r"uses: (\S+)(.*)", text)
    actions = [(name, comment) for name, comment in uses if not name.startswith("./")]  # in this repository
    assert len(actions) > 10
    for name, comment in actions:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", name)
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)
    assert len(set(actions)) == len({name.partition("@")[0] for name, _ in actions})


def test_dependabot_looks_at_every_file_of_pins() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text("utf-8"))["updates"]
    asked = {each["package-ecosystem"]: each.get("directories", [each.get("directory")]) for each in updates}
    for ecosystem, name in (("npm", "package-lock.json"), ("pip", "constraints.txt")):
        tracked = run("git", "-C", ROOT, "ls-files", name, f"**/{name}").stdout.split()
        assert sorted(asked[ecosystem]) == sorted(f"/{path}".removesuffix(name).rstrip("/") or "/" for path in tracked)
    assert asked["github-actions"] == ["/"]


def test_only_the_jobs_that_publish_may_write() -> None:
    may = {
        (name, job): {what for what, level in content.get("permissions", {}).items() if level == "write"}
        for name, workflow in WORKFLOWS.items()
        for job, content in workflow["jobs"].items()
    }
    assert {where: what for where, what in may.items() if what} == {
        ("weekly", "report"): {"issues"},
        ("publish", "pypi"): {"id-token"},
        ("publish", "pages"): {"pages", "id-token"},
        ("publish", "release"): {"contents"},
    }
    assert all(workflow["permissions"] in ({}, {"contents": "read"}) for workflow in WORKFLOWS.values())


@pytest.mark.parametrize("script", SCRIPTS)
def test_shell_of_a_step_is_sound(script: str) -> None:
    assert "${{" not in script  # what a stranger writes would be run: it goes through the environment
    done = run(BIN / "shellcheck", "--shell=bash", "-", input=script)
    assert done.returncode == 0, done.stdout


def test_every_file_and_make_target_that_a_step_names_is_there() -> None:
    scripts = "\n".join(step["run"] for _, step in STEPS if "run" in step)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    everything = re.findall(r"set -- (.+)", (ROOT / ".ci/run").read_text("utf-8"))
    asked = [step["with"]["targets"] for _, step in STEPS if "targets" in step.get("with", {})]
    lines = [*re.findall(r"make ((?:[a-z]+ ?)+)", scripts), *everything, *asked]
    called = {word for line in lines for word in line.split() if word.isalpha()}
    called |= {*WORKFLOWS["weekly"]["jobs"]["newest"]["strategy"]["matrix"]["target"]}
    assert {"book", "test", "links", "mutants", "browser", "frameworks", "pdf"} <= called
    assert called <= targets
    files = re.findall(r"(?:\.github/scripts/|\.ci/|@tests/)[\w.-]+", scripts)
    assert files
    assert [name for name in files if not (ROOT / name.removeprefix("@")).is_file()] == []
    listed = (ROOT / "tests/package.txt").read_text("utf-8").split()
    assert [name for name in listed if not (ROOT / name).is_file()] == []


def test_every_path_that_starts_a_workflow_is_there() -> None:
    triggers = [workflow[True] for workflow in WORKFLOWS.values()]  # to YAML, on is a truth value
    filters = [event["paths"] for trigger in triggers for event in trigger.values() if event and "paths" in event]
    assert len(filters) >= 6
    assert [path for paths in filters for path in paths if not any(ROOT.glob(path))] == []


def test_every_python_that_the_package_names_is_tested_on_every_system() -> None:
    matrix = WORKFLOWS["package"]["jobs"]["package"]["strategy"]["matrix"]
    classifiers = metadata("logitkit").get_all("Classifier")
    named = [line.rpartition(" ")[2] for line in classifiers if re.search(r"Python :: 3\.\d+$", line)]
    assert matrix["python"] == named
    assert metadata("logitkit")["Requires-Python"] == f">={named[0]}"
    assert [system.partition("-")[0] for system in matrix["system"]] == ["ubuntu", "macos", "windows"]
    (oldest,) = [
        s["with"] for s in WORKFLOWS["package"]["jobs"]["oldest"]["steps"] if "setup-python" in s.get("uses", "")
    ]
    assert oldest["python-version"] == named[0]


def test_links_of_the_forms_lead_to_this_repository_and_its_book() -> None:
    repository = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["repository-code"] == repository
    texts = [path.read_text("utf-8") for path in [*GITHUB.glob("*.md"), *GITHUB.glob("ISSUE_TEMPLATE/*.yml")]]
    links = re.findall(r"https://[^\s)]+", "\n".join(texts))
    assert len(links) > 3
    for link in links:
        assert link.startswith((f"{repository}/", citation["url"]))
        if link.startswith(citation["url"]):
            page = Path(link.removeprefix(citation["url"])).with_suffix("")
            assert list(ROOT.glob(f"{page}.*")), link


def test_labels_of_the_forms_are_in_the_list_to_set_up() -> None:
    forms = [yaml.safe_load(path.read_text("utf-8")) for path in GITHUB.glob("ISSUE_TEMPLATE/*.yml")]
    labels = {drift.LABEL, *(label for form in forms for label in form.get("labels", []))}
    guide = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert [label for label in labels if f"`{label}`" not in guide] == []


def imports(source: str) -> set[str]:
    """The top-level modules that a cell imports."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


def test_binder_installs_what_the_chapters_import() -> None:
    lines = (ROOT / ".binder/requirements.txt").read_text("utf-8").splitlines()
    options = dict(line.split(" ", 1) for line in lines if line.startswith("--"))
    assert (ROOT / ".binder" / options["--constraint"]).resolve() == ROOT / "constraints.txt"
    extras = Requirement(f"logitkit{options['--editable'].removeprefix('.')}").extras
    given = {Requirement(line).name for line in lines if re.match(r"\w", line)}
    for requirement in map(Requirement, metadata("logitkit").get_all("Requires-Dist")):
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            given.add(canonicalize_name(requirement.name))
    notebooks = [nbformat.read(path, as_version=4) for path in ROOT.glob("chapters/*.ipynb")]
    cells = [cell.source for notebook in notebooks for cell in notebook.cells if cell.cell_type == "code"]
    modules = set().union(*map(imports, cells)) - sys.stdlib_module_names - {"logitkit"}
    providers = packages_distributions()
    assert {canonicalize_name(providers[module][0]) for module in modules} <= given


def test_link_check_asks_for_the_source_of_every_record_and_the_registry_for_every_doi(tmp_path: Path) -> None:
    (tmp_path / "index.rst").write_text(
        "`one <https://doi.org/10.1093/biomet/71.1.1>`_, `other <https://a.org>`_", "utf-8"
    )
    settings = ["extensions=book.pages.link_check", "linkcheck_ignore=.*", "linkcheck_report_timeouts_as_broken=0"]
    options = [word for setting in settings for word in ("-D", setting)]
    command = [BIN / "sphinx-build", "-C", "-q", "-b", "linkcheck", *options, tmp_path, tmp_path / "out"]
    done = run(*command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "out/output.json").read_text("utf-8").splitlines()
    asked = {json.loads(line)["uri"] for line in lines}
    assert {"https://doi.org/api/handles/10.1093/biomet/71.1.1", "https://a.org"} <= asked
    assert {record.case.source for record in conventions.table() if record.case.source.startswith("http")} <= asked
