"""`python -m turnlog`: the command line."""

from .cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
