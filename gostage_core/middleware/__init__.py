"""Middleware at work: the hooks of stages and runs, and what comes with gostage."""
