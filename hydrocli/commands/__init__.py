"""One file per command of `hydrocli`."""
