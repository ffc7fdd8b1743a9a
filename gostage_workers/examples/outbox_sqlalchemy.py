"""An outbox for SQLAlchemy: a run exists if, and only if, the transaction that wants it commits."""

import logging
from typing import Any

from gostage_core import ActionContext, PreparedRunError, Runner, Workflow, action
from gostage_workers import LocalCluster

try:
    import sqlalchemy as sa
    from sqlalchemy.orm import Session, sessionmaker
except ModuleNotFoundError:
    raise SystemExit("this example needs SQLAlchemy: pip install 'sqlalchemy>=2.0.40'") from None

outbox = sa.Table(
    "outbox",
    sa.MetaData(),  # or the one of your declarative base
    sa.Column("run_id", sa.String(200), primary_key=True),
    sa.Column("prepared", sa.Text, nullable=False),
    sa.Column("created", sa.DateTime, server_default=sa.func.now(), index=True),
    sa.Column("error", sa.Text),  # why it can never be submitted; the row waits for you
)


def submit_later(session: Session, runner: Runner, workflow: Workflow, **options: Any) -> str:
    """Have a run submitted once *session* is committed; return what its id will be."""
    run = runner.prepare(workflow, **options)
    session.execute(sa.insert(outbox).values(run_id=run.run_id, prepared=run.text))
    session.info.setdefault("outbox", []).append(run.run_id)
    return run.run_id


def relay(sessions: sessionmaker[Session], runner: Runner, *which: sa.ColumnElement[bool]) -> None:
    """Submit all that waits. Any process may do it at any time, so let some do it every second."""
    waiting = sa.select(outbox).where(outbox.c.error.is_(None), *which).order_by("created")
    while True:
        with sessions.begin() as session:
            row = session.execute(waiting.limit(1).with_for_update(skip_locked=True)).first()
            if row is None:
                return
            this = outbox.c.run_id == row.run_id
            try:
                runner.submit_prepared(row.prepared)  # should we die now, it may be repeated
                session.execute(sa.delete(outbox).where(this))
            except PreparedRunError as error:
                session.execute(sa.update(outbox).where(this).values(error=str(error)))


def relay_after_commit(sessions: sessionmaker[Session], runner: Runner) -> None:
    """Spare runs the wait for the next call of relay(), which takes those that fail here."""

    @sa.event.listens_for(sessions, "after_transaction_end")  # its connection is free by now
    def relay_own(session: Session, ended: Any) -> None:
        if ended.parent is None and (own := session.info.pop("outbox", ())):
            try:
                relay(sessions, runner, outbox.c.run_id.in_(own))
            except Exception as error:  # noqa: BLE001 - the caller has committed, and goes on
                logging.getLogger(__name__).warning("%s wait for the next relay: %s", own, error)


@action(store_as="parcel")
def pack(ctx: ActionContext) -> str:
    """Pack what was ordered."""
    return f"a parcel for {ctx.store['customer']}"


order = Workflow("order")
order.add_stage("pack").add(pack.s())

if __name__ == "__main__":
    with LocalCluster() as cluster:
        engine = sa.create_engine("sqlite://")
        outbox.metadata.create_all(engine)
        relay_after_commit(sessions := sessionmaker(engine), runner := cluster.runner)
        with sessions.begin() as session:
            run_id = submit_later(session, runner, order, store={"customer": "Ana"})
        with sessions() as session:
            submit_later(session, runner, order, store={"customer": "Ben"})
            session.rollback()
        print(f"{len(runner.list())} run of 2: {runner.get(run_id).wait().store['parcel']}")
