"""The built book as a static host serves it: below a folder, compressed, kept for ten minutes, its own page for 404."""

import gzip
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import ClassVar
from urllib.parse import urlsplit

import yaml

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "_config.yml").read_text("utf-8"))
# A host serves a project's site below the project's name: what links to "/" is lost there.
PREFIX = "/" + PurePosixPath(CONFIG["repository"]["url"]).name
TEXT = ("text/", "application/javascript", "application/json", "application/xml", "image/svg+xml")


class Handler(SimpleHTTPRequestHandler):
    """Answers GET; the folder is the keyword argument ``directory``."""

    protocol_version = "HTTP/1.1"  # connections are kept, as a host does
    disable_nagle_algorithm = True  # headers and body are two writes, and the second would wait for the first's receipt
    extensions_map: ClassVar = {  # the registered types, whatever this machine's table says
        **SimpleHTTPRequestHandler.extensions_map,
        ".css": "text/css",
        ".html": "text/html",
        ".ipynb": "application/json",
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".svg": "image/svg+xml",
        ".txt": "text/plain",
        ".wasm": "application/wasm",
        ".woff2": "font/woff2",
        ".xml": "application/xml",
    }

    def do_GET(self) -> None:
        """Send the file, or 304 if the browser has it, or the site's own page for 404."""
        path = urlsplit(self.path).path
        file = Path(self.translate_path(path.removeprefix(PREFIX)))
        if file.is_dir():
            file /= "index.html"
        status = HTTPStatus.OK
        if not path.startswith(f"{PREFIX}/") or not file.is_file():
            file, status = Path(self.directory, "404.html"), HTTPStatus.NOT_FOUND
            if not file.is_file():
                self.send_error(status)
                return
        kind = self.guess_type(file.name)
        packed = kind.startswith(TEXT) and "gzip" in self.headers.get("Accept-Encoding", "")
        body, tag = content(file, file.stat().st_mtime_ns, packed)
        if status is HTTPStatus.OK and self.headers.get("If-None-Match") == tag:
            status, body = HTTPStatus.NOT_MODIFIED, b""
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Vary", "Accept-Encoding")
        self.send_header("Cache-Control", "max-age=600")
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the browser tells what failed."""


@cache
def content(file: Path, _modified: int, packed: bool) -> tuple[bytes, str]:
    """Return what is sent for a file, and its tag."""
    body = file.read_bytes()
    if packed:
        body = gzip.compress(body, mtime=0)
    return body, f'"{hashlib.sha256(body).hexdigest()[:20]}"'


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine, on a free port, and yield its address without a slash at the end."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
        server.shutdown()
