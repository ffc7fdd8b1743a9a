"""The commands, a class for each kind of value."""
