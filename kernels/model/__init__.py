"""Models: expressions, their derivatives, and the program that evaluates both."""
