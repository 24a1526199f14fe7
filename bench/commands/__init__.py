"""The implementation of the commands of `sgdbench`."""
