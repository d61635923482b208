"""The command line. One file per command: parse, call, print; nothing heavy is imported at the top of any of them."""

from attnkit.cli.app import app, main

__all__ = ["app", "main"]
