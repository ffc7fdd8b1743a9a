"""Workflows as they are built up or read; what is submitted is a snapshot of them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, overload

from pydantic import ValidationError

from gostage_core.authoring.definition import WorkflowDefinition, check_counts
from gostage_core.authoring.document import check_document, parse_json
from gostage_core.authoring.problems import listing, problem_lines, shown
from gostage_core.authoring.stage import Stage
from gostage_core.authoring.yaml_document import read_yaml
from gostage_core.errors import DuplicateStageError, InvalidWorkflowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Self

__all__ = ["Stage", "Workflow"]

_SCHEMA: Final = "https://json-schema.org/draft/2020-12/schema"


class Workflow:
    """Stages in order. Built up freely; each submit takes a snapshot, and no run changes it."""

    def __init__(
        self, id: str, *, name: str = "", description: str = "", tags: Iterable[str] = ()
    ) -> None:
        """Build a workflow without stages.

        Args:
            id: what its runs are listed under; 1 to 200 of ``A-Z a-z 0-9 _ . : -``.
            name: what people call it.
            description: what it is for.
            tags: words to select its runs by.

        Raises:
            InvalidWorkflowError: a value that does not fit.
        """
        self._head = _head(
            f"workflow {shown(id)}", id=id, name=name, description=description, tags=tags
        )
        self._stages: dict[str, Stage] = {}

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the workflow that *text* describes.

        Parameters are checked by the actions that they are for; options that the text leaves out
        are those of the actions' classes.

        Raises:
            InvalidWorkflowError: it is not JSON, or not a workflow. As all errors of this method it
                lists every problem on a line that begins with the place.
            InvalidActionError: parameters that their actions do not take.
            UnknownActionError: actions that nothing registered here.
            DuplicateStageError: a stage id that is there twice.
        """
        return cls.from_dict(parse_json(text))

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Return the workflow that *document* describes: what its JSON text would be read as.

        Raises:
            InvalidWorkflowError: as :meth:`from_json`, like the other errors.
        """
        definition, actions = check_document(document)
        workflow = cls(definition.id)
        workflow._head = definition
        for stage, bound in zip(definition.stages, actions, strict=True):
            workflow.add_stage(Stage.from_definition(stage, bound))
        return workflow

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Return the workflow that the YAML file at *path* describes: as JSON, in YAML's form.

        Raises:
            OSError: the file cannot be read.
            InvalidWorkflowError: it is not YAML (names file and line), or as :meth:`from_json`.
        """
        return cls.from_dict(read_yaml(path))

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema of workflow files, with which editors complete and check them."""
        return {"$schema": _SCHEMA, **WorkflowDefinition.model_json_schema(), "title": "Workflow"}

    @property
    def id(self) -> str:
        """What runs of the workflow are listed under."""
        return self._head.id

    @property
    def name(self) -> str:
        """What people call the workflow; may be empty."""
        return self._head.name

    @property
    def description(self) -> str:
        """What the workflow is for; may be empty."""
        return self._head.description

    @property
    def tags(self) -> tuple[str, ...]:
        """Words to select the workflow's runs by."""
        return self._head.tags

    @property
    def stages(self) -> Mapping[str, Stage]:
        """The stages by id, in order; a view, which shows later changes."""
        return MappingProxyType(self._stages)

    @overload
    def add_stage(self, stage: Stage, /) -> Stage: ...
    @overload
    def add_stage(
        self,
        id: str,
        *,
        name: str = "",
        description: str = "",
        tags: Iterable[str] = (),
        initial: Mapping[str, Any] | None = None,
        parallel: bool = False,
        max_parallel: int | None = None,
    ) -> Stage: ...
    def add_stage(self, id: Stage | str, **head: Any) -> Stage:
        """Add a stage at the end and return it: a :class:`Stage`, or what makes one.

        Raises:
            DuplicateStageError: the workflow has a stage of this id.
            InvalidWorkflowError: a value that does not fit.
        """
        if isinstance(id, Stage) and head:
            raise TypeError(f"add_stage(Stage(...)) takes nothing else, but got {', '.join(head)}")
        stage = id if isinstance(id, Stage) else Stage(id, **head)
        if stage.id in self._stages:
            raise DuplicateStageError(stage.id)
        self._stages[stage.id] = stage
        return stage

    def definition(self) -> WorkflowDefinition:
        """Return a snapshot, which later changes of the workflow do not touch.

        Raises:
            InvalidWorkflowError: the workflow has no stages, or too many stages or actions.
        """
        if not self._stages:
            raise InvalidWorkflowError(f"workflow {self.id!r} has no stages")
        check_counts(len(self._stages), sum(len(stage.actions) for stage in self._stages.values()))
        return self._snapshot()

    def to_json(self, indent: int | None = None) -> str:
        """Return the workflow as JSON text, without what is at its default.

        Raises:
            InvalidWorkflowError: as :meth:`definition`, or the text is longer than 16 MB.
        """
        return self.definition().to_json(indent)

    @property
    def digest(self) -> str:
        """The SHA-256 of the content in hex: the same in every process, another for any change."""
        return self.definition().digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workflow) and self._snapshot() == other._snapshot()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<workflow {self.id!r}, {len(self._stages)} stages>"

    def _snapshot(self) -> WorkflowDefinition:
        stages = tuple(stage.definition() for stage in self._stages.values())
        return self._head.model_copy(update={"stages": stages})


def _head(owner: str, **values: Any) -> WorkflowDefinition:
    try:
        return WorkflowDefinition(**values, stages=())
    except ValidationError as error:
        raise InvalidWorkflowError(listing(problem_lines(error, f"{owner}: "))) from error
