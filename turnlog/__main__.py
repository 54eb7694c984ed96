"""`python -m turnlog`: the command line."""

from _turnlog_start import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
