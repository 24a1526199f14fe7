"""Registration of users' own optimizers, losses, schedules and models."""
