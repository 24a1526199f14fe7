"""Which variant is faster: verified first, then timed in turns."""
