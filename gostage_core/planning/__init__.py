"""The plan of a run: read as a tree, changed in memory, written as edits, replayed from history."""
