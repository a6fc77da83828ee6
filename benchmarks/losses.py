"""Time and memory of logitkit beside SciPy and PyTorch: one thread each, the same arrays, the same run.

The three take turns in every repeat, so that a busy moment of the machine hits all of them, and the best repeat of
each counts. Time is processor time, which on one thread of an idle machine is the time that passes. Peak memory is the
resident memory that a call adds in a process of its own, its result included, in multiples of the input: Linux with
glibc can tell it, other systems get a dash.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when the libraries are loaded
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import ctypes
import gc
import multiprocessing
import platform
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import scipy
import torch
from scipy import special
from torch.nn import functional

import logitkit as lk

REPEATS = 7
SHAPES = [(400_000, 10), (2_000, 2_000), (40, 100_000)]
LIBRARIES = ["logitkit", "SciPy", "PyTorch"]

Call = Callable[[], Any]


def class_calls(logits: np.ndarray, target: np.ndarray) -> dict[str, list[Call]]:
    """Return the calls that work on rows of logits; SciPy has no losses, so its users write them."""
    tensor, labels, rows = torch.from_numpy(logits), torch.from_numpy(target), np.arange(len(target))

    def scipy_loss() -> Any:
        return (special.logsumexp(logits, axis=1) - logits[rows, target]).mean()

    def scipy_loss_and_grad() -> Any:
        grad = special.softmax(logits, axis=1)
        grad[rows, target] -= 1
        grad /= len(target)
        return scipy_loss(), grad

    return {
        "softmax": [
            lambda: lk.softmax(logits),
            lambda: special.softmax(logits, axis=1),
            lambda: torch.softmax(tensor, dim=1),
        ],
        "logsumexp": [
            lambda: lk.logsumexp(logits),
            lambda: special.logsumexp(logits, axis=1),
            lambda: torch.logsumexp(tensor, dim=1),
        ],
        "cross_entropy": [
            lambda: lk.cross_entropy(target, logits=logits),
            scipy_loss,
            lambda: functional.cross_entropy(tensor, labels),
        ],
        "cross_entropy and gradient": [
            lambda: lk.cross_entropy_value_and_grad(target, logits=logits),
            scipy_loss_and_grad,
            lambda: with_backward(functional.cross_entropy, tensor, labels),
        ],
    }


def binary_calls(logits: np.ndarray, target: np.ndarray) -> dict[str, list[Call]]:
    """Return the calls that work on single log-odds or probabilities."""
    tensor, labels = torch.from_numpy(logits), torch.from_numpy(target)
    probs = special.expit(logits).clip(0.001, 0.999)
    torch_probs, torch_loss = torch.from_numpy(probs), functional.binary_cross_entropy_with_logits

    def scipy_loss() -> Any:
        return -(target * special.log_expit(logits) + (1 - target) * special.log_expit(-logits)).mean()

    return {
        "expit": [lambda: lk.expit(logits), lambda: special.expit(logits), lambda: torch.sigmoid(tensor)],
        "logit": [lambda: lk.logit(probs), lambda: special.logit(probs), lambda: torch.logit(torch_probs)],
        "binary_cross_entropy": [
            lambda: lk.binary_cross_entropy(target, logits=logits),
            scipy_loss,
            lambda: torch_loss(tensor, labels),
        ],
        "binary_cross_entropy and gradient": [
            lambda: lk.binary_cross_entropy_value_and_grad(target, logits=logits),
            lambda: (scipy_loss(), (special.expit(logits) - target) / target.size),
            lambda: with_backward(torch_loss, tensor, labels),
        ],
    }


def with_backward(loss_of: Callable[..., Any], tensor: torch.Tensor, labels: torch.Tensor) -> Any:
    """Return a PyTorch loss and its gradient."""
    leaf = tensor.detach().requires_grad_()
    loss = loss_of(leaf, labels)
    loss.backward()
    return loss, leaf.grad


def best_seconds(calls: list[Call], repeats: int = REPEATS) -> list[float]:
    """Return the shortest time of each call, the calls taking turns."""
    best = [np.inf] * len(calls)
    for _ in range(repeats):
        for place, call in enumerate(calls):
            started = process_time()
            call()
            best[place] = min(best[place], process_time() - started)
    return best


def peak_memory(call: Call) -> int | None:
    """Return by how many bytes one call raises the peak of the resident memory, in a process of its own."""
    libc = ctypes.CDLL(None)
    if not Path("/proc/self/clear_refs").exists() or not hasattr(libc, "malloc_trim"):
        return None
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        # Memory that was freed but not handed back would be used again without being seen.
        libc.malloc_trim(0)
        libc.mallopt(-3, 1 << 16)  # M_MMAP_THRESHOLD: larger arrays are handed back at once
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to what is in use now
        before = resident("VmRSS")
        result = call()
        sender.send(resident("VmHWM") - before)
        del result

    process = context.Process(target=child)
    process.start()
    extra = receiver.recv()
    process.join()
    return int(extra)


def resident(field: str) -> int:
    """Return a line of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def report(calls: dict[str, list[Call]], array: np.ndarray) -> None:
    """Print a row for each function."""
    shape = " x ".join(f"{length:,}" for length in array.shape)
    for name, three in calls.items():
        gc.collect()
        memory = [peak_memory(call) for call in three]
        ours, *theirs = best_seconds(three)
        cells = [name, array.dtype.name, shape, f"{1000 * ours:.1f} ms", *(f"{ours / peer:.2f}" for peer in theirs)]
        cells += ["–" if extra is None else f"{extra / array.nbytes:.1f}" for extra in memory]
        print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the versions and one table."""
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    versions = (
        f"logitkit {lk.__version__}, NumPy {np.__version__}, SciPy {scipy.__version__}, torch {torch.__version__}"
    )
    print(f"{versions}, Python {platform.python_version()}, {platform.machine()}, one thread\n")
    header = ["function", "dtype", "shape", "logitkit", *(f"time / {peer}'s" for peer in LIBRARIES[1:])]
    header += [f"memory of {library}" for library in LIBRARIES]
    print("| " + " | ".join(header) + " |")
    print("|---|---|---|" + "---:|" * (len(header) - 3))
    for dtype in (np.float32, np.float64):
        for shape in SHAPES:
            logits = (3 * generator.standard_normal(shape)).astype(dtype)
            report(class_calls(logits, generator.integers(0, shape[1], shape[0])), logits)
        log_odds = (3 * generator.standard_normal(np.prod(SHAPES[0]))).astype(dtype)
        report(binary_calls(log_odds, generator.integers(0, 2, log_odds.shape).astype(dtype)), log_odds)


if __name__ == "__main__":
    main()
