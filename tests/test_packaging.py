"""What a user who installs the package gets, and what a contributor's environment is made of."""

import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import distribution, distributions
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import logitkit

ROOT = Path(__file__).parent.parent


def run(*command: str | Path, **options) -> str:
    done = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Return a folder with the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


def test_wheel_holds_the_package_its_type_marker_and_nothing_else(dist):
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "logitkit/py.typed" in names
    suffixes = {".py", ".toml", ".json"}
    files = [path for path in (ROOT / "logitkit").rglob("*") if path.suffix in suffixes]
    assert {path.relative_to(ROOT).as_posix() for path in files} <= set(names)
    assert {name.split("/")[0] for name in names} == {"logitkit", f"logitkit-{logitkit.__version__}.dist-info"}


def test_pictures_of_the_readme_show_on_pypi_too(dist):
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"logitkit-{logitkit.__version__}.dist-info/METADATA").decode()
    pictures = re.findall(r"!\[[^\]]+\]\((\S+)\)", text)
    repository = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]
    files = f"https://raw.githubusercontent.com{urlsplit(repository['url']).path}/{repository['branch']}/"
    assert pictures
    assert [each for each in pictures if not each.startswith(files)] == []
    assert all((ROOT / each.removeprefix(files)).is_file() for each in pictures)


def test_sdist_holds_what_is_needed_to_build_the_book_and_run_the_tests(dist):
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert {"Makefile", "constraints.txt", "_config.yml", "_toc.yml", "README.md", "LICENSE"} <= names
    assert any(name.startswith("tests/") for name in names)
    assert any(name.startswith("chapters/") for name in names)
    assert not any("node_modules" in name or name.startswith(("_build", ".venv")) for name in names)


def test_installed_wheel_works_with_numpy_alone(dist, tmp_path):
    (wheel,) = dist.glob("*.whl")
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", tmp_path, wheel)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import logitkit; "
        "print(logitkit.__version__, logitkit.__file__); "
        "print(*sorted(name for name in sys.modules if name in {'torch', 'scipy', 'matplotlib', 'IPython'}))"
    )
    first, second = run(sys.executable, "-c", code, tmp_path, cwd=tmp_path).splitlines()
    assert first == f"{logitkit.__version__} {tmp_path / 'logitkit' / '__init__.py'}"
    assert second == ""
    explained = run(sys.executable, "-m", "logitkit", "explain", "torch.nn.NLLLoss", cwd=tmp_path)
    assert "log-probabilities as `input`" in explained


def pinned_in(path: str) -> set[str]:
    lines = (ROOT / path).read_text("utf-8").splitlines()
    return {canonicalize_name(line.split("==")[0]) for line in lines if "==" in line and not line.startswith("#")}


def test_every_version_that_make_installs_is_pinned():
    needed: set[tuple[str, str]] = set()
    open_ = [("logitkit", "dev")]
    while open_:
        name, extra = open_.pop()
        if (name, extra) in needed:
            continue
        needed.add((name, extra))
        for text in distribution(name).requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                open_ += [(canonicalize_name(requirement.name), each) for each in {"", *requirement.extras}]
    # These belong to the environment itself: pip freeze does not list them.
    assert {name for name, _ in needed} - {"logitkit", "pip", "setuptools", "wheel"} <= pinned_in("constraints.txt")


def test_every_pinned_version_installs_on_the_oldest_python_that_is_promised():
    (oldest,) = SpecifierSet(distribution("logitkit").metadata["Requires-Python"])
    assert oldest.operator == ">="
    pinned = pinned_in("constraints.txt")
    installed = [each.metadata for each in distributions() if canonicalize_name(each.name) in pinned]
    wants = {each["Name"]: SpecifierSet(each.get("Requires-Python", "")) for each in installed}
    assert [name for name, python in wants.items() if f"{oldest.version}.0" not in python] == []


def test_every_framework_that_make_installs_is_pinned():
    lines = (ROOT / "tests/frameworks/requirements.txt").read_text("utf-8").splitlines()
    needed = {Requirement(line).name for line in lines if line and not line.startswith("#")}
    assert {canonicalize_name(name) for name in needed} <= pinned_in("tests/frameworks/constraints.txt")


@pytest.mark.parametrize("folder", ["book", "tests/frameworks", "tests/browser"])
def test_lock_of_javascript_names_no_package_host(folder):
    text = (ROOT / folder / "package-lock.json").read_text()
    assert "integrity" in text
    assert not re.search(r'"resolved"', text)
