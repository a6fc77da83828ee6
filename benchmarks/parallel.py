"""Memory and traffic of a cross entropy whose classes are spread over processes, logitkit's and PyTorch's.

Each process makes its columns of the logits, their loss and its gradient. Memory is the resident memory that this adds
at its peak, by `measuring.py`. Traffic is what the kernel counts as sent through the process's sockets, over loopback;
Linux alone counts so.
"""

# The first import sets the number of threads, before the libraries are loaded.
from measuring import peak_memory_here  # isort: skip
import multiprocessing
import os
import platform
import socket
import struct
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor.parallel import loss_parallel

import logitkit as lk
import logitkit.torch as lt

ROWS, CLASSES, STEPS, MIB = 2048, 32_768, 5, 2**20
BYTES_SENT = 200  # where Linux's tcp_info has tcpi_bytes_sent
Loss = Callable[[Tensor, Tensor], Tensor]


def of_pytorch(columns: Tensor, target: Tensor) -> Tensor:
    """Return PyTorch's loss of columns that are spread over all processes."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    with loss_parallel():
        loss = F.cross_entropy(DTensor.from_local(columns, mesh, [Shard(1)]), target)
        loss.backward()
    return loss


def of_logitkit(columns: Tensor, target: Tensor) -> Tensor:
    """Return logitkit's loss of the same columns."""
    loss = lt.vocab_parallel_cross_entropy(columns, target)
    loss.backward()
    return loss


LOSSES = {"logitkit": of_logitkit, "PyTorch": of_pytorch}


def step(loss_of: Loss) -> Tensor:
    """Make this process's columns, their loss and its gradient."""
    columns = torch.ones(ROWS, CLASSES // dist.get_world_size(), requires_grad=True)
    return loss_of(columns, torch.arange(ROWS))


def bytes_sent() -> int:
    """Return how many bytes this process has sent through the sockets that it has open."""
    sent = 0
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            copy = socket.socket(fileno=os.dup(number))
        except OSError:  # a file, or closed meanwhile
            continue
        with copy:
            if copy.type == socket.SOCK_STREAM and copy.family in (socket.AF_INET, socket.AF_INET6):
                info = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_SENT + 8)
                sent += struct.unpack_from("Q", info, BYTES_SENT)[0]
    return sent


def member(rank: int, count: int, store: str, name: str, sender: Connection) -> None:
    """Measure one process of a group: what a step sends, and the memory that it adds."""
    dist.init_process_group("gloo", store=dist.FileStore(store, count), rank=rank, world_size=count)
    loss_of = LOSSES[name]
    step(loss_of)
    before = bytes_sent()
    # The least of a few: on a busy machine a step may find code of the libraries no longer in memory.
    memory = min(peak_memory_here(lambda: step(loss_of)) for _ in range(STEPS))
    sender.send(((bytes_sent() - before) / STEPS, memory))
    dist.barrier()
    dist.destroy_process_group()


def measured(count: int, name: str) -> tuple[float, float]:
    """Return the bytes that one of so many processes sends in a step and the memory that it adds, on average."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        arguments = count, f"{folder}/store", name, sender
        members = [context.Process(target=member, args=(rank, *arguments)) for rank in range(count)]
        for process in members:
            process.start()
        answers = [receiver.recv() for _ in members]
        for process in members:
            process.join()
    sent, memory = zip(*answers, strict=True)
    return sum(sent) / count, sum(memory) / count


def main() -> None:
    """Print the versions and one table."""
    versions = f"logitkit {lk.__version__}, torch {torch.__version__}, Python {platform.python_version()}"
    print(f"{versions}, {platform.machine()}, {ROWS:,} rows of {CLASSES:,} classes in float32\n")
    header = ["processes", *(f"{what}: {who}" for what in ("memory", "sent") for who in ("computed", *LOSSES))]
    print("| " + " | ".join(header) + " |")
    print("|" + "---:|" * len(header))
    for count in (1, 2, 4):
        sent, memory = zip(*(measured(count, name) for name in LOSSES), strict=True)
        # The logits and their gradient; 20 bytes a row, which a ring hands around twice, and 32 to each of the others.
        memory = 2 * 4 * ROWS * CLASSES / count, *memory
        sent = 2 * (count - 1) / count * 20 * ROWS + 32 * (count - 1), *sent
        cells = [*(f"{value / MIB:.1f} MiB" for value in memory), *(f"{value / 1024:.1f} KiB" for value in sent)]
        print("| " + " | ".join([str(count), *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()
