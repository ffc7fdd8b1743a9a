"""A worker whose broker is not Redis, in a process of its own: ``python -m … REDIS_URL KEYS``.

It submits a run, sends a message that nobody has signed, and prints how the run ended.
"""

from __future__ import annotations

import sys

from celery import Celery
from celery.contrib.testing.worker import start_worker

from gostage_core import Runner, Settings, Workflow
from gostage_core.broker.hints import HINT_TASK
from gostage_workers import install
from tests.support.confidential import poll
from tests.support.eventually import eventually

NAMESPACE = "elsewhere"


def main(url: str, keys: str) -> None:
    """Run, and end when the message was refused."""
    broker = "memory://"
    settings = Settings(
        redis_url=url, broker_url=broker, namespace=NAMESPACE, signing_keys=keys, durability="none"
    )
    app = Celery("elsewhere", broker=broker, set_as_current=False)
    install(app, settings=settings)
    with start_worker(app, perform_ping_check=False, pool="solo", queues=NAMESPACE):
        runner = Runner(settings=settings, app=app)
        workflow = Workflow("w")
        workflow.add_stage("s").add(poll.s(what="x"))
        status = runner.submit(workflow).wait(timeout=60).status
        app.send_task(HINT_TASK, ["run", "2"], queue=NAMESPACE)
        eventually(lambda: runner._state.client.llen(f"{NAMESPACE}.quarantine"), timeout=60)
        print(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
