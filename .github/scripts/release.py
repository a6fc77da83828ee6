"""What a release is made of: check that all that names its version agrees, and write its notes.

python .github/scripts/release.py check v0.1.0
python .github/scripts/release.py notes v0.1.0
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def found(path: str, pattern: str) -> list[str]:
    """Return what the pattern's group matches in a file of the repository."""
    return re.findall(pattern, (ROOT / path).read_text("utf-8"), flags=re.MULTILINE)


def problems(tag: str) -> list[str]:
    """Return what does not agree with the tag, a line each."""
    said = {
        "logitkit/__init__.py": found("logitkit/__init__.py", r'^__version__ = "(.+)"$'),
        "CITATION.cff": found("CITATION.cff", r"^version: (.+)$"),
        "the first section of CHANGELOG.md": found("CHANGELOG.md", r"^## (\S+)")[:1],
    }
    wrong = [
        f"{where} is of {what}, the tag is {tag}" for where, what in said.items() if [f"v{x}" for x in what] != [tag]
    ]
    cited, changed = found("CITATION.cff", r'^date-released: "(.+)"$'), found("CHANGELOG.md", r"^## \S+ \((.+)\)$")[:1]
    return [*wrong, *([] if cited == changed else [f"CITATION.cff is dated {cited}, CHANGELOG.md {changed}"])]


def notes(tag: str) -> str:
    """Return the section of the changelog."""
    sections = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
    (section,) = [each for each in sections if each.split()[0] == tag.removeprefix("v")]
    return section.partition("\n")[2].strip()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["check", tag]:
            sys.exit("\n".join(problems(tag)) or None)
        case ["notes", tag]:
            print(notes(tag))
        case _:
            sys.exit("usage: release.py check|notes TAG")
