"""Tracing: rules, losses and models called with symbols leave a straight-line program."""
