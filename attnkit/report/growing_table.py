"""Text in columns, written before all of it is known."""

from collections.abc import Sequence


class GrowingTable:
    """Aligned text. Columns grow with what they hold, so that nothing waits for the last row."""

    def __init__(self, *, right: Sequence[int] = ()) -> None:
        """Begin with columns of no width.

        Args:
            right: numbers of the columns that are aligned on the right.
        """
        self._widths: list[int] = []
        self._right = frozenset(right)

    def lines(self, rows: Sequence[Sequence[str]]) -> str:
        """Some rows as lines, after the columns have grown to hold them."""
        from rich.cells import cell_len

        for row in rows:
            self._widths += [0] * (len(row) - len(self._widths))
            for i, cell in enumerate(row):
                self._widths[i] = max(self._widths[i], cell_len(cell))
        return "".join(self._line(row) for row in rows)

    def _line(self, row: Sequence[str]) -> str:
        from rich.cells import cell_len

        cells = []
        for i, (cell, width) in enumerate(zip(row, self._widths, strict=False)):
            room = " " * (width - cell_len(cell))
            cells.append(room + cell if i in self._right else cell + room)
        return "  ".join(cells).rstrip() + "\n"


def shown(name: str) -> str:
    """A name as it is, unless it would break the table or the terminal."""
    return name if name.isprintable() else repr(name)[1:-1]
