"""What ``client.pubsub()`` is for a server in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core.testing.memory.channels import Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from gostage_core.testing.memory.channels import Notice
    from gostage_core.testing.memory.server import MemoryServer

Name = str | bytes


class Subscription:
    """Hears what is published, as redis-py's ``PubSub`` does, but for handlers and patterns."""

    def __init__(
        self,
        server: MemoryServer,
        encode: Callable[[Name], bytes],
        *,
        ignore_subscribe_messages: bool = False,
    ) -> None:
        """Hear nothing yet; *encode* makes bytes of a channel's name."""
        self._server = server
        self._encode = encode
        self._ignores = ignore_subscribe_messages
        self._mailbox = Mailbox()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def subscribed(self) -> bool:
        """Whether it hears anything."""
        return bool(self._mailbox.channels)

    def subscribe(self, *channels: Name) -> None:
        """Hear these channels from now on."""
        for channel in channels:
            self._server.channels.subscribe(self._mailbox, self._encode(channel))

    def unsubscribe(self, *channels: Name) -> None:
        """Hear these no more; all, where none is named."""
        for channel in [self._encode(one) for one in channels] or list(self._mailbox.channels):
            self._server.channels.unsubscribe(self._mailbox, channel)

    def get_message(
        self, ignore_subscribe_messages: bool = False, timeout: float | None = 0.0
    ) -> Notice | None:
        """Return the next notice, or ``None``.

        Where there is none, the server's ``wait`` says how *timeout* seconds pass.
        """
        if not self._mailbox.notices and timeout != 0:
            self._server.wait(self._mailbox, timeout)
        if not self._mailbox.notices:
            return None
        notice = self._mailbox.notices.popleft()
        is_message = notice["type"] == "message"
        return notice if is_message or not (ignore_subscribe_messages or self._ignores) else None

    def close(self) -> None:
        """Hear nothing more, and forget what was not taken."""
        self.unsubscribe()
        self._mailbox.notices.clear()

    reset = close
