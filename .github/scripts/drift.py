"""Keep one issue that says what fails with the newest releases: open it, update it, close it when all is well.

python .github/scripts/drift.py RESULT LOGS RUN, where RESULT is that of the jobs, LOGS a folder with the log of each
command that failed, and RUN the address of the run. It calls gh, which takes its token from GH_TOKEN.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LABEL = "drift"
TITLE = "Newest releases of the dependencies"
TELLING = re.compile(r"^(FAILED|ERROR|E   )|\b(error|warning|broken link|timeout)\b", flags=re.IGNORECASE)
COLOR = re.compile(r"\x1b\[[0-9;]*m")
LINES, LENGTH = 40, 200  # of each log; GitHub takes bodies up to 65,536 characters


def essential(log: str) -> str:
    """Return the lines of a log that tell what went wrong, and its last ones."""
    lines = [COLOR.sub("", line)[:LENGTH].rstrip() for line in log.splitlines()]
    last = lines[-5:]
    telling = list(dict.fromkeys(line for line in lines[:-5] if TELLING.search(line)))
    left_out = len(telling) - LINES
    return "\n".join([*telling[:LINES], *([f"... {left_out} more"] if left_out > 0 else []), "...", *last])


def canonical(name: str) -> str:
    """Return a package's name in the one spelling that compares."""
    return re.sub(r"[-_.]+", "-", name).lower()


def newer(target: str, log: str) -> list[str]:
    """Return what pip installed in another version than the pinned one."""
    path = "tests/frameworks/constraints.txt" if target == "frameworks" else "constraints.txt"
    pins = re.findall(r"^([^#\s]+)==(\S+)$", (ROOT / path).read_text("utf-8"), flags=re.MULTILINE)
    lines = re.findall(r"^Successfully installed (.+)$", log, flags=re.MULTILINE)
    installed = {canonical(name): version for name, version in re.findall(r"(\S+)-([^-+\s]+)", " ".join(lines))}
    pairs = [(name, pin, installed.get(canonical(name), pin)) for name, pin in pins]
    return [f"{name} {pin} → {version}" for name, pin, version in pairs if version != pin]


def body(logs: dict[str, str], run: str) -> str:
    """Return the text of the issue."""
    parts = [f"With the newest releases in place of the pinned ones, this fails. [The run]({run}) has the whole logs."]
    for target, log in logs.items():
        parts += [f"## `make {target} NEWEST=1`", f"````text\n{essential(log)}\n````"]
        parts += [f"Newer than the pins: {', '.join(newer(target, log)) or 'nothing'}."]
    return "\n\n".join(parts)


def gh(*arguments: str, text: str | None = None) -> str:
    """Run gh and return what it prints."""
    return subprocess.run(["gh", *arguments], input=text, check=True, capture_output=True, text=True).stdout.strip()


def report(result: str, logs: dict[str, str], run: str) -> None:
    """Bring the issue up to date."""
    if result != "success" and not logs:
        sys.exit("the jobs failed before they wrote a log")
    number = gh(
        "issue", "list", "--label", LABEL, "--state", "open", "--json", "number", "--jq", ".[0].number // empty"
    )
    if result == "success":
        if number:
            gh("issue", "close", number, "--comment", f"All is well with the newest releases: {run}")
        return
    title, text = f"{TITLE}: {', '.join(logs)} failed", body(logs, run)
    if number:
        gh("issue", "edit", number, "--title", title, "--body-file", "-", text=text)
    else:
        gh("label", "create", LABEL, "--force", "--description", "Fails with the newest releases")
        gh("issue", "create", "--title", title, "--label", LABEL, "--body-file", "-", text=text)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: drift.py RESULT LOGS RUN")
    report(
        sys.argv[1],
        {path.stem: path.read_text("utf-8") for path in sorted(Path(sys.argv[2]).glob("*.log"))},
        sys.argv[3],
    )
