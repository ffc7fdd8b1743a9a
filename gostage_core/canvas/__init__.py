"""Celery's canvas: read as a workflow, and with a run as one of its links."""
