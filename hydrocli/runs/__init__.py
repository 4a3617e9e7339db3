"""One experiment from configuration to results; each command is one function that `hydrocli.cli` calls."""
