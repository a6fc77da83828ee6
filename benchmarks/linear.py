"""Time and memory of a linear layer with its loss and gradients, beside its peers: part of `make bench`.

PyTorch's function computes all logits at once by default, and with options in chunks of rows, here those that it picks
itself. cut-cross-entropy takes part if it's installed, with what it offers for a CPU, a compiled layer and loss; it
can't be imported without Triton. Liger-Kernel has nothing for a CPU, so it's in `gpu.py`.

The results are written to the book's data, and to the table in `README.md`. `measuring.py` says how time is measured.
"""

# The first import sets the number of threads, before the libraries are loaded.
from measuring import Call, configure, peak_memory, rounds_of_seconds  # isort: skip
import gc
import json
import os
import platform
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from itertools import product
from typing import Any

import numpy as np
import torch
from losses import DATA, HERE, SLOW, machine, quartiles
from torch.nn import functional

import logitkit as lk
import logitkit.torch as lt

try:
    from cut_cross_entropy import linear_cross_entropy as cut_cross_entropy
except ImportError:
    cut_cross_entropy = None

ROUNDS = 3
SHAPES = [(8_192, 1_000, 256), (2_048, 32_000, 256), (64, 128_256, 256)]
TWIN, CUT = "twin", "cut-cross-entropy"
PEERS = (SLOW, "logitkit for NumPy", "PyTorch", "PyTorch in chunks", CUT)


def with_backward(loss_of: Callable[..., torch.Tensor], arrays: tuple[np.ndarray, ...]) -> Call:
    """Return a call of a layer with its loss and their gradients."""
    *operands, labels = map(torch.from_numpy, arrays)

    def call() -> Any:
        leaves = [tensor.detach().requires_grad_() for tensor in operands]
        loss = loss_of(*leaves, labels)
        loss.backward()
        return loss, *(leaf.grad for leaf in leaves)

    return call


def calls_of(arrays: tuple[np.ndarray, ...]) -> dict[str, Call]:
    """Return the contestants."""
    at_once, twin = functional.linear_cross_entropy, with_backward(lt.linear_cross_entropy, arrays)
    in_chunks = partial(at_once, options=torch.nn.LinearCrossEntropyOptions())
    calls = {
        TWIN: twin,
        SLOW: twin,
        "logitkit for NumPy": partial(lk.linear_cross_entropy_value_and_grad, *arrays),
        "PyTorch": with_backward(at_once, arrays),
        "PyTorch in chunks": with_backward(in_chunks, arrays),
    }
    if cut_cross_entropy is not None:
        calls[CUT] = with_backward(partial(cut_cross_entropy, impl="torch_compile"), arrays)
    return calls


def measured() -> Iterator[dict[str, Any]]:
    """Yield a result for each number of threads and shape."""
    generator = np.random.default_rng(0)
    for call in calls_of((np.ones((4, 2)), np.ones((3, 2)), np.zeros(4, int))).values():
        call()  # what a library loads at its first call is no part of a layer's memory
    dtype = np.float32  # nearly all of the time is that of products, in float64 twice as long for everybody
    for threads, (rows, classes, width) in product((1, 2), SHAPES):
        configure(threads, fast=True)
        features = generator.standard_normal((rows, width)).astype(dtype)
        weight = (generator.standard_normal((classes, width)) / np.sqrt(width)).astype(dtype)
        calls = calls_of((features, weight, generator.integers(0, classes, rows)))
        gc.collect()
        memory = {name: peak_memory(call) for name, call in calls.items() if threads == 1 and name != SLOW}
        seconds = rounds_of_seconds(calls, SLOW, threads, ROUNDS)
        results = {
            name: {
                "ms": 1000 * statistics.median(own),
                "ratio": quartiles([a / b for a, b in zip(seconds[TWIN], own, strict=True)]),
                "MiB": None if memory.get(name) is None else round(memory[name] / 2**20),
            }
            for name, own in seconds.items()
        }
        shape = f"{rows:,} x {classes:,} x {width}"
        result = {"threads": threads, "dtype": dtype.__name__, "shape": shape, "of": results}
        print(*line(result), sep=" | ", flush=True)
        yield result


def line(result: dict[str, Any]) -> list[str]:
    """Return the cells of a row of the table."""
    of = result["of"]
    cells = [result["dtype"], result["shape"], str(result["threads"]), f"{of[TWIN]['ms'] / 1000:.2f} s"]
    for peer in PEERS:
        low, middle, high = of[peer]["ratio"] if peer in of else (None, None, None)
        cells.append("–" if middle is None else f"{middle:.2f} ({low:.2f}–{high:.2f})")
    memory = [of.get(name, {}).get("MiB") for name in (TWIN, *PEERS[1:])]
    return cells + ["–" if extra is None else f"{extra:,} MiB" for extra in memory]


def main() -> None:
    """Measure, and write the data and the table."""
    versions = [f"{module.__name__} {module.__version__}" for module in (lk, np, torch)]
    if cut_cross_entropy is not None:
        versions.append(f"{CUT} {version(CUT)}")
    about = {
        "machine": machine(),
        "versions": ", ".join([*versions, f"Python {platform.python_version()}"]),
        "load": os.getloadavg()[1],
        "rounds": ROUNDS,
    }
    results = list(measured())
    lines = ",\n".join(map(json.dumps, results))
    DATA.with_name("layers.json").write_text(f'{json.dumps(about)[:-1]}, "results": [\n{lines}\n]}}\n')
    header = ["dtype", "rows x classes x features", "threads", TWIN, *(f"time / {peer}" for peer in PEERS)]
    header += [f"memory of {name}" for name in (TWIN, *PEERS[1:])]
    table = [header, ["---"] * 2 + ["---:"] * (len(header) - 2), *map(line, results)]
    load = f"The machine's load in the five minutes before was {about['load']:.1f}."
    text = f"{about['machine']}. {about['versions']}. {load}\n\n"
    text += "\n".join(f"| {' | '.join(cells)} |" for cells in table)
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition("<!-- layers -->\n")
    _, _, after = rest.partition("<!-- end of layers -->")
    readme.write_text(f"{before}<!-- layers -->\n\n{text}\n\n<!-- end of layers -->{after}")


if __name__ == "__main__":
    main()
