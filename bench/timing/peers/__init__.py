"""The same problem solved in C and with other packages, each written to win."""
