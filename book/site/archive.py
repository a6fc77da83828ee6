"""Pack the built book into one file that opens from the file system: unpack it and open index.html."""

import zipfile
from pathlib import Path

import logitkit

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
ARCHIVE = ROOT / "dist" / f"logits-book-{logitkit.__version__}.zip"
ONLY_ON_THE_WEB = (
    ".",
    "404.html",
    "robots.txt",
    "sitemap.xml",
    "objects.inv",
    "_static/cards/",
    "_static/checker/runtime/",
)
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of the format: what is packed twice is the same to the byte


def pack(site: Path, archive: Path) -> None:
    """Write all of a site that a reader without a network can use."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(path for path in site.rglob("*") if path.is_file()):
            name = path.relative_to(site).as_posix()
            if not name.startswith(ONLY_ON_THE_WEB):
                member = zipfile.ZipInfo(name, FIRST_DAY)
                member.external_attr = 0o644 << 16  # who may read it, also where the one who packs has stricter habits
                packed.writestr(member, path.read_bytes(), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    pack(SITE, ARCHIVE)
    print(f"{ARCHIVE.relative_to(ROOT)}: {ARCHIVE.stat().st_size / 1e6:.1f} MB. Unpack it and open index.html")
