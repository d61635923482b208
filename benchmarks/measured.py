"""What every measurement says about where it was made, and where it is kept. Imported by the scripts beside it."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any


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


def keep(out: Path, name: str, facts: dict[str, Any], report: str) -> None:
    """Write DATE_NAME.json and DATE_NAME.md into a folder, and print the report."""
    out.mkdir(parents=True, exist_ok=True)
    place = out / f"{facts['date']}_{name}"
    place.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
    place.with_suffix(".md").write_text(report)
    print(report)
