import errno
import sys

import pytest
import torch

from attnkit.engine.memory import give_back_pages, is_out_of_memory, keep_pages


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried"),
            True,
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8000000000000 bytes."), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (ValueError("DefaultCPUAllocator: can't allocate memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected


def test_a_real_allocation_that_cannot_be():
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        torch.empty(1 << 55, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_keeping_pages_is_harmless_anywhere(monkeypatch):
    keep_pages()
    monkeypatch.setattr("sys.platform", "darwin")
    keep_pages()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_kept_pages_are_given_back():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1])

    keep_pages()
    blocks = [torch.ones(1 << 16) for _ in range(400)]  # 100 MB in pieces that glibc takes from its heap
    last = torch.ones(1 << 16)  # above them, so that the heap cannot simply shrink
    full = resident()
    blocks.clear()
    give_back_pages()
    assert resident() < full - 15_000
    assert last.sum() == 1 << 16


def test_giving_back_is_harmless_anywhere(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    give_back_pages()
