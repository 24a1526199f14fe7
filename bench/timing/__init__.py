"""Speeds of variants, which are verified first and then timed in turns."""
