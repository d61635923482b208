"""`python -m attnkit` is `attnkit`."""

from attnkit.cli import main

if __name__ == "__main__":
    main()
