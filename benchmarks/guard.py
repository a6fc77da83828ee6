"""What a guard costs a training step once it's satisfied: a small network on one thread, with and without.

`measuring.py` says how time is measured.
"""

# The first import sets the number of threads, before the libraries are loaded.
from measuring import Call, best_seconds  # isort: skip
import platform
from collections.abc import Callable

import torch
from torch import Tensor, nn

import logitkit as lk
from logitkit.torch import guard

REPEATS, STEPS = 200, 50
INPUTS, TARGET = torch.randn(32, 64), torch.randint(10, (32,))


def satisfied(criterion: nn.Module, modes: tuple[bool, ...]) -> nn.Module:
    """Guard a loss, and show it logits until training, or training and evaluation, are clear."""
    criterion = guard(criterion)
    for gradients in modes:
        with torch.set_grad_enabled(gradients):
            for _ in range(20):
                criterion(torch.randn(32, 10), TARGET)
    criterion(torch.randn(32, 10), TARGET)
    return criterion


def step(criterion: Callable[..., Tensor]) -> Call:
    """Return the training step of a small network, many times over."""
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def run() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            criterion(model(INPUTS), TARGET).backward()
            optimizer.step()

    return run


def main() -> None:
    """Print the versions and one table."""
    torch.set_num_threads(1)
    losses = {
        "no guard": nn.CrossEntropyLoss(),
        "training and evaluation are clear": satisfied(nn.CrossEntropyLoss(), (True, False)),
        "training is clear, no evaluation yet": satisfied(nn.CrossEntropyLoss(), (True,)),
    }
    times = best_seconds([step(criterion) for criterion in losses.values()], REPEATS)
    versions = f"logitkit {lk.__version__}, torch {torch.__version__}, Python {platform.python_version()}"
    print(f"{versions}, {platform.machine()}, one thread\n")
    print("| guard | a step | time / without |")
    print("|---|---:|---:|")
    for name, seconds in zip(losses, times, strict=True):
        print(f"| {name} | {1e6 * seconds / STEPS:.0f} µs | {seconds / times[0]:.3f} |")


if __name__ == "__main__":
    main()
