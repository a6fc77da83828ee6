"""Run notebooks from a clean kernel and store them in one form, so that a diff shows only what changed.

Kept: the cells, their ids, their metadata, the outputs. Dropped: everything that varies from run to run or from machine
to machine (execution times, the kernel's and Python's version, the editor's settings).
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from time import perf_counter

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.validator import normalize

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
SECONDS_A_CELL = 120
PAGE_METADATA = ("myst", "mystnb")  # what the author of a page sets; the rest is an editor's


def run(path: Path) -> float:
    """Run one notebook, store it normalized, and return the seconds that it took."""
    started = perf_counter()
    notebook = normalized(nbformat.read(path, as_version=4))
    NotebookClient(
        notebook,
        timeout=SECONDS_A_CELL,
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--log-level=40"],  # errors only: the kernel warns of every unencrypted local port
        record_timing=False,
        coalesce_streams=True,
    ).execute()
    nbformat.write(normalized(notebook), path)
    return perf_counter() - started


def normalized(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a notebook without empty cells and lines at the ends, and with the metadata that an author has set."""
    notebook.nbformat_minor = 5
    _, notebook = normalize(notebook)  # gives every cell an id of its own
    notebook.cells = [cell for cell in notebook.cells if cell.source.strip()]
    for cell in notebook.cells:
        cell.source = cell.source.strip("\n")
        cell.metadata = {key: value for key, value in cell.metadata.items() if key in {"mystnb", "tags"} and value}
    kept = {key: value for key, value in notebook.metadata.items() if key in PAGE_METADATA}
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}, **kept}
    nbformat.validate(notebook)
    return notebook


def main(paths: list[Path]) -> int:
    """Run all notebooks, as many at a time as there are cores, and say how each went."""
    failed = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for path, job in [(path, pool.submit(run, path)) for path in paths]:
            try:
                print(f"{path}: {job.result():.1f} s", flush=True)
            except CellExecutionError as error:
                failed += 1
                print(f"{path}: stopped, nothing stored\n{error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]]))
