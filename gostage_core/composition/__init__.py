"""Actions that are made of others: side by side for each item, by condition, repeated, as a run."""
