"""What every room may use."""

from sphinx.environment import BuildEnvironment


def load(env: BuildEnvironment, *files: str) -> None:
    """Ask for styles and scripts, by their names in _static, on the page that is being read; site.head loads them."""
    env.metadata[env.docname].setdefault("files", []).extend(files)
