"""Peers: the same problem solved in C and with other packages, each optimized."""
