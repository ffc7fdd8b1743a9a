"""Traces of OpenTelemetry: one for each run, from its submit to its last attempt."""
