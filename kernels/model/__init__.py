"""Models: expressions, their derivatives, and the program that both are evaluated by."""
