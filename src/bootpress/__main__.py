"""`python -m bootpress` is the program `bootpress`."""

from bootpress.entrypoints.cli.main import main

if __name__ == "__main__":
    main()
