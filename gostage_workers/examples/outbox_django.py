"""An outbox for Django: a run exists if, and only if, the transaction that wants it commits."""

import os
from contextlib import nullcontext
from typing import Any

from gostage_core import ActionContext, PreparedRunError, Runner, Workflow, action
from gostage_workers import LocalCluster

try:
    import django
    from django.conf import settings
    from django.db import connection, models, transaction
except ModuleNotFoundError:
    raise SystemExit("this example needs Django: pip install 'django>=5.2'") from None

if not settings.configured:  # your project is
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("SHOP", ":memory:")}
    settings.configure(DATABASES={"default": database})
    django.setup()


class Outbox(models.Model):  # type: ignore[misc]  # Django ships no types
    """What is to be submitted."""

    run_id = models.CharField(max_length=200, primary_key=True)
    prepared = models.TextField()
    created = models.DateTimeField(auto_now_add=True, db_index=True)
    error = models.TextField(default="")  # why it can never be submitted; the row waits for you

    class Meta:  # noqa: D106 - Django's
        app_label = "shop"  # or in one of your apps, without this


def submit_later(runner: Runner, workflow: Workflow, **options: Any) -> str:
    """Have a run submitted once the transaction is committed; return what its id will be."""
    run = runner.prepare(workflow, **options)
    Outbox.objects.create(run_id=run.run_id, prepared=run.text)
    # Spares the run the wait for the next call of relay(), which takes it if this fails.
    transaction.on_commit(lambda: relay(runner, run_id=run.run_id), robust=True)
    return run.run_id


def relay(runner: Runner, **which: Any) -> None:
    """Submit all that waits. Any process may do it at any time, so let some do it every second."""
    waiting = Outbox.objects.filter(error="", **which).order_by("created")
    locks = connection.features.has_select_for_update_skip_locked
    while True:
        with transaction.atomic() if locks else nullcontext():
            row = (waiting.select_for_update(skip_locked=True) if locks else waiting).first()
            if row is None:
                return
            this = Outbox.objects.filter(run_id=row.run_id)
            try:
                runner.submit_prepared(row.prepared)  # should we die now, it may be repeated
                this.delete()
            except PreparedRunError as error:
                this.update(error=str(error))


@action(store_as="parcel")
def pack(ctx: ActionContext) -> str:
    """Pack what was ordered."""
    return f"a parcel for {ctx.store['customer']}"


order = Workflow("order")
order.add_stage("pack").add(pack.s())

if __name__ == "__main__":
    with connection.schema_editor() as editor:  # your migrations do it
        editor.create_model(Outbox)
    with LocalCluster() as cluster:
        runner = cluster.runner
        with transaction.atomic():
            run_id = submit_later(runner, order, store={"customer": "Ana"})
        with transaction.atomic():
            submit_later(runner, order, store={"customer": "Ben"})
            transaction.set_rollback(True)
        print(f"{len(runner.list())} run of 2: {runner.get(run_id).wait().store['parcel']}")
