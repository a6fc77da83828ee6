"""Time and memory of a linear layer with its loss and gradients: logitkit in blocks, PyTorch at once and in chunks.

One thread each, the same arrays, the same run; `measuring.py` says how time and memory are measured. PyTorch's function
computes all logits at once by default, and in chunks of rows with options, here those that it picks itself.
"""

# The first import sets the number of threads, before the libraries are loaded.
from measuring import best_seconds, peak_memory  # isort: skip
import gc
import platform
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import logitkit as lk

SHAPES = [(8_192, 1_000, 256), (2_048, 32_000, 256), (256, 128_000, 256)]


def torch_call(features: np.ndarray, weight: np.ndarray, target: np.ndarray, options: Any) -> Any:
    """Return a call of PyTorch's layer and loss, with their gradients."""
    h, w, labels = (torch.from_numpy(array) for array in (features, weight, target))

    def call() -> Any:
        leaves = [tensor.detach().requires_grad_() for tensor in (h, w)]
        loss = functional.linear_cross_entropy(*leaves, labels, options=options)
        loss.backward()
        return loss, *(leaf.grad for leaf in leaves)

    return call


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
            arrays = features, weight, target
            calls = [
                partial(lk.linear_cross_entropy_value_and_grad, *arrays),
                torch_call(*arrays, options=None),
                torch_call(*arrays, options=torch.nn.LinearCrossEntropyOptions()),
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
