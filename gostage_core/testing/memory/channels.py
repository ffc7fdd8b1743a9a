"""Messages from who publishes to who has subscribed."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

Notice = dict[str, "Any"]
"""What a subscriber is given, as redis-py spells it."""


class Mailbox:
    """What one subscriber has not taken yet."""

    def __init__(self) -> None:
        self.channels: list[bytes] = []
        self.notices: deque[Notice] = deque()


class Channels:
    """The subscribers of one server. Safe to share between threads."""

    def __init__(self) -> None:
        self._mailboxes: dict[bytes, list[Mailbox]] = {}
        self._changed = threading.Condition()

    def publish(self, channel: bytes, text: bytes) -> int:
        """Give *text* to every subscriber of *channel*, and return how many there are."""
        mailboxes = self._mailboxes.get(channel)
        if not mailboxes:
            return 0
        with self._changed:
            for mailbox in mailboxes:
                mailbox.notices.append(_notice("message", channel, text))
            self._changed.notify_all()
            return len(mailboxes)

    def subscribe(self, mailbox: Mailbox, channel: bytes) -> None:
        """Have *mailbox* get what is published to *channel* from now on, and a notice of that."""
        with self._changed:
            if channel not in mailbox.channels:
                mailbox.channels.append(channel)
                self._mailboxes.setdefault(channel, []).append(mailbox)
            mailbox.notices.append(_notice("subscribe", channel, len(mailbox.channels)))

    def unsubscribe(self, mailbox: Mailbox, channel: bytes) -> None:
        """End that, with a notice."""
        with self._changed:
            if channel in mailbox.channels:
                mailbox.channels.remove(channel)
                self._mailboxes[channel].remove(mailbox)
                if not self._mailboxes[channel]:
                    del self._mailboxes[channel]
            mailbox.notices.append(_notice("unsubscribe", channel, len(mailbox.channels)))

    def sleep(self, mailbox: Mailbox, seconds: float | None) -> None:
        """Hold the calling thread up until another one has given *mailbox* something.

        At most so many real *seconds*; without end for ``None``.
        """
        limit = None if seconds is None else min(seconds, threading.TIMEOUT_MAX)
        with self._changed:
            self._changed.wait_for(lambda: mailbox.notices, limit)


def _notice(kind: str, channel: bytes, data: bytes | int) -> Notice:
    return {"type": kind, "pattern": None, "channel": channel, "data": data}
