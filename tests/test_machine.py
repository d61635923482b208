"""What attnkit runs on, and that asking is quick."""

import os
import subprocess
import sys

import torch

from attnkit.machine import CORE, cores, package_version, processor, versions


def test_versions():
    found = versions()
    assert list(found) == ["attnkit", "python", *CORE]
    assert found["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert package_version("no-such-package-anywhere") is None


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    assert cores() == 3


def test_the_processor_has_a_name():
    assert processor().strip()


def test_nothing_heavy_is_imported():
    code = "import sys, attnkit.machine; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
