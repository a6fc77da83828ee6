"""Mathematics: KaTeX renders it while the book is built."""

import socket
import subprocess
from pathlib import Path
from time import monotonic, sleep

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinxcontrib import katex

from book.shared.node import KATEX, NODE


def setup(app: Sphinx) -> dict[str, bool]:
    """Let the extension use our Node."""
    katex.NODEJS_BINARY = str(NODE)
    katex.KaTeXServer.start_server_process = start_renderer
    katex.STARTUP_TIMEOUT = katex.RENDER_TIMEOUT = 60.0  # five seconds are too few to start Node on a busy machine
    app.connect("config-inited", configure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def configure(app: Sphinx, config: Config) -> None:
    """Take the renderer and the style sheet from one package: each style sheet fits one version only."""
    config.katex_js_path = str(KATEX / "dist" / "katex.min.js")


def start_renderer(folder: Path, timeout: float) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start KaTeX and connect to it by a Unix socket.

    The extension's own way ends the build if it connects in the moment in which the socket exists but does not accept.
    Over a port it tries again, but there each formula waits 40 ms for an acknowledgement that TCP delays.
    """
    address = folder / "katex.sock"
    command = katex.KaTeXServer.build_command(socket=address)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)
    connection = socket.socket(socket.AF_UNIX)
    end = monotonic() + timeout
    while connection.connect_ex(str(address)):
        if monotonic() > end:
            raise katex.KaTeXServer.timeout_error(timeout)
        sleep(0.001)
    return process, connection
