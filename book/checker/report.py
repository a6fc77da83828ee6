"""What the page of the checker asks of Python: the files in, and what the command line would say of them out."""

import json
import os
from pathlib import Path

from logitkit.check import check_files
from logitkit.check.output import as_text

FOLDER = Path("/home/reader")


def report(files: str) -> str:
    """Check files given as JSON, by their names, and return the findings as JSON, each with its text."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    os.chdir(FOLDER)
    for old in Path().iterdir():
        old.unlink()
    texts = {Path(name).name: text for name, text in json.loads(files).items()}
    for name, text in texts.items():
        Path(name).write_text(text, "utf-8")
    results = list(check_files(list(texts), (".",), jobs=1))
    findings = {}
    for one in (finding for result in results for finding in result.findings):
        key = (one.place.path, one.cell, one.place.line, one.code)
        findings.setdefault(key, {**one.plain(), "text": as_text([one])})
    troubles = [f"{result.path}: {result.trouble}" for result in results if result.trouble]
    return json.dumps({"findings": [*findings.values()], "troubles": troubles})
