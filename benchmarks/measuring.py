"""How the benchmarks measure time and memory.

Contestants take turns in every round, so that a busy moment of the machine hits all of them. Peak memory is the
resident memory that a call adds in a process of its own, its result included: Linux with glibc can tell it.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when the libraries are loaded
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import ctypes
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any

import numpy as np
import torch

from logitkit import kernels

Call = Callable[[], Any]

# Calls shorter than this are repeated within a round, or the clock would be what is measured.
LEAST_SECONDS = 0.005
# After a call OpenMP's threads wait for the next at full speed, here for some 7 ms, on a processor that others need.
REST = 0.02


def configure(threads: int, fast: bool) -> None:
    """Set how many threads every library may use, and whether logitkit uses its compiled kernels."""
    os.environ["LOGITKIT_THREADS"], os.environ["LOGITKIT_KERNELS"] = str(threads), str(int(fast))
    kernels.threads.cache_clear()
    kernels.why_off.cache_clear()
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def rounds_of_seconds(calls: dict[str, Call], slow: str, threads: int, rounds: int) -> dict[str, list[float]]:
    """Return the time that passes in each round during each call, the calls taking turns.

    The one named `slow` is called with the kernels switched off.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    repeats = dict.fromkeys(calls, 1)
    for number in range(rounds + 2):  # the first two compile, and tell how long a call takes
        for name, call in calls.items():
            configure(threads, fast=name != slow)
            sleep(REST)
            call()  # wakes the threads and fills the caches, as the call before does in a loop
            started = perf_counter()
            for _ in range(repeats[name]):
                call()
            passed = (perf_counter() - started) / repeats[name]
            if number == 1:
                repeats[name] = max(1, round(LEAST_SECONDS / passed))
            if number > 1:
                seconds[name].append(passed)
    return seconds


def best_seconds(calls: list[Call], repeats: int) -> list[float]:
    """Return the shortest processor time of each call, the calls taking turns."""
    best = [np.inf] * len(calls)
    for _ in range(repeats):
        for place, call in enumerate(calls):
            started = process_time()
            call()
            best[place] = min(best[place], process_time() - started)
    return best


def peak_memory(call: Call) -> int | None:
    """Return by how many bytes one call raises the peak of the resident memory, in a process of its own."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(peak_memory_here(call)))
    process.start()
    extra = receiver.recv()
    process.join()
    return extra


def peak_memory_here(call: Call) -> int | None:
    """Return the same in this process, which is not measured again."""
    libc = ctypes.CDLL(None)
    if not Path("/proc/self/clear_refs").exists() or not hasattr(libc, "malloc_trim"):
        return None
    # Memory that was freed but not handed back would be used again without being seen.
    libc.malloc_trim(0)
    libc.mallopt(-3, 1 << 16)  # M_MMAP_THRESHOLD: larger arrays are handed back at once
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to what is in use now
    before = resident("VmRSS")
    result = call()
    extra = resident("VmHWM") - before
    del result
    return extra


def resident(field: str) -> int:
    """Return a line of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))
