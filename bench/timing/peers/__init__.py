"""The same job done by others, each written by someone who wants it to win."""
