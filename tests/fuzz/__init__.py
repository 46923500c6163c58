"""Everything that reads what outsiders write, under changed bytes: a table of targets, and three ways to run it.

`pytest tests/fuzz` replays the corpus of tests/assets/corpus, changes the recorded inputs with Hypothesis, and runs
atheris for a moment; `make fuzz ARGS="manifest 3600"` runs atheris for an hour.
"""
