"""Messages that cannot be built from a malformed envelope, nor from one that is a bomb."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import TYPE_CHECKING, Any, Final

from kombu.compression import get_decoder

from gostage_core.broker.quarantine import ITEM_FAULTS, MalformedItemError
from gostage_core.broker.stock import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gostage_core.broker.transport import Channel

CHUNK_BYTES: Final = 1024 * 1024
"""What is unpacked at once while the size of a compressed body is measured."""
MAX_DICTIONARY_BYTES: Final = 128 * 1024 * 1024
"""What an lzma stream may ask for as its dictionary; the highest preset needs 65 MiB."""


class CheckedMessage(Message):
    """A message that is refused whole if its envelope is malformed."""

    def __init__(self, payload: Any, channel: Channel | None = None, **kwargs: Any) -> None:
        try:
            if channel is not None:
                _refuse_bomb(payload, channel)
            super().__init__(payload, channel=channel, **kwargs)
        except MalformedItemError:
            raise
        except ITEM_FAULTS as error:
            raise MalformedItemError(
                f"its envelope or the encoding of its body is wrong ({type(error).__name__})"
            ) from None
        self._settled = False
        _check_delivery(self.delivery_info, self.delivery_tag)

    def ack(self, multiple: bool = False) -> None:
        """Acknowledge the message; nothing happens after :meth:`settle`."""
        if not self._settled:
            super().ack(multiple=multiple)

    def reject(self, requeue: bool = False) -> None:
        """Reject the message; nothing happens after :meth:`settle`."""
        if not self._settled:
            super().reject(requeue=requeue)

    def settle(self) -> None:
        """End the delivery for good.

        A consumer that failed half way may have an ack under way, which must not fail later.
        """
        if not self.acknowledged and self.channel is not None:
            self.channel.settle(self.delivery_tag)
        self._settled = True


def _check_delivery(info: object, tag: object) -> None:
    if not isinstance(info, dict):
        raise MalformedItemError("its delivery_info is not an object")
    # It becomes a field name in Redis, and redis-py refuses a bool.
    if isinstance(tag, bool) or not isinstance(tag, (str, int)):
        raise MalformedItemError("its delivery_tag is not a string")


def _refuse_bomb(payload: Mapping[str, Any], channel: Channel) -> None:
    compression = (payload.get("headers") or {}).get("compression")
    if not compression:
        return
    encoding = payload["properties"].get("body_encoding")
    body: object = channel.decode_body(payload.get("body"), encoding)
    open_stream = _stream_of(compression)
    limit = channel.max_inflated_bytes
    if isinstance(body, bytes) and open_stream and _inflates_beyond(limit, open_stream, body):
        raise MalformedItemError(f"its compressed body unpacks to more than {limit:,} bytes")


def _stream_of(compression: Any) -> Callable[[], Any] | None:
    try:
        decoder = get_decoder(compression)
    except (KeyError, TypeError):
        return None  # kombu notes the error in the message
    return _STREAMS.get(decoder)


def _open_lzma() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(memlimit=MAX_DICTIONARY_BYTES)


_STREAMS: Final[Mapping[Callable[..., bytes], Callable[[], Any]]] = {
    zlib.decompress: zlib.decompressobj,
    bz2.decompress: bz2.BZ2Decompressor,
    lzma.decompress: _open_lzma,
}
"""By kombu's own functions. Brotli and zstd, which somebody must install, are not bounded."""


def _inflates_beyond(limit: int, open_stream: Callable[[], Any], data: bytes) -> bool:
    size = 0
    try:
        for length in _unpack(open_stream, data):
            size += length
            if size > limit:
                return True
    except lzma.LZMAError:
        return True  # its dictionary may be what is too large
    except (zlib.error, OSError, EOFError):
        return False  # broken: kombu notes the error in the message
    return False


def _unpack(open_stream: Callable[[], Any], data: bytes) -> Iterator[int]:
    while data:
        stream = open_stream()
        while not stream.eof:
            piece = stream.decompress(data, CHUNK_BYTES)
            if not piece and not stream.eof:
                return  # cut off
            yield len(piece)
            # zlib hands back what it did not read yet, the others keep it.
            data = getattr(stream, "unconsumed_tail", b"")
        data = stream.unused_data
