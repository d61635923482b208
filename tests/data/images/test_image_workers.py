import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from attnkit.data.images.image_workers import made_in_order, num_workers
from attnkit.errors import DataError


def doubled(job):
    """Twice a number, and which process did it."""
    if job == 5:
        raise DataError("five: broken\nsecond line")
    return 2 * job, os.getpid()


def test_how_many_workers(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(5), raising=False)
    assert num_workers(3, decodes=False) == 3
    assert num_workers("auto", decodes=False) == 0
    assert num_workers("auto", decodes=True) == 5
    assert num_workers("auto", decodes=False, slowly=True) == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert num_workers("auto", decodes=False) == 0
    assert num_workers("auto", decodes=False, slowly=True) == 5
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(99), raising=False)
    assert num_workers("auto", decodes=True) == 8


def test_without_workers_jobs_are_done_when_they_are_asked_for():
    done = []
    made = made_in_order(done.append, range(3, 6), 0)
    assert done == []
    next(made)
    assert done == [3]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_in_the_order_of_the_jobs_until_one_fails(workers):
    made = made_in_order(doubled, [3, 1, 4, 1, 5, 9], workers)
    pairs = [next(made) for _ in range(4)]
    assert {type(pair) for pair in pairs} == {tuple}, "with workers as without"
    results, processes = zip(*pairs, strict=True)
    assert results == (6, 2, 8, 2)
    assert (os.getpid() in processes) == (workers == 0)
    assert len(set(processes)) == max(1, workers)
    with pytest.raises(DataError, match=r"^five: broken\nsecond line$"):
        next(made)
    assert not torch.multiprocessing.active_children()


LOADS_FOREVER = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, if the tests run in the background
import numpy as np
from attnkit.data.classification.config import AugmentConfig, ImageConfig
from attnkit.data.classification.image_batches import train_images
from attnkit.data.classification.image_set import ArrayImages
images = ArrayImages(np.zeros((64, 3, 8, 8), dtype=np.uint8), np.arange(64) % 2, "ab", place=str)
batches = train_images(images, ImageConfig(size=8), AugmentConfig(), batch_size=4, seed=1, workers=2, num_classes=2)
for epoch in range(10**6):
    for number, batch in enumerate(batches.batches(epoch)):
        print(epoch, number, flush=True)
"""


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_too():
    process = subprocess.Popen(
        [sys.executable, "-c", LOADS_FOREVER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to parent and workers
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err, "the parent says it"
    assert "_worker_loop" not in err, "the workers say nothing"
    for _ in range(100):  # the last worker may outlive its parent by a moment
        if not is_there(process.pid):
            break
        time.sleep(0.1)
    assert not is_there(process.pid)


def is_there(group):
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
