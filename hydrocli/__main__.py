"""`python -m hydrocli`, and the command `hydrocli`."""

import signal


def main() -> None:
    """Run the command line; Ctrl-C while Python loads it ends the process without a traceback."""
    python_handles = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if python_handles:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from hydrocli.cli import main as command_line

    if python_handles:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line()


if __name__ == "__main__":
    main()
