"""What the scripts beside this share: systems at work in processes of their own, where a measurement was made, and
where it is kept.

Each system works in a child process, which is the same script called with `--work ORDER`. It answers in lines of JSON:
once when it is ready, then to each question. Other interpreters run it too, so attnkit is imported inside functions.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

PRECISIONS = ["float32", "bfloat16"]
"""Of what is timed: the plain one, and attnkit's default where the processor multiplies it."""


class Child:
    """The parent's side of a child process, which is ready once this is made."""

    about: dict[str, Any]
    """What it said when it was ready."""

    def __init__(
        self,
        name: str,
        script: str,
        order: Mapping[str, Any],
        *,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it, and wait until it is ready.

        Args:
            name: what to call it where it fails.
            script: the file that it runs.
            order: what it is to do; its `threads` are set for OpenMP too.
            python: the interpreter.
            environment: more variables for it.
        """
        self.name = name
        self.process = subprocess.Popen(
            [python, "-W", "ignore", script, "--work", json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(order["threads"])} | dict(environment or {}),
        )
        self.about = self._answer()

    def ask(self, question: Any) -> dict[str, Any]:
        """Let it do one turn, and wait for its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name}: ended with {self.process.wait()}; what it said stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def take_stdout() -> Callable[[dict[str, Any]], None]:
    """In the child: what sends an answer to the parent. Whatever a library prints from here on goes to stderr."""
    file = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return lambda facts: print(json.dumps(facts), file=file, flush=True)


def questions() -> Iterator[Any]:
    """In the child: what the parent asks, one by one."""
    return map(json.loads, sys.stdin)


def peak_mib() -> float:
    """The most memory that this process has had. On Linux since its program began: what `getrusage` says counts that of
    the parent too, whose memory a child has for a moment.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    marks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    if marks:
        return marks[0] / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def machine(threads: int, *packages: str) -> dict[str, Any]:
    """Versions of attnkit and of installed packages, the processor, and how many threads were used."""
    import attnkit

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "attnkit": attnkit.__version__,
        **{name: version(name) for name in packages},
        "python": platform.python_version(),
        "cpu": names[0] if names else platform.processor(),
        "threads": threads,
    }


def milliseconds_in_turns(ways: Mapping[str, Callable[[], None]], turns: int, warm_up: int = 3) -> dict[str, float]:
    """The median time of each way to do something here, in turns that alternate; the first few do not count."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm_up + turns):
        for name in ways if turn % 2 == 0 else reversed(ways):
            started = time.perf_counter()
            ways[name]()
            if turn >= warm_up:
                times[name].append(1e3 * (time.perf_counter() - started))
    return {name: median(of_way) for name, of_way in times.items()}


def command() -> str:
    """How the script was called, but for the folder of its results."""
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--out=")]
    if "--out" in arguments:
        del arguments[(place := arguments.index("--out")) : place + 2]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments])


def keep(out: Path, name: str, facts: dict[str, Any], report: str) -> None:
    """Write DATE_NAME.json and DATE_NAME.md into a folder, and print the report."""
    out.mkdir(parents=True, exist_ok=True)
    place = out / f"{facts['date']}_{name}"
    place.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
    place.with_suffix(".md").write_text(report)
    print(report)
