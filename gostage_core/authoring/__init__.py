"""What an author writes: actions, stages, workflows, and the definitions that they are kept as."""
