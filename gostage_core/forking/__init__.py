"""A new run out of an old one: its plan and its store as they were when an action began."""
