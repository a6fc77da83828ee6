"""The browser that reads the book: Debian's Chromium, or one that is there under another name."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")
MISSING = "No Chromium is found: install it (on Debian: apt install chromium) or name one in CHROME_PATH"


def find() -> str | None:
    """Return the path of the browser; CHROME_PATH, which Lighthouse reads too, goes first."""
    return os.environ.get("CHROME_PATH") or next(filter(None, map(shutil.which, NAMES)), None)


def flags() -> list[str]:
    """Return what the browser is started with: no host but this one has an address, so that the network is off."""
    rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    # Chromium does not start its sandbox for root, as whom containers run, nor without user namespaces.
    return [rules, "--no-sandbox"]


def install() -> None:
    """Install the browser where that is ours to do: for root, with apt-get."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update"], check=False)
        subprocess.run(
            ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"], env=environment, check=False
        )


if __name__ == "__main__":
    if not find():
        install()
    found = find()
    if not (found and Path(found).is_file()):
        sys.exit(MISSING)
