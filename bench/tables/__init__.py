"""From the frame of results to rankings, words and text."""
