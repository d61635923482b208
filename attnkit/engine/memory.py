"""What the loop knows about memory: how to keep it on a CPU, and how it looks when there is none left."""

import ctypes
import errno
import sys
from collections.abc import Callable

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_ALWAYS = (1 << 31) - 1
_MMAP_FROM = 1 << 30


def keep_pages() -> None:
    """Let the C library keep the pages of freed tensors instead of giving them back to the system.

    A training step allocates the same large tensors again and again; by default glibc maps each afresh and the kernel
    clears it page by page, which can cost as much as the arithmetic. Elsewhere than on glibc nothing happens.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_FROM)
        mallopt(_M_TRIM_THRESHOLD, _ALWAYS)


def give_back_pages() -> None:
    """Give the pages of freed tensors back once. Kept pages between tensors of ever new sizes add up over hours."""
    malloc_trim = _of_glibc("malloc_trim")
    if malloc_trim:
        malloc_trim(0)


def _of_glibc(name: str) -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return None
    return function


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that an allocation failed, on a GPU or a CPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and (
        "DefaultCPUAllocator: can't allocate memory" in str(error)
        or "DefaultCPUAllocator: not enough memory" in str(error)
    )
