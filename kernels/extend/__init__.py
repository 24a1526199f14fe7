"""Optimizers, losses, schedules and models of the user's own."""
