"""How the package is built: circles of files, its size, its longest functions. No timing; run it from any folder.

    python benchmarks/structure.py

Reads the source as text (ast); nothing of the package is run. Imports inside functions count, imports for type
checkers alone count too: a circle is a circle wherever its import stands.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "attnkit"


@dataclass(frozen=True)
class Function:
    """A function or method, and how large it is."""

    name: str
    lines: int
    arguments: int


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Dotted name to file, of every module of the package."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Module to the modules of the package that it imports, wherever in the file."""
    return {
        name: {module for module in _imported(ast.parse(path.read_text()), files) if module != name}
        for name, path in files.items()
    }


def _imported(tree: ast.AST, files: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom) and node.module in files:
            for alias in node.names:
                member = f"{node.module}.{alias.name}"
                yield member if member in files else node.module


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of modules that reach each other, largest first: the strongly connected components (Tarjan 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for other in graph[module]:
            if other not in number:
                visit(other)
            if other in stack:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == number[module]:
            start = stack.index(module)
            component, stack[start:] = stack[start:], []
            if len(component) > 1:
                found.append(sorted(component))

    for module in graph:
        if module not in number:
            visit(module)
    return sorted(found, key=len, reverse=True)


def functions(files: Mapping[str, Path]) -> list[Function]:
    """All functions and methods; lines are those from `def` to the last one, decorators not among them."""
    found = []
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = node.args
                count = len([*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs])
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                found.append(Function(f"{name}.{node.name}", lines, count))
    return found


def size(files: Mapping[str, Path], room: str = "") -> tuple[int, int]:
    """Files and lines of the package, or of one of its rooms."""
    inside = [path for name, path in files.items() if not room or name == room or name.startswith(f"{room}.")]
    return len(inside), sum(len(path.read_text().splitlines()) for path in inside)


def main() -> None:
    """Print what the package is made of."""
    files = modules()
    loops = circles(imports(files))
    print(f"circles of files                {len(loops)}")
    for loop in loops:
        print(f"    {len(loop)}: {', '.join(loop)}")
    for room in ("", "attnkit.cli"):
        count, lines = size(files, room)
        print(f"files / lines of {room or 'the package':<15}{count} / {lines:,}")
    every = functions(files)
    longest = max(every, key=lambda function: function.lines)
    widest = max(every, key=lambda function: function.arguments)
    print(f"longest function                {longest.lines} lines, {longest.name}")
    print(f"most arguments                  {widest.arguments}, {widest.name}")


if __name__ == "__main__":
    main()
