"""Workflows that show one thing each; they ship, run and are tested."""
