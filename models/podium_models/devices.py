"""Chooses where training runs: one CPU, one GPU, or several GPUs under ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Sized
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch


class Place(NamedTuple):
    """The device of this process, its rank among ``world`` processes."""

    device: torch.device
    rank: int
    world: int

    @property
    def first(self) -> bool:
        """Says whether this process is the one that writes files."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[Any]:
        """Returns bfloat16 mixed precision on a GPU, nothing on a CPU."""
        if self.device.type == "cuda":
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return nullcontext()


def training_place(threads: int) -> Place:
    """Joins the processes that ``torchrun`` started, or takes the only device there is.

    ``threads`` are those of one process on the CPU.
    """
    torch.set_num_threads(threads)
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    if world > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if cuda else "gloo")
    if not cuda:
        return Place(torch.device("cpu"), rank, world)
    torch.cuda.set_device(local)
    return Place(torch.device("cuda", local), rank, world)


def wait_for_all(place: Place) -> None:
    """Returns when every process has come here; at once where there is one."""
    if place.world > 1:
        torch.distributed.barrier()


def require_batches(batches: Sized, place: Place) -> None:
    """Raises ``ValueError`` where none of an epoch's batches falls to a process."""
    if len(batches) == 0:
        raise ValueError(
            f"an epoch has fewer batches than the {place.world} processes; start fewer of them, "
            "or make batches smaller"
        )


def average_gradients(module: torch.nn.Module, place: Place) -> None:
    """Averages the gradients of all processes; nothing where there is one."""
    if place.world == 1:
        return
    for parameter in module.parameters():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        torch.distributed.all_reduce(parameter.grad)
        parameter.grad /= place.world
