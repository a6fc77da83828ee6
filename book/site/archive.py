"""Pack the built book into one file that opens from the file system: unpack it and open index.html."""

from pathlib import Path

import logitkit
from book.shared.packing import pack

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT / "dist" / f"logits-book-{logitkit.__version__}.zip"
ONLY_ON_THE_WEB = (
    *(".", "404.html", "robots.txt", "sitemap.xml", "objects.inv"),
    *("_static/cards/", "_static/checker/runtime/"),
)


def pack_site(site: Path, archive: Path) -> None:
    """Write all of a site that a reader without a network can use."""
    files = {path.relative_to(site).as_posix(): path for path in site.rglob("*") if path.is_file()}
    pack(archive, {name: path for name, path in files.items() if not name.startswith(ONLY_ON_THE_WEB)})


if __name__ == "__main__":
    pack_site(ROOT / "_build" / "html", ARCHIVE)
    print(f"{ARCHIVE.relative_to(ROOT)}: {ARCHIVE.stat().st_size / 1e6:.1f} MB. Unpack it and open index.html")
