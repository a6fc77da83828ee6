"""Processes on this machine that call the same function, each with its columns of the logits, and what they return.

None can hang: whoever does not answer in time is killed, and so are the others.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

import logitkit.torch  # noqa: F401 - once, in the server that the processes are forked from

PATIENCE = 120  # seconds for an answer, on a busy machine


class Failure(NamedTuple):
    """What a process raised."""

    kind: str
    message: str
    trace: str


def failure_of(error: Exception) -> Failure:
    return Failure(type(error).__name__, str(error), "".join(traceback.format_exception(error)))


class Processes:
    """A gloo group of processes, which run what they are asked to until they are closed."""

    def __init__(self, count: int, store: Path) -> None:
        context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
        if sys.platform != "win32":
            context.set_forkserver_preload(["tests.processes"])
        self.pipes: list[Connection] = []
        self.members = []
        for rank in range(count):
            here, there = context.Pipe()
            self.pipes.append(here)
            arguments = there, rank, count, str(store)
            self.members.append(context.Process(target=_serve, args=arguments, daemon=True))
            self.members[-1].start()
            there.close()

    def run(self, job: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Return what the job returns in each process, or a Failure where it raises."""
        for pipe in self.pipes:
            pipe.send((job, arguments))
        return [self._answer(pipe) for pipe in self.pipes]

    def run_in_first(self, job: Callable[..., Any], *arguments: Any) -> Any:
        """Return what the job returns in the first process; the others may be lost by it."""
        for pipe in self.pipes:
            pipe.send((job, arguments))
        return self._answer(self.pipes[0])

    def _answer(self, pipe: Connection) -> Any:
        if pipe.poll(PATIENCE):
            return pipe.recv()
        self.close()
        raise TimeoutError(f"no answer within {PATIENCE} seconds")

    def close(self) -> None:
        for member in self.members:
            member.kill()
            member.join()


def _serve(pipe: Connection, rank: int, count: int, store: str) -> None:
    torch.set_num_threads(1)
    loopback = {name for _, name in socket.if_nameindex()} & {"lo", "lo0"}
    if loopback:
        os.environ["GLOO_SOCKET_IFNAME"] = loopback.pop()
    dist.init_process_group(
        "gloo",
        store=dist.FileStore(store, count),
        rank=rank,
        world_size=count,
        timeout=timedelta(seconds=PATIENCE),
    )
    while True:
        job, arguments = pipe.recv()
        try:
            result = job(*arguments)
        except Exception as error:
            result = failure_of(error)
        pipe.send(result)
