"""The speeds of variants: verified first, then timed in turns."""
