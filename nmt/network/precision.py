"""Matrix products of the hot loops."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

HAS_MKL: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]  # torch gives it no types
CLEARLY = 0.8  # the share of the time of fp32 from which on bf16 is worth its rounding


def low_precision(device: torch.device) -> torch.dtype | None:
    """The type in which autocast takes products on this device, or None outside autocast."""
    if torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return None


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies in bf16 itself."""
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


@cache
def gains_by_bf16(device: torch.device) -> bool:
    """Whether products in bf16 are clearly faster than in fp32: measured on a processor, taken for granted on a GPU.

    AVX-512 bf16 multiplies 1.5 times as fast as fp32 on an EPYC, and half as fast on a Xeon whose AMX is switched off.
    """
    if device.type != "cpu" or not has_bf16(device):
        return has_bf16(device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a training prepares the process before others start
    fp32, bf16 = map(_seconds_of_a_product, (torch.float32, torch.bfloat16))
    torch.set_num_threads(threads)
    return bf16 < CLEARLY * fp32


def _seconds_of_a_product(kind: torch.dtype) -> float:
    """The shortest time of several products: the first one is slower, and other programs disturb some."""
    rows, weight = torch.ones(256, 512, dtype=kind), torch.ones(1024, 512, dtype=kind)
    times = []
    for _ in range(10):
        begin = time.perf_counter()
        F.linear(rows, weight)
        times.append(time.perf_counter() - begin)
    return min(times)


def mixed_precision(device: torch.device, precision: str) -> torch.autocast:
    """A context in which products are taken as `training.precision` says: in bf16 or fp16, or as they are."""
    low = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, low, enabled=precision in ("bf16", "fp16"))


def use_tf32(precision: str) -> None:
    """Let a GPU round the factors of products in fp32 to 10 bits if `training.precision` is tf32, and only then."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"


def repeated_product(weight: Tensor, rows: int) -> Callable[[Tensor], Tensor]:
    """A function x -> x W^T for many x [rows, in] and one W [out, in]; the result has the type of x.

    In fp32 on a CPU with MKL, the matrix is brought into MKL's inner layout once instead of at each product: 1.2 to 1.6
    times as fast with 64 to 256 rows. Under autocast the products are taken in its type.
    """
    low = low_precision(weight.device)
    if low is not None:
        lowered = weight.to(low)
        return lambda inputs: F.linear(inputs.to(low), lowered).to(inputs.dtype)
    if weight.device.type == "cpu" and weight.dtype == torch.float32 and HAS_MKL and rows > 1:
        plain = weight.detach().contiguous()
        packed = torch.ops.mkl._mkl_reorder_linear_weight(plain, rows)
        return lambda inputs: torch.ops.mkl._mkl_linear(inputs, packed, plain, None, rows)
    return lambda inputs: F.linear(inputs, weight)
