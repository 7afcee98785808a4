"""The address guard: connections to the public internet alone, each with one deadline for all it does.

A host is looked up once, all its addresses are checked, and the connection is made to one of those very
addresses: no second look-up can lead elsewhere. TLS still verifies the host's name.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx

from mmrec.errors import DataError

_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
# Special-purpose ranges that Python's own tables do not have in every version.
_SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet, and is no other address in disguise."""
    ip = ipaddress.ip_address(address)
    if any(ip in network for network in _SPECIAL):
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast and not ip.is_reserved
    # All of public IPv6 is 2000::/3. Mapped, translated (NAT64) and local forms lie outside of it; 6to4 and
    # Teredo, which carry an IPv4 address, lie within.
    return ip in _PUBLIC_V6 and ip.is_global and ip.sixtofour is None and ip.teredo is None


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host, from the system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How to reach the internet: name look-up, connections to an address, TLS. Tests put in others."""

    look_up: Callable[[str, int], list[str]] = look_up
    backend: httpcore.NetworkBackend = field(default_factory=httpcore.SyncBackend)
    tls: ssl.SSLContext = field(default_factory=httpx.create_ssl_context)


class Clock:
    """The one deadline of a download; per-read time-outs would let a slow drip go on for ever."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, more than 0."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return left


class AddressGuard(httpcore.NetworkBackend):
    """Looks a host up once, refuses it unless all its addresses are public, and connects to one of those."""

    def __init__(self, network: Network, clock: Clock) -> None:
        self._network = network
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  (the clock decides)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to a checked address of `host`; TLS above it still asks for `host`."""
        addresses = self._addresses(host, port)
        for address in addresses:
            if not is_public(address):
                raise DataError(
                    f"leads to {host} ({address}), which is not on the public internet: use a local file"
                )
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for tries_left in range(len(addresses), 0, -1):
            try:
                seconds = self._clock.left() / tries_left
                stream = self._network.backend.connect_tcp(
                    addresses[-tries_left], port, seconds, local_address, socket_options
                )
                return _Timed(stream, self._clock)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        """The look-up, in a thread of its own: the system's resolver knows no deadline."""
        answer: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answer.put(self._network.look_up(host, port))
            except (OSError, UnicodeError) as error:
                answer.put(error)

        threading.Thread(target=ask, daemon=True, name="mmrec-look-up").start()
        try:
            found = answer.get(timeout=self._clock.left())
        except queue.Empty:
            raise httpcore.ConnectTimeout(host) from None
        if isinstance(found, Exception):
            raise httpcore.ConnectError(f"{host} is not known: {found}") from found
        return found


class _Timed(httpcore.NetworkStream):
    """A stream whose every act gets the time that is left, whatever its caller would allow."""

    def __init__(self, stream: httpcore.NetworkStream, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """Up to `max_bytes`, in the time left."""
        return self._stream.read(max_bytes, self._clock.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """All of `buffer`, in the time left."""
        self._stream.write(buffer, self._clock.left())

    def close(self) -> None:
        """Closes the stream."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """The same stream under TLS, its certificate checked for `server_hostname`."""
        secure = self._stream.start_tls(ssl_context, server_hostname, self._clock.left())
        return _Timed(secure, self._clock)

    def get_extra_info(self, info: str) -> Any:
        """What the stream below knows."""
        return self._stream.get_extra_info(info)
