"""Schedules: workflows that are submitted at certain times, by whichever worker is there."""
