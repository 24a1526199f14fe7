"""Comparison of variants, runs, benchmark files and commits by ratios and gates."""
