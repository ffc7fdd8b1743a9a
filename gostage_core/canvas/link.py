"""A run as a link of a Celery canvas: the signature that stands for it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from celery.canvas import Signature

from gostage_core.authoring.workflow import Workflow
from gostage_core.broker.signatures import TICKET, Signer
from gostage_core.broker.task_names import RUN_TASK
from gostage_core.duration import seconds
from gostage_core.settings import Settings
from gostage_core.values.codec import to_tree
from gostage_core.values.key import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from celery import Celery

    from gostage_core.duration import Duration


def run_signature(
    workflow: Workflow | Mapping[str, Any],
    *,
    give: Key[Any] | str | None = None,
    take: Key[Any] | str | None = None,
    store: Mapping[Key[Any] | str, Any] | None = None,
    deadline: Duration | None = None,
    tags: Iterable[str] = (),
    queue: str | None = None,
    app: Celery | None = None,
) -> Signature:
    """Return a signature that stands for a run of *workflow*, for a place in a Celery canvas.

    ``chain(fetch.s(url), run_signature(review, give="document", take="verdict"), file.s())``

    The run begins when its turn in the canvas comes, and the canvas goes on when the run has ended;
    no worker is held meanwhile. The id of the link's task is the run's id. When the run fails or is
    cancelled the link fails with ``RunFailedError``: the rest of the chain does not run, and
    ``link_error`` is called. When it ends early by ``bail``, that is success.

    The link has a result where the workers that execute gostage's messages have the result backend
    of the project: install gostage into the project's app. At a crash at the very end of a run the
    canvas may go on twice, as with Celery's late acknowledgement.

    Args:
        workflow: what is run; it is copied now.
        give: the key of the run's store that gets the result of the link before.
        take: the key of the run's store whose value is the result of this link; by default its
            result is the run's id.
        store: further first values of the run's store.
        deadline: after which a run that is not done fails.
        tags: to find the run by.
        queue: of the workers of gostage; by default ``GOSTAGE_NAMESPACE``, else ``gostage``.
        app: that sends it, where the signature begins a canvas.

    Raises:
        InvalidWorkflowError: *workflow* is none that can be run.
        StoreError: a value that cannot be stored.
    """
    made = workflow if isinstance(workflow, Workflow) else Workflow.from_dict(dict(workflow))
    wanted = {
        "give": _name(give),
        "take": _name(take),
        "store": {_name(key): to_tree(value) for key, value in (store or {}).items()},
        "deadline": None if deadline is None else seconds(deadline),
        "tags": sorted(tags),
    }
    settings = Settings.from_env(os.environ)
    kwargs: dict[str, Any] = {
        "definition": json.loads(made.to_json()),
        **{name: value for name, value in wanted.items() if value},
    }
    signer = Signer.of(settings)
    if signer is not None:  # what it is given by the link before is not known yet
        kwargs[TICKET] = signer.ticket(RUN_TASK, kwargs)
    return Signature(
        RUN_TASK,
        kwargs=kwargs,
        options={"queue": queue or settings.namespace},
        immutable=give is None,
        app=app,
    )


def _name(key: Any) -> Any:
    return key.name if isinstance(key, Key) else key
