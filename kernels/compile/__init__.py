"""Compilation of a kernel: from loops, a model, a loss and an optimizer to machine code."""
