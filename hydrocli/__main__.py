"""`python -m hydrocli`."""

from hydrocli.cli import main

main()
