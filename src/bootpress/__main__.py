"""`python -m bootpress` is the program `bootpress`."""

from bootpress.surfaces.cli.main import main

main()
