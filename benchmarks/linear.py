"""Time and memory of a linear layer with its loss and gradients: logitkit in blocks, PyTorch at once and in chunks.

One thread each, the same arrays, the same run; `losses.py` says how time and memory are measured. The chunks of PyTorch
are what one writes to save memory there: a slice of the rows at a time, forward and backward, with gradients added up.
"""

# The first import sets the number of threads, before the libraries are loaded.
from losses import best_seconds, peak_memory  # isort: skip
import gc
import platform
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import logitkit as lk

SHAPES = [(8_192, 1_000, 256), (2_048, 32_000, 256), (256, 128_000, 256)]
CHUNK = 1 << 26  # bytes of logits in a chunk, as many as the blocks of logitkit may have


def whole(features: torch.Tensor, weight: torch.Tensor, target: torch.Tensor) -> Any:
    """Return PyTorch's loss of all logits, with its gradients."""
    h, w = (tensor.detach().requires_grad_() for tensor in (features, weight))
    loss = functional.cross_entropy(functional.linear(h, w), target)
    loss.backward()
    return loss, h.grad, w.grad


def chunked(features: torch.Tensor, weight: torch.Tensor, target: torch.Tensor) -> Any:
    """Return the same, a chunk of rows at a time."""
    h, w = (tensor.detach().requires_grad_() for tensor in (features, weight))
    step = max(1, CHUNK // (len(weight) * features.element_size()))
    total = torch.zeros((), dtype=features.dtype)
    for rows in torch.arange(len(target)).split(step):
        loss = functional.cross_entropy(functional.linear(h[rows], w), target[rows], reduction="sum") / len(target)
        loss.backward()
        total += loss.detach()
    return total, h.grad, w.grad


def main() -> None:
    """Print the versions and one table."""
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    versions = f"logitkit {lk.__version__}, NumPy {np.__version__}, torch {torch.__version__}"
    print(f"{versions}, Python {platform.python_version()}, {platform.machine()}, one thread\n")
    header = ["dtype", "rows x classes x features", "logitkit", "time / PyTorch's", "time / chunked PyTorch's"]
    header += [f"memory of {name}" for name in ("logitkit", "PyTorch", "chunked PyTorch")]
    print("| " + " | ".join(header) + " |")
    print("|---|---|" + "---:|" * (len(header) - 2))
    for dtype in (np.float32, np.float64):
        for rows, classes, width in SHAPES:
            features = generator.standard_normal((rows, width)).astype(dtype)
            weight = (generator.standard_normal((classes, width)) / np.sqrt(width)).astype(dtype)
            target = generator.integers(0, classes, rows)
            tensors = [torch.from_numpy(array) for array in (features, weight, target)]
            calls = [
                lambda arrays=(features, weight, target): lk.linear_cross_entropy_value_and_grad(*arrays),
                lambda tensors=tensors: whole(*tensors),
                lambda tensors=tensors: chunked(*tensors),
            ]
            gc.collect()
            memory = [peak_memory(call) for call in calls]
            ours, *theirs = best_seconds(calls, repeats=3)
            cells = [features.dtype.name, f"{rows:,} x {classes:,} x {width}", f"{ours:.2f} s"]
            cells += [f"{ours / peer:.2f}" for peer in theirs]
            cells += ["–" if extra is None else f"{extra / 2**20:,.0f} MiB" for extra in memory]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
