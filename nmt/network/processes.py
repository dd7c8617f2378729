"""The processes that train one model together, as `torchrun` starts them: each has a share of the batches of an update.

Each process holds the whole model and does the same update, from the sum of the gradients of all. Only the first one
writes files, validates and speaks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from nmt.errors import TrainingError, UserError

PATIENCE = timedelta(hours=12)
"""How long a process waits for the others, of which one may be preparing data or validating; the end of one is noticed
at once."""

T = TypeVar("T")


class Processes:
    """The processes of a training, seen from one of them; there is only one unless the environment names more."""

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.number = int(os.environ.get("RANK", "0")) if self.count > 1 else 0  # number of this process, from 0
        self.number_here = int(os.environ.get("LOCAL_RANK", "0")) if self.count > 1 else 0  # its number on this machine
        self.is_first = self.number == 0

    def device(self, device: torch.device) -> torch.device:
        """The device of this process: each has a GPU of its own."""
        if self.count == 1 or device.type != "cuda":
            return device
        if self.number_here >= torch.cuda.device_count():
            raise UserError(
                f"each process needs a GPU of its own, but there are {torch.cuda.device_count()}; start fewer processes"
            )
        torch.cuda.set_device(self.number_here)
        return torch.device("cuda", self.number_here)

    @contextmanager
    def connected(self, device: torch.device) -> Iterator[None]:
        """The connection of all processes, for the duration of the block."""
        if self.count == 1:
            yield
            return
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        with self._loss_reported():
            store, number, count = next(rendezvous("env://", timeout=PATIENCE))
            if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
                # After a restart the agent's store still has the addresses of the processes that ended (torch 2.13).
                attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
                store = torch.distributed.PrefixStore(attempt, store)  # type: ignore[attr-defined]
            torch.distributed.init_process_group(backend, store=store, rank=number, world_size=count, timeout=PATIENCE)
        try:
            yield
        finally:
            # Gloo's threads need the interpreter to let go of the tensors of the last exchange. One that still waits
            # for it while the process ends would abort the process (seen once in 20 trainings, torch 2.13).
            time.sleep(0.1)
            with suppress(Exception):  # another process may have gone
                torch.distributed.destroy_process_group()

    def share(self, batches: Sequence[T]) -> Sequence[T]:
        return batches[self.number :: self.count]

    def sums(self, *numbers: float) -> list[float]:
        """The sum of each number over all processes."""
        if self.count == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64)
        with self._loss_reported():
            torch.distributed.all_reduce(total)
        return total.tolist()

    def add_gradients(self, weights: Sequence[Tensor], losses: Tensor) -> None:
        """Replace gradients (a missing one counts as 0) and losses by their sums over all processes."""
        if self.count == 1:
            return
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        together = torch.cat([*(gradient.flatten() for gradient in gradients), losses])
        with self._loss_reported():
            torch.distributed.all_reduce(together)
        place = 0
        for weight in weights:
            weight.grad = together[place : place + weight.numel()].view_as(weight)
            place += weight.numel()
        losses.copy_(together[place:])

    def from_first(self, make: Callable[[], T]) -> T:
        """Give all processes the result of `make` in the first. If it fails, all end, and only the first says why."""
        if self.count == 1:
            return make()
        message: list[Any] = [None, None]
        failure = None
        if self.is_first:
            try:
                message[1] = make()
            except Exception as error:
                failure = error
                message[0] = 2 if isinstance(error, UserError) else 1
        with self._loss_reported():
            torch.distributed.broadcast_object_list(message)
        if failure is not None:
            raise failure
        if message[0] is not None:
            raise SystemExit(message[0])
        return message[1]  # type: ignore[no-any-return]

    def one_per_machine_first(self, work: Callable[[], T]) -> T:
        """Do the same work in all processes, one of each machine before the others: it fills the cache for them."""
        if self.number_here > 0:
            self.sums(0.0)  # wait
        result = work()
        if self.number_here == 0:
            self.sums(0.0)
        return result

    @contextmanager
    def _loss_reported(self) -> Iterator[None]:
        """One line when another process has ended, instead of the traceback of the connection."""
        try:
            yield
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise TrainingError(
                f"process {self.number} of {self.count} ends because it lost another one, whose own error says why "
                f"({reason})"
            ) from None
