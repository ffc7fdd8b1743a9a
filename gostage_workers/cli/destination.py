"""Where the text goes that a command makes: to standard output, or to a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from gostage_workers.cli.options import option


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the answer goes."""

    output: str | None = option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write to this file.  [default: standard output]",
    )

    def write(self, text: str) -> None:
        """Write *text*, over what is in the file.

        Raises:
            OSError: it cannot be written.
        """
        if self.output is None:
            click.echo(text, nl=False)
        else:
            Path(self.output).write_text(text, encoding="utf-8")
