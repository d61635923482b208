"""What attnkit runs on: versions and processor, without importing anything heavy."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from attnkit import __version__

CORE = (
    "torch",
    "torchvision",
    "typer",
    "rich",
    "pydantic",
    "ruamel.yaml",
    "sacrebleu",
    "sentencepiece",
    "pycocotools",
    "safetensors",
    "numpy",
    "pillow",
    "jaxtyping",
)
"""The packages that attnkit cannot do without."""

EXTRAS = {
    "tensorboard": ("tensorboard", "curves in TensorBoard"),
    "ct2": ("ctranslate2", "export to CTranslate2"),
    "moses": ("sacremoses", "BLEU on Moses-tokenised text (--compat lc-tok)"),
    "timm": ("timm", "any network of timm in a recipe (model: {name: timm, ...})"),
    "onnx": ("onnxruntime", "export to ONNX"),
    "plot": ("matplotlib", "the confusion matrix as a picture"),
    "peers": ("transformers", "the benchmarks against other toolkits"),
}
"""Extra of attnkit: the package it brings, and what for."""


def package_version(name: str) -> str | None:
    """The version of an installed package, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str | None]:
    """The versions of attnkit, Python and every core package."""
    return {"attnkit": __version__, "python": platform.python_version()} | {
        name: package_version(name) for name in CORE
    }


def processor() -> str:
    """The processor's own name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
