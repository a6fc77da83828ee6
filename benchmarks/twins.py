"""Time and memory of the PyTorch twins beside PyTorch's own losses, forward and backward: one thread, one run.

`losses.py` says how time and memory are measured.
"""

# The first import sets the number of threads, before the libraries are loaded.
from losses import SHAPES, Call, best_seconds, peak_memory, with_backward  # isort: skip
import gc
import platform
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

import logitkit as lk
import logitkit.torch as lt

# The last one is the batch of a language model.
CLASS_SHAPES = [*SHAPES, (4_096, 8_000)]


def pair(ours: Callable[..., Tensor], theirs: Callable[..., Tensor], *tensors: Tensor) -> list[Call]:
    """Return both calls, with their backward passes."""
    return [partial(with_backward, ours, *tensors), partial(with_backward, theirs, *tensors)]


def class_calls(logits: Tensor) -> dict[str, list[Call]]:
    """Return the class losses of rows of logits."""
    labels = torch.randint(logits.shape[1], logits.shape[:1])
    smoothed = [partial(loss, label_smoothing=0.1) for loss in (lt.cross_entropy, functional.cross_entropy)]
    distributions = torch.softmax(torch.randn_like(logits), dim=1)
    return {
        "cross_entropy": pair(lt.cross_entropy, functional.cross_entropy, logits, labels),
        "cross_entropy, label smoothing": pair(*smoothed, logits, labels),
        "cross_entropy, distributions": pair(lt.cross_entropy, functional.cross_entropy, logits, distributions),
    }


def report(calls: dict[str, list[Call]], logits: Tensor) -> None:
    """Print a row for each loss."""
    shape, dtype = " x ".join(f"{length:,}" for length in logits.shape), str(logits.dtype).removeprefix("torch.")
    for name, both in calls.items():
        gc.collect()
        memory = [peak_memory(call) for call in both]
        (ours, theirs), size = best_seconds(both), logits.nbytes
        cells = [name, dtype, shape, f"{1000 * ours:.1f} ms", f"{ours / theirs:.2f}"]
        cells += ["–" if extra is None else f"{extra / size:.1f}" for extra in memory]
        print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the versions and one table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    versions = f"logitkit {lk.__version__}, torch {torch.__version__}, Python {platform.python_version()}"
    print(f"{versions}, {platform.machine()}, one thread\n")
    print("| loss and gradient | dtype | shape | twin | time / PyTorch's | memory of the twin | memory of PyTorch |")
    print("|---|---|---|---:|---:|---:|---:|")
    for dtype in (torch.float32, torch.float64):
        for shape in CLASS_SHAPES:
            logits = 3 * torch.randn(shape, dtype=dtype)
            report(class_calls(logits), logits)
        log_odds = 3 * torch.randn(4_000_000, dtype=dtype)
        binary = lt.binary_cross_entropy_with_logits, functional.binary_cross_entropy_with_logits
        report({binary[0].__name__: pair(*binary, log_odds, torch.rand_like(log_odds))}, log_odds)


if __name__ == "__main__":
    main()
