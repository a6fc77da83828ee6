"""What every room may use. The environment of the frameworks reads the edge cases too, and has no Sphinx."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.environment import BuildEnvironment


def load(env: BuildEnvironment, *files: str) -> None:
    """Ask for styles and scripts, by their names in _static, on the page that is being read; site.head loads them."""
    env.metadata[env.docname].setdefault("files", []).extend(files)
