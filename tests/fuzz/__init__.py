"""Fuzzing: texts, tables and folders that nobody would write, at random, thousands a second.

One module for each target. It has a function that makes the target in an empty folder: a small corpus, pieces that
mutations put in, and what examines an input. An input is accepted, or refused in one line; all else is a failure. The
suite runs each target for a second, and `python -m tests.fuzz expression --inputs 1000000` runs one for as long as
there is time; with `--coverage`, atheris guides it.
"""
