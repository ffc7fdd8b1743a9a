"""Workflows as they are built up or read; what is submitted is a snapshot of them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, overload

from pydantic import ValidationError

from gostage_core.authoring.definition import Limits, WorkflowDefinition, check_counts
from gostage_core.authoring.definition_graph import definition_graph
from gostage_core.authoring.document import check_document, parse_json, unwritable
from gostage_core.authoring.document_file import YAML_SUFFIXES, read_file
from gostage_core.authoring.middleware import uses_of
from gostage_core.authoring.problems import listing, problem_lines, shown
from gostage_core.authoring.schema import workflow_schema
from gostage_core.authoring.stage import Stage
from gostage_core.errors import (
    DefinitionError,
    DuplicateStageError,
    InvalidActionError,
    InvalidWorkflowError,
)
from gostage_core.graph.folding import folded
from gostage_core.graph.mermaid import to_mermaid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Self

    from gostage_core.authoring.document_file import DocumentFile
    from gostage_core.authoring.middleware import Middleware
    from gostage_core.authoring.throttle import Throttle
    from gostage_core.duration import Duration

__all__ = ["Stage", "Workflow"]


class Workflow:
    """Stages in order. Built up freely; each submit takes a snapshot, and no run changes it."""

    def __init__(
        self,
        id: str,
        *,
        name: str = "",
        description: str = "",
        tags: Iterable[str] = (),
        limits: Limits | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        """Build a workflow without stages.

        Args:
            id: what its runs are listed under; 1 to 200 of ``A-Z a-z 0-9 _ . : -``.
            name: what people call it.
            description: what it is for.
            tags: words to select its runs by.
            limits: guard rails for what is added while it runs, other than the usual ones.
            throttle: how many of its runs go on at a time, or begin within a time; of those with
                one ``concurrency_key``, where they are submitted with any. The others wait, as
                ``pending``.

        Raises:
            InvalidWorkflowError: a value that does not fit.
        """
        self._head = _head(
            f"workflow {shown(id)}",
            id=id,
            name=name,
            description=description,
            tags=tags,
            limits=limits,
            throttle=throttle,
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
        try:
            for stage, bound in zip(definition.stages, actions, strict=True):
                workflow.add_stage(Stage.from_definition(stage, bound))
        except InvalidActionError as error:
            raise unwritable(actions) from error
        return workflow

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Return the workflow that the YAML file at *path* describes: as JSON, in YAML's form.

        Raises:
            OSError: the file cannot be read.
            InvalidWorkflowError: it is not YAML, or as :meth:`from_json`, like the other errors;
                each line begins with ``file:line: ``.
        """
        return cls._from_file(read_file(path, YAML_SUFFIXES[0]))

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Return the workflow that the file at *path* describes, whose name says what form it has.

        Raises:
            OSError: the file cannot be read.
            InvalidWorkflowError: the name ends in none of ``.yaml``, ``.yml`` and ``.json``, or the
                file is not of that form; else as :meth:`from_yaml`, like the other errors.
        """
        return cls._from_file(read_file(path))

    @classmethod
    def from_canvas(
        cls,
        signature: object,
        *,
        id: str = "canvas",
        store_as: str = "result",
        timeout: Duration | None = None,
    ) -> Self:
        """Return a Celery canvas as a workflow that does the same: its tasks stay as they are.

        Each task becomes a ``CeleryTask``. The links of a chain follow each other in a stage, a
        group is a parallel stage, a chord that and what follows it. Results are passed on as Celery
        does, by way of the store. When a member of a group fails the others go on, as with Celery.

        Args:
            signature: a signature, chain, group, chord, map, starmap or chunks; or one as the dict
                that Celery makes of it.
            id: what its runs are listed under.
            store_as: the key under which the result of the whole is written.
            timeout: how long each task may take from when it is published; see ``CeleryTask``.

        Raises:
            CanvasError: a part that no run can do, such as ``countdown``; names it and its place.
        """
        # Celery is imported by those alone who ask for it.
        from gostage_core.canvas.stages import stages_of

        workflow = cls(id)
        for stage in stages_of(signature, store_as=store_as, timeout=timeout):
            workflow.add_stage(stage)
        return workflow

    @classmethod
    def model_json_schema(cls, *, registered: bool = False) -> dict[str, Any]:
        """Return the JSON Schema of workflow files, with which editors complete and check them.

        It is of draft 2020-12 and refers to nothing outside of itself.

        Args:
            registered: whether it knows the parameters of all actions and middleware that are
                registered in this process, or only of those that come with gostage.
        """
        return workflow_schema(lambda _: registered)

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
    def limits(self) -> Limits:
        """Guard rails for what is added while the workflow runs."""
        return self._head.limits or Limits()

    @property
    def throttle(self) -> Throttle | None:
        """How many of its runs go on at a time, or begin within a time."""
        return self._head.throttle

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
        on_failure: Literal["fail_fast", "wait_all"] = "fail_fast",
        join: int | None = None,
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

    def use(self, *middleware: Middleware) -> Self:
        """Wrap the run, each stage and each action in *middleware*; return the workflow.

        The first is the outermost. Stages that are added while it runs are wrapped too.

        Raises:
            InvalidWorkflowError: something that is no middleware; says what to write instead.
            InvalidActionError: parameters that cannot be written as JSON.
        """
        uses = (*self._head.middleware, *uses_of(f"workflow {self.id!r}", middleware))
        self._head = self._head.model_copy(update={"middleware": uses})
        return self

    def definition(self) -> WorkflowDefinition:
        """Return a snapshot, which later changes of the workflow do not touch.

        Raises:
            InvalidWorkflowError: the workflow has no stages, or too many stages or actions, or the
                child runs that it starts nest too deep.
        """
        if not self._stages:
            raise InvalidWorkflowError(f"workflow {self.id!r} has no stages")
        self._check_child_depth()
        check_counts(len(self._stages), sum(len(stage.actions) for stage in self._stages.values()))
        return self._snapshot()

    def to_json(self, indent: int | None = None) -> str:
        """Return the workflow as JSON text, without what is at its default.

        Raises:
            InvalidWorkflowError: as :meth:`definition`, or the text is longer than 16 MB.
        """
        return self.definition().to_json(indent)

    def to_mermaid(self, *, everything: bool = False) -> str:
        """Return the workflow as a flowchart of Mermaid, which GitHub and many editors draw.

        Args:
            everything: every stage and action; by default the middle of long lists is left out, as
                Mermaid draws no more than 500 lines between boxes unless it is told to.

        Raises:
            InvalidWorkflowError: as :meth:`definition`.
        """
        graph = definition_graph(self.definition())
        return to_mermaid(graph if everything else folded(graph))

    @property
    def digest(self) -> str:
        """The SHA-256 of the content in hex: the same in every process, another for any change."""
        return self.definition().digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workflow) and self._snapshot() == other._snapshot()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<workflow {self.id!r}, {len(self._stages)} stages>"

    @classmethod
    def _from_file(cls, file: DocumentFile) -> Self:
        try:
            return cls.from_dict(file.document)
        except DefinitionError as error:
            raise file.located(error) from error

    def _check_child_depth(self) -> None:
        depth = max(stage.child_depth for stage in self._stages.values())
        allowed = self.limits.max_child_depth
        if depth > allowed:
            raise InvalidWorkflowError(
                f"workflow {self.id!r}: its child runs nest {depth} deep, and its limit "
                f"max_child_depth allows {allowed}; raise it with limits=Limits(...)"
            )

    def _snapshot(self) -> WorkflowDefinition:
        stages = tuple(stage.definition() for stage in self._stages.values())
        return self._head.model_copy(update={"stages": stages})


def _head(owner: str, **values: Any) -> WorkflowDefinition:
    try:
        return WorkflowDefinition(**values, stages=())
    except ValidationError as error:
        raise InvalidWorkflowError(listing(problem_lines(error, f"{owner}: "))) from error
