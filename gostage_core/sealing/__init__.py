"""What is encrypted before it goes to the server, and opened where it is read."""
