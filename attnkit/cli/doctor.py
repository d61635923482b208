"""attnkit doctor: what is here, what is missing, and the command that fixes it."""

import json
import os
from pathlib import Path
from typing import Any

import typer

from attnkit.cli.options import JsonOption
from attnkit.cli.summary import table
from attnkit.machine import CORE, EXTRAS, cores, package_version, processor, versions


def doctor(as_json: JsonOption = False) -> None:
    """Show versions and devices, and how to get what is missing.

    Exit code 2 means that something needed is missing.

    \b
    Example:
      attnkit doctor
    """
    missing = [name for name in CORE if package_version(name) is None]
    facts: dict[str, Any] = {
        "versions": {name: version or "missing" for name, version in versions().items()},
        "machine": {"processor": processor(), "cores": cores(), **_devices()},
        "folders": {"ATTNKIT_DATA": os.environ.get("ATTNKIT_DATA") or "not set", "runs": str(Path("runs").resolve())},
        "extras": {extra: _extra(extra) for extra in EXTRAS},
    }
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=False) if as_json else "\n".join(table(facts)))
    if missing:
        typer.echo(f"missing: {', '.join(missing)}; fix it by: pip install --upgrade attnkit", err=True)
        raise typer.Exit(2)


def _extra(extra: str) -> str:
    package, purpose = EXTRAS[extra]
    version = package_version(package)
    return f"{package} {version}" if version else f"not installed ({purpose}): pip install 'attnkit[{extra}]'"


def _devices() -> dict[str, Any]:
    try:
        import torch
    except ImportError as error:
        return {"torch": f"cannot be imported: {error}"}
    found: dict[str, Any] = {"torch threads": torch.get_num_threads()}
    for number in range(torch.cuda.device_count()):
        found[f"cuda:{number}"] = torch.cuda.get_device_name(number)
    found["cuda"] = "available" if torch.cuda.is_available() else "none"
    found["mps"] = "available" if torch.backends.mps.is_available() else "none"
    return found
