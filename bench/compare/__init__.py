"""Whether one variant, run or benchmark file is slower than another, and since when."""
