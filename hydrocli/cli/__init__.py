"""The door: the command line in, one plain function of `hydrocli.runs` called, tables and exit statuses out."""

from hydrocli.cli.commands import app, main

__all__ = ["app", "main"]
