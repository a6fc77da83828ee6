"""Time of logitkit and its twins, with the compiled kernels and without, beside SciPy and PyTorch: `make bench`.

The results are written to the book's data, and to the table in `README.md`. `measuring.py` says how time is measured.
"""

# The first import sets the number of threads, before the libraries are loaded.
from measuring import Call, configure, peak_memory, rounds_of_seconds  # isort: skip
import json
import os
import platform
import re
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from scipy import special
from torch.nn import functional

import logitkit as lk
import logitkit.torch as lt

HERE = Path(__file__).parent
DATA = HERE.parent / "chapters" / "data" / "losses.json"
ROUNDS = 5
THREADS = (1, 2)
DTYPES = (np.float32, np.float64)
# A classifier of images with few classes and with many, a language model's batch, and a small batch.
SHAPES = ((65_536, 10), (4_096, 1_000), (512, 32_000), (64, 128_256), (32, 10))
NUMBERS = 4_000_000
SLOW = "without `fast`"  # logitkit with its kernels switched off
COMPILED = "itself, compiled"  # the twin under torch.compile, whose times are to be compared with PyTorch's
COPY = "one copy"  # reading the input and writing as much: what no gradient can be faster than

F_cross_entropy, F_binary = functional.cross_entropy, functional.binary_cross_entropy_with_logits


def class_calls(logits: np.ndarray, target: np.ndarray) -> Iterator[tuple[str, dict[str, Call]]]:
    """Yield the losses of classes; SciPy has none, so its users write them."""
    z, labels, rows = torch.from_numpy(logits), torch.from_numpy(target), np.arange(len(target))
    compiled = torch.compile(F_cross_entropy, dynamic=True)

    def scipy_loss() -> Any:
        return (special.logsumexp(logits, axis=1) - logits[rows, target]).mean()

    def scipy_loss_and_grad() -> Any:
        grad = special.softmax(logits, axis=1)
        grad[rows, target] -= 1
        grad /= len(target)
        return scipy_loss(), grad

    ours = partial(lk.cross_entropy, target, logits=logits)
    peers = {"PyTorch": partial(F_cross_entropy, z, labels), "PyTorch, compiled": partial(compiled, z, labels)}
    yield "cross_entropy", {"logitkit": ours, SLOW: ours, "SciPy": scipy_loss, **peers}
    ours, theirs = partial(lk.logsumexp, logits), partial(special.logsumexp, logits, axis=1)
    peers = {"PyTorch": partial(torch.logsumexp, z, dim=1)}
    yield "logsumexp", {"logitkit": ours, SLOW: ours, "SciPy": theirs, **peers}
    ours = partial(lk.cross_entropy_value_and_grad, target, logits=logits)
    peers = {
        "PyTorch": with_backward(F_cross_entropy, z, labels),
        "PyTorch, compiled": with_backward(compiled, z, labels),
    }
    yield "cross_entropy and gradient", {"logitkit": ours, SLOW: ours, "SciPy": scipy_loss_and_grad, **peers}
    twin = with_backward(lt.cross_entropy, z, labels)
    compiled_twin = with_backward(torch.compile(lt.cross_entropy, dynamic=True), z, labels)
    yield "twin of cross_entropy, with backward", {"logitkit": twin, SLOW: twin, **peers, COMPILED: compiled_twin}
    shares = torch.softmax(torch.randn_like(z), dim=1)
    for option, goal, smoothing in (("label smoothing", labels, 0.1), ("distributions", shares, 0.0)):
        twin, peer = (
            with_backward(partial(loss, label_smoothing=smoothing), z, goal)
            for loss in (lt.cross_entropy, F_cross_entropy)
        )
        yield f"twin, {option}, with backward", {"logitkit": twin, SLOW: twin, "PyTorch": peer}


def number_calls(log_odds: np.ndarray, target: np.ndarray) -> Iterator[tuple[str, dict[str, Call]]]:
    """Yield the functions of single log-odds or probabilities."""
    x, labels = torch.from_numpy(log_odds), torch.from_numpy(target)
    probs = special.expit(log_odds).clip(0.001, 0.999)

    def scipy_softplus(x: np.ndarray) -> np.ndarray:
        return np.logaddexp(0, x)

    for ours, theirs, torchs, values in (
        (lk.expit, special.expit, torch.sigmoid, log_odds),
        (lk.log_expit, special.log_expit, functional.logsigmoid, log_odds),
        (lk.softplus, scipy_softplus, functional.softplus, log_odds),
        (lk.logit, special.logit, torch.logit, probs),
    ):
        call, tensor = partial(ours, values), torch.from_numpy(values)
        yield (
            ours.__name__,
            {
                "logitkit": call,
                SLOW: call,
                "SciPy": partial(theirs, values),
                "PyTorch": partial(torchs, tensor),
                "PyTorch, compiled": partial(torch.compile(torchs, dynamic=True), tensor),
            },
        )
    ours = partial(lk.binary_cross_entropy_value_and_grad, target, logits=log_odds)
    peer = with_backward(F_binary, x, labels)
    yield "binary_cross_entropy and gradient", {"logitkit": ours, SLOW: ours, "PyTorch": peer}
    twin = with_backward(lt.binary_cross_entropy_with_logits, x, labels)
    yield "twin of the binary loss, with backward", {"logitkit": twin, SLOW: twin, "PyTorch": peer}


def with_backward(loss_of: Callable[..., Any], tensor: torch.Tensor, labels: torch.Tensor) -> Call:
    """Return a call of a loss in PyTorch and of its gradient."""

    def call() -> Any:
        leaf = tensor.detach().requires_grad_()
        loss = loss_of(leaf, labels)
        loss.backward()
        return loss, leaf.grad

    return call


def cases(dtype: type) -> Iterator[tuple[np.ndarray, str, dict[str, Call]]]:
    """Yield the input, the name and the calls of everything that is measured."""
    generator = np.random.default_rng(0)
    for shape in SHAPES:
        logits = (3 * generator.standard_normal(shape)).astype(dtype)
        for name, calls in class_calls(logits, generator.integers(0, shape[1], shape[0])):
            yield logits, name, calls
    log_odds = (3 * generator.standard_normal(NUMBERS)).astype(dtype)
    for name, calls in number_calls(log_odds, generator.integers(0, 2, NUMBERS).astype(dtype)):
        yield log_odds, name, calls


def measured() -> Iterator[dict[str, Any]]:
    """Yield a result for each number of threads, dtype, shape and function."""
    for threads, dtype in product(THREADS, DTYPES):
        torch.compiler.reset()  # it compiles for a dtype and a number of threads, and gives up after eight
        configure(threads, fast=True)
        for array, name, calls in cases(dtype):
            peaks = {library: peak_memory(calls[library]) for library in WEIGHED if library in calls and threads == 1}
            tensor = torch.from_numpy(array)
            calls[COPY] = partial(torch.empty_like(tensor).copy_, tensor)
            seconds = rounds_of_seconds(calls, SLOW, threads, ROUNDS)
            results = {
                library: {
                    "ms": 1000 * statistics.median(own),
                    # Each round is compared with itself: what holds the machine up holds up all of them.
                    "ratio": quartiles([a / b for a, b in zip(seconds["logitkit"], own, strict=True)]),
                }
                for library, own in seconds.items()
            }
            for library, extra in peaks.items():
                results[library]["memory"] = None if extra is None else round(extra / array.nbytes, 1)
            shape = " x ".join(f"{length:,}" for length in array.shape)
            result = {"threads": threads, "dtype": dtype.__name__, "shape": shape, "function": name, "of": results}
            print(*line(result), sep=" | ", flush=True)
            yield result


def quartiles(values: list[float]) -> list[float]:
    """Return the three quartiles."""
    return [round(q, 3) for q in statistics.quantiles(values, n=4, method="inclusive")]


PEERS = (SLOW, "SciPy", "PyTorch", "PyTorch, compiled", COMPILED, COPY)
WEIGHED = ("logitkit", "SciPy", "PyTorch")


def line(result: dict[str, Any]) -> list[str]:
    """Return the cells of a row of the table."""

    def against(peer: str) -> str:
        if peer not in result["of"]:
            return "–"
        low, middle, high = result["of"][peer]["ratio"]
        return f"{middle:.2f} ({low:.2f}–{high:.2f})"

    about = [result["function"], result["dtype"], result["shape"], str(result["threads"])]
    memory = [result["of"].get(library, {}).get("memory") for library in WEIGHED]
    cells = ["–" if multiple is None else f"{multiple:g}" for multiple in memory]
    return [*about, f"{result['of']['logitkit']['ms']:.3g} ms", *map(against, PEERS), *cells]


def table(data: dict[str, Any]) -> str:
    """Return the results in Markdown."""
    header = ["function", "dtype", "shape", "threads", "logitkit", *(f"time / {peer}" for peer in PEERS)]
    header += [f"memory of {library}" for library in WEIGHED]
    lines = [header, ["---"] * 3 + ["---:"] * (len(header) - 3), *map(line, data["results"])]
    machine = (
        f"{data['machine']}. {data['versions']}. The machine's load in the five minutes before was {data['load']:.1f}."
    )
    return machine + "\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def machine() -> str:
    """Return the processor and the system."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    model = re.search(r"model name\s*: (.+)", text)
    vectors = " with AVX-512" if "avx512f" in text else ""
    return f"{os.cpu_count()} cores of {model[1] if model else platform.processor()}{vectors}, {platform.system()}"


def main() -> None:
    """Measure, and write the data and the table."""
    versions = ", ".join(f"{module.__name__} {module.__version__}" for module in (lk, np, scipy, torch))
    about = {
        "machine": machine(),
        "versions": f"{versions}, Python {platform.python_version()}",
        "load": os.getloadavg()[1],
        "rounds": ROUNDS,
    }
    data = about | {"results": list(measured())}
    lines = ",\n".join(map(json.dumps, data["results"]))
    DATA.write_text(f'{json.dumps(about)[:-1]}, "results": [\n{lines}\n]}}\n')
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition("<!-- table -->\n")
    _, _, after = rest.partition("<!-- end -->")
    readme.write_text(f"{before}<!-- table -->\n\n{table(data)}\n\n<!-- end -->{after}")


if __name__ == "__main__":
    main()
