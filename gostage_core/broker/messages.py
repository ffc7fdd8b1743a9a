"""Messages that cannot be built from a malformed envelope, nor from one that is a bomb."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import TYPE_CHECKING, Any

from kombu.compression import get_decoder
from kombu.transport import virtual

from gostage_core.broker.quarantine import ITEM_FAULTS, MalformedItemError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core.broker.transport import Channel

#: Bytes unpacked at once while the size of a compressed body is measured.
CHUNK_BYTES = 1024 * 1024

#: What a stream may ask for as its dictionary; ``xz -9`` needs 65 MiB.
MAX_DICTIONARY_BYTES = 128 * 1024 * 1024


class CheckedMessage(virtual.Message):
    """A message of a transport that emulates AMQP, refused whole if its envelope is malformed."""

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
        if not isinstance(self.delivery_info, dict):
            raise MalformedItemError("its delivery_info is not an object")
        # A field name of Redis; redis-py refuses a bool.
        if not isinstance(self.delivery_tag, str | int) or isinstance(self.delivery_tag, bool):
            raise MalformedItemError("its delivery_tag is not a string")
        self._settled = False

    def ack(self, multiple: bool = False) -> None:
        """Acknowledges the message; nothing happens after :meth:`settle`."""
        if not self._settled:
            super().ack(multiple=multiple)

    def reject(self, requeue: bool = False) -> None:
        """Rejects the message; nothing happens after :meth:`settle`."""
        if not self._settled:
            super().reject(requeue=requeue)

    def settle(self) -> None:
        """Ends the delivery for good.

        A consumer that failed half way may have an ack under way, which must not fail later.
        """
        if not self.acknowledged and self.channel is not None:
            self.channel.settle(self.delivery_tag)
        self._settled = True


def _refuse_bomb(payload: Any, channel: Channel) -> None:
    compression = (payload.get("headers") or {}).get("compression")
    if not compression:
        return
    body = channel.decode_body(payload.get("body"), payload["properties"].get("body_encoding"))
    open_stream = _stream_of(compression)
    if isinstance(body, bytes) and open_stream is not None:
        limit = channel.max_inflated_bytes
        if _inflates_beyond(limit, open_stream, body):
            raise MalformedItemError(f"its compressed body unpacks to more than {limit:,} bytes")


def _stream_of(compression: object) -> Callable[[], Any] | None:
    try:
        decoder = get_decoder(compression)  # type: ignore[arg-type]  # any JSON value may be here
    except (KeyError, TypeError):
        return None  # kombu notes the error in the message
    return _STREAMS.get(decoder)


def _open_lzma() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(memlimit=MAX_DICTIONARY_BYTES)


# By the functions that kombu registers for the names; brotli and zstd, which exist only where
# somebody installs them, cannot be unpacked in bounded pieces by one interface.
_STREAMS: dict[Callable[..., Any], Callable[[], Any]] = {
    zlib.decompress: zlib.decompressobj,
    bz2.decompress: bz2.BZ2Decompressor,
    lzma.decompress: _open_lzma,
}


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
            if not piece:
                return
            yield len(piece)
            data = getattr(stream, "unconsumed_tail", b"")
        data = stream.unused_data if stream.unused_data != data else b""
