"""What the page of the checker asks of Python: the files in, and what the command line would say of them out."""

import json
import os

from logitkit.check import check_files
from logitkit.check.output import as_text

FOLDER = "/home/reader"


def report(files: str) -> str:
    """Check files given as JSON, by their names, and return the findings as JSON, each with its text."""
    texts = {os.path.basename(name): text for name, text in json.loads(files).items()}
    os.makedirs(FOLDER, exist_ok=True)
    os.chdir(FOLDER)
    for name in os.listdir("."):
        os.remove(name)
    for name, text in texts.items():
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
    results = list(check_files(list(texts), (".",), jobs=1))
    seen = set()
    findings = []
    for one in (finding for result in results for finding in result.findings):
        key = (one.place.path, one.cell, one.place.line, one.code)
        if key not in seen:
            seen.add(key)
            findings.append({**one.plain(), "text": as_text([one])})
    troubles = [f"{result.path}: {result.trouble}" for result in results if result.trouble]
    return json.dumps({"findings": findings, "troubles": troubles})
