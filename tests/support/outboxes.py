"""The outboxes of the examples under one face, and processes of theirs that die at a moment.

As a program it takes an order in a shop of its own, and kills itself on the way:
``python -m tests.support.outboxes LIBRARY DATABASE URL NAMESPACE MOMENT``.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import sqlalchemy as sa
from django.db import connection, connections, transaction
from sqlalchemy.orm import Session, sessionmaker

from gostage_core import Runner
from gostage_workers.examples import outbox_django, outbox_sqlalchemy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from gostage_core import Run

BEFORE_RELAY = "before the relay"
BEFORE_DELETE = "before the row is deleted"


class SqlalchemyShop:
    """A shop that keeps its orders with SQLAlchemy."""

    workflow: ClassVar = outbox_sqlalchemy.order

    def __init__(self, path: str, runner: Runner, *, at_commit: bool = True, **engine: Any) -> None:
        self.runner = runner
        self.engine = sa.create_engine(f"sqlite:///{path}", **engine)
        outbox_sqlalchemy.outbox.metadata.create_all(self.engine)
        self.sessions = sessionmaker(self.engine)
        self._session: Session | None = None
        if at_commit:
            outbox_sqlalchemy.relay_after_commit(self.sessions, runner)

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Begin, and commit what the block has done."""
        with self.sessions.begin() as self._session:
            yield

    def savepoint(self) -> AbstractContextManager[Any]:
        """Set a savepoint; what raises goes back to it."""
        assert self._session is not None
        return self._session.begin_nested()

    def order(self, customer: object, **options: Any) -> str:
        """Have an order packed, in the transaction at hand."""
        assert self._session is not None
        store = {"customer": customer}
        return outbox_sqlalchemy.submit_later(
            self._session, self.runner, self.workflow, store=store, **options
        )

    def relay(self, runner: Runner | None = None) -> None:
        """Submit what waits."""
        outbox_sqlalchemy.relay(self.sessions, runner or self.runner)

    def rows(self) -> dict[str, str]:
        """Return the ids of what is in the outbox, with the error of each."""
        with self.sessions() as session:
            rows = session.execute(sa.select(outbox_sqlalchemy.outbox)).all()
        return {row.run_id: row.error or "" for row in rows}

    def write(self, run_id: str, prepared: str) -> None:
        """Put a row into the outbox."""
        with self.sessions.begin() as session:
            values = {"run_id": run_id, "prepared": prepared}
            session.execute(sa.insert(outbox_sqlalchemy.outbox).values(**values))

    def call_at_commit(self, call: Callable[[], None]) -> None:
        """Have something called right after the next commit."""
        sa.event.listen(self.sessions, "after_commit", lambda _: call())


class DjangoShop:
    """A shop that keeps its orders with Django, which knows one database a process."""

    workflow: ClassVar = outbox_django.order

    def __init__(self, path: str, runner: Runner, *, at_commit: bool = True) -> None:
        self.runner = runner
        self._at_commit = at_commit
        connection.close()
        connections.settings["default"]["NAME"] = path
        if outbox_django.Outbox._meta.db_table not in connection.introspection.table_names():
            with connection.schema_editor() as editor:
                editor.create_model(outbox_django.Outbox)

    def close(self) -> None:
        """Close the connection of this thread."""
        connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Begin, and commit what the block has done."""
        with transaction.atomic():
            yield
            if not self._at_commit:
                connection.run_on_commit.clear()

    def savepoint(self) -> AbstractContextManager[Any]:
        """Set a savepoint; what raises goes back to it."""
        return transaction.atomic()

    def order(self, customer: object, **options: Any) -> str:
        """Have an order packed, in the transaction at hand."""
        store = {"customer": customer}
        return outbox_django.submit_later(self.runner, self.workflow, store=store, **options)

    def relay(self, runner: Runner | None = None) -> None:
        """Submit what waits."""
        outbox_django.relay(runner or self.runner)

    def rows(self) -> dict[str, str]:
        """Return the ids of what is in the outbox, with the error of each."""
        return dict(outbox_django.Outbox.objects.values_list("run_id", "error"))

    def write(self, run_id: str, prepared: str) -> None:
        """Put a row into the outbox."""
        outbox_django.Outbox.objects.create(run_id=run_id, prepared=prepared)

    def call_at_commit(self, call: Callable[[], None]) -> None:
        """Have something called right after the commit of the transaction at hand."""
        transaction.on_commit(call)


Shop = SqlalchemyShop | DjangoShop
SHOPS: dict[str, type[Shop]] = {"sqlalchemy": SqlalchemyShop, "django": DjangoShop}


class DyingRunner(Runner):
    """Submits, and its process is dead before it can note that it did."""

    def submit_prepared(self, text: str) -> Run:
        """Submit, and die."""
        super().submit_prepared(text)
        _die()
        raise AssertionError("the process has survived SIGKILL")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(library: str, path: str, url: str, namespace: str, moment: str) -> None:
    """Take an order, and die at *moment*."""
    kind = DyingRunner if moment == BEFORE_DELETE else Runner
    shop = SHOPS[library](path, kind(url, namespace=namespace))
    if library == "sqlalchemy" and moment == BEFORE_RELAY:
        shop.call_at_commit(_die)
    with shop.transaction():
        if library == "django" and moment == BEFORE_RELAY:
            shop.call_at_commit(_die)
        print(shop.order("Ana"), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
