"""The audits of a page, as functions of a page that is open in the browser."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

HERE = Path(__file__).parent
SCRIPT = (HERE / "audits.js").read_text("utf-8")
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"


def audit(page: Page, name: str, argument: object = None) -> Any:
    """Return what one of the audits in audits.js finds, mostly a list of what is wrong."""
    if name == "axe":
        page.evaluate(AXE.read_text("utf-8"))
    return page.evaluate(f"argument => {{ {SCRIPT}\nreturn audits.{name}(argument) }}", argument)
