"""The scores that stay in a run's scores.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from attnkit.run_dir import RunDir


def keep_scores(run: RunDir, split: str, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Put scores into the run's scores.json, beside what stands there of other splits and metrics."""
    from attnkit.run_dir import write_json

    try:
        kept = json.loads(run.scores.read_text(encoding="utf-8")) if run.scores.exists() else {}
        if not isinstance(kept, dict) or not isinstance(kept.get(split, {}), dict):
            raise ValueError("not an object of splits")
        write_json(run.scores, kept | {split: kept.get(split, {}) | dict(scores)})
    except (OSError, ValueError) as error:
        typer.echo(f"{run.scores}: the scores were not kept: {error}; fix or remove the file", err=True)
