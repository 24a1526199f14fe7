"""What each command of `sgdbench` does, in the order in which it does it."""
