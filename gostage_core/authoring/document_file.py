"""Files that describe a workflow: read by their form, with the line of each problem in them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gostage_core.authoring.document import parse_json
from gostage_core.authoring.json_document import json_spots, repeats_a_name
from gostage_core.authoring.json_tree import MOST_BYTES
from gostage_core.authoring.problems import is_a_problem, listing
from gostage_core.authoring.yaml_document import parse_yaml
from gostage_core.errors import (
    DefinitionError,
    DuplicateStageError,
    InvalidWorkflowError,
    UnknownActionError,
)

if TYPE_CHECKING:
    from gostage_core.authoring.positions import SpotTree

YAML_SUFFIXES: Final = (".yaml", ".yml")
JSON_SUFFIXES: Final = (".json",)
SUFFIXES: Final = (*YAML_SUFFIXES, *JSON_SUFFIXES)
"""What the names of files that hold workflows end in."""

_JSON_PLACE: Final = re.compile(r" at line (\d+) column (\d+)$")


@dataclass(frozen=True)
class DocumentFile:
    """What a file holds, and where in it everything stands."""

    file: str
    """What messages call it."""
    text: str
    document: object
    yaml: SpotTree | None = None

    @cached_property
    def spots(self) -> SpotTree:
        """The lines of all parts; those of JSON are looked for when somebody asks."""
        return self.yaml or json_spots(self.text)

    def located(self, error: DefinitionError) -> DefinitionError:
        """Return *error*, of the same class, each line of it beginning with file and line."""
        if isinstance(error, UnknownActionError):
            return error.at(self._placed(error.where))
        if isinstance(error, DuplicateStageError):
            return DuplicateStageError(error.stage_id, self._placed(error.where))
        lines = sorted(self._placed(str(error)).splitlines(), key=self._line_in)
        return type(error)("\n".join(lines))

    def check_names(self) -> None:
        """Check that no object has a name twice, of which only the last would count.

        Raises:
            InvalidWorkflowError: one has; the message has a line for each such name.
        """
        if self.yaml is None and not repeats_a_name(self.text):
            return
        if repeats := self.spots.repeats:
            lines = [f"{self.file}:{repeat.line}: {repeat}" for repeat in repeats]
            raise InvalidWorkflowError(listing(lines))

    def _line_in(self, placed: str) -> float:
        """Return the line of a problem; what is told of the rest of a listing is told last."""
        line = placed.removeprefix(f"{self.file}:").partition(":")[0]
        return int(line) if is_a_problem(placed) else math.inf

    def _placed(self, text: str) -> str:
        return "\n".join(
            f"{self.file}:{self.spots.root.line_of(line)}: {line}" if is_a_problem(line) else line
            for line in text.splitlines()
        )


def read_file(path: str | Path, suffix: str | None = None) -> DocumentFile:
    """Return what the file at *path* holds.

    Args:
        path: of the file.
        suffix: one of those that say what form it has; by default the file's own.

    Raises:
        OSError: the file cannot be read.
        InvalidWorkflowError: it is not of that form, or of none that is known; the message begins
            with file and line.
    """
    file, form = str(path), (suffix or Path(path).suffix).lower()
    if form not in SUFFIXES:
        raise InvalidWorkflowError(
            f"{file}: the name of a workflow's file ends in {', '.join(SUFFIXES)}; "
            f"by it the file is read as YAML or as JSON"
        )
    text = _text_of(Path(path), "YAML" if form in YAML_SUFFIXES else "JSON")
    read = _yaml_file if form in YAML_SUFFIXES else _json_file
    found = read(file, text)
    found.check_names()
    return found


def _yaml_file(file: str, text: str) -> DocumentFile:
    document, spots = parse_yaml(text, file)
    return DocumentFile(file, text, document, spots)


def _json_file(file: str, text: str) -> DocumentFile:
    try:
        return DocumentFile(file, text, parse_json(text))
    except InvalidWorkflowError as error:
        where = _JSON_PLACE.search(str(error))
        complaint = _JSON_PLACE.sub(r" (column \2)", str(error))
        raise InvalidWorkflowError(f"{file}:{where[1] if where else 1}: {complaint}") from error


def _text_of(path: Path, form: str) -> str:
    data = path.read_bytes()
    if len(data) > MOST_BYTES:
        raise InvalidWorkflowError(
            f"{path}:1: is {len(data):,} bytes long, more than the limit of {MOST_BYTES:,}"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        raise InvalidWorkflowError(f"{path}:{line}: not {form}: {error}") from error
