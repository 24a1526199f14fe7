"""The same problem solved with other packages and in C, each written by someone who wants it to win."""
