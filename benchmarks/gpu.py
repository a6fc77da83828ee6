"""Time and memory of the PyTorch twins on a GPU beside PyTorch's own losses, forward and backward.

Time is the best of seven rounds in which the calls take turns, each waited for; the compiled twin is that of
`torch.compile`. Memory is what a call adds to the allocator's peak, its gradients included. With LOGITKIT_KERNELS=0 in
the environment the twin is a composite of PyTorch's operations, else what `logitkit.show_config` says.

The layer with its loss has a table of its own, with PyTorch's chunks, Liger-Kernel and cut-cross-entropy where they are
installed. None of them skips a part of the gradient.
"""

from collections.abc import Callable
from functools import partial
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import functional

import logitkit as lk
import logitkit.torch as lt

try:
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss
except ImportError:
    LigerFusedLinearCrossEntropyLoss = None
try:
    from cut_cross_entropy import linear_cross_entropy as cut_cross_entropy
except ImportError:
    cut_cross_entropy = None

ROUNDS = 7
CLASS_SHAPES = [(1_000_000, 10), (16_384, 1_000), (4_096, 50_000)]
IMAGES = (16, 21, 512, 512)
LAYER_SHAPES = [(8_192, 32_000, 2_048), (16_384, 128_000, 4_096)]

Call = Callable[[], object]


def with_backward(loss_of: Callable[..., Tensor], *tensors: Tensor) -> Call:
    """Return a call that computes a loss and the gradients of its floating-point tensors but the last."""

    def call() -> object:
        leaves = [t.detach().requires_grad_() for t in tensors[:-1]]
        loss = loss_of(*leaves, tensors[-1])
        loss.backward()
        return loss, [leaf.grad for leaf in leaves]

    return call


def layer_then_loss(features: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    """Return the loss of a linear layer as one writes it: all logits at once."""
    return functional.cross_entropy(functional.linear(features, weight), target)


def layer_losses() -> dict[str, Callable[..., Tensor]]:
    """Return the functions that compute layer and loss, of those that are installed."""
    losses = {"twin": lt.linear_cross_entropy, "PyTorch": layer_then_loss}
    if hasattr(torch.nn, "LinearCrossEntropyOptions"):
        options = torch.nn.LinearCrossEntropyOptions()
        losses["PyTorch in chunks"] = partial(functional.linear_cross_entropy, options=options)
    if LigerFusedLinearCrossEntropyLoss is not None:
        liger = LigerFusedLinearCrossEntropyLoss()
        losses["Liger-Kernel"] = lambda features, weight, target: liger(weight, features, target)
    if cut_cross_entropy is not None:
        losses["cut-cross-entropy"] = partial(cut_cross_entropy, filter_eps=None)
    return losses


def seconds(call: Call) -> float:
    """Return how long one call takes, until the device has done it."""
    torch.cuda.synchronize()
    started = perf_counter()
    call()
    torch.cuda.synchronize()
    return perf_counter() - started


def extra_bytes(call: Call) -> int:
    """Return by how much one call raises the peak of the allocated memory; it warms the call up as well."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def report_layer(dtype: torch.dtype, rows: int, classes: int, width: int) -> None:
    """Print a row for each function of a layer with its loss."""
    tensors = torch.randn(rows, width, dtype=dtype), torch.randn(classes, width, dtype=dtype) / width**0.5
    labels = torch.randint(classes, (rows,))
    calls = {name: with_backward(loss, *tensors, labels) for name, loss in layer_losses().items()}
    memory = {name: extra_bytes(call) for name, call in calls.items()}
    rounds = [[seconds(call) for call in calls.values()] for _ in range(ROUNDS)]
    best = dict(zip(calls, map(min, zip(*rounds, strict=True)), strict=True))
    shape = f"{rows:,} x {classes:,} x {width:,}"
    for name, own in best.items():
        cells = [name, str(dtype).removeprefix("torch."), shape, f"{1000 * own:.2f} ms", f"{best['twin'] / own:.2f}"]
        print("| " + " | ".join([*cells, f"{memory[name] / 2**20:,.0f} MiB"]) + " |", flush=True)


def report(name: str, shape: tuple[int, ...], dtype: torch.dtype, *calls: Call) -> None:
    """Print a row: of the twin, of PyTorch, and of the compiled twin."""
    memory = [extra_bytes(call) for call in calls]
    ours, theirs, compiled = (min(t) for t in zip(*(map(seconds, calls) for _ in range(ROUNDS)), strict=True))
    cells = [name, str(dtype).removeprefix("torch."), " x ".join(f"{n:,}" for n in shape), f"{1000 * ours:.2f} ms"]
    cells += [f"{ours / theirs:.2f}", f"{compiled / theirs:.2f}"]
    cells += [f"{extra / 2**20:,.0f} MiB" for extra in memory]
    print("| " + " | ".join(cells) + " |", flush=True)


def report_loss(name: str, ours: Callable[..., Tensor], theirs: Callable[..., Tensor], *tensors: Tensor) -> None:
    """Print the row of a loss that can be compiled."""
    torch.compiler.reset()
    calls = [with_backward(loss, *tensors) for loss in (ours, theirs, torch.compile(ours, dynamic=False))]
    report(name, tuple(tensors[0].shape), tensors[0].dtype, *calls)


def pair_of(name: str, **options: float) -> list[Callable[..., Tensor]]:
    """Return the twin and PyTorch's own loss, with options."""
    return [partial(getattr(module, name), **options) for module in (lt, functional)]


def main() -> None:
    """Print the versions and two tables."""
    torch.manual_seed(0)
    torch.set_default_device("cuda")
    lk.show_config()
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}\n")
    header = [
        "loss and gradient",
        "dtype",
        "shape",
        "twin",
        "time / PyTorch's",
        "time of the compiled twin / PyTorch's",
    ]
    header += [f"memory of {name}" for name in ("the twin", "PyTorch", "the compiled twin")]
    print("| " + " | ".join(header) + " |")
    print("|---|---|---|" + "---:|" * (len(header) - 3))
    for dtype in (torch.float32, torch.bfloat16):
        for shape in CLASS_SHAPES:
            logits, labels = 3 * torch.randn(shape, dtype=dtype), torch.randint(shape[1], shape[:1])
            for name, options in (("", {}), (", label smoothing", {"label_smoothing": 0.1})):
                report_loss(f"cross_entropy{name}", *pair_of("cross_entropy", **options), logits, labels)
            shares = torch.rand_like(logits).softmax(1)
            report_loss("cross_entropy of distributions", *pair_of("cross_entropy"), logits, shares)
        pixels = 3 * torch.randn(IMAGES, dtype=dtype)
        labels = torch.randint(IMAGES[1], (IMAGES[0], *IMAGES[2:]))
        report_loss("cross_entropy of images", *pair_of("cross_entropy"), pixels, labels)
        log_odds = 3 * torch.randn(10_000_000, dtype=dtype)
        name = "binary_cross_entropy_with_logits"
        report_loss(name, *pair_of(name), log_odds, torch.rand_like(log_odds))
    print("\n| layer and loss | dtype | rows x classes x features | time | twin's time / its | memory |")
    print("|---|---|---|" + "---:|" * 3)
    for dtype in (torch.float32, torch.bfloat16):
        for shape in LAYER_SHAPES:
            report_layer(dtype, *shape)


if __name__ == "__main__":
    main()
