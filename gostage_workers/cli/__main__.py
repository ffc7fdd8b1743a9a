"""``python -m gostage_workers.cli``: the command where its script is not on the path."""

from gostage_workers.cli import main

main()
