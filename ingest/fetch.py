"""Pictures behind URLs, downloaded into a folder before the items go on, and whole feeds.

A catalogue comes from outside, so its URLs may point into this machine's own network. They are followed only
if they are https, on port 443, without credentials and lead to public addresses (`ingest.safe_fetch`); every
redirect goes through the same checks. Environment proxies are not used.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import httpcore
import httpx

from ingest.safe_fetch import AddressGuard, Clock, Network
from ingest.sources.several import Given, temporary
from mmrec.data import images
from mmrec.data.files import replacing
from mmrec.data.image_formats import FORMATS, format_of
from mmrec.data.media import Refused
from mmrec.errors import DataError, Rejection
from mmrec.types import ImageSource, Item, is_url

WORKERS = 8  # downloads at once
REDIRECTS = (301, 302, 303, 307, 308)
HEADERS = [("Accept-Encoding", "identity"), ("User-Agent", "mmrec")]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """What one download may cost.

    Attributes:
        bytes: of the body.
        seconds: from the look-up of the host to the last byte, redirects included.
        redirects: followed.
    """

    bytes: int = 10 * 2**20
    seconds: float = 10.0
    redirects: int = 5


FEED = FetchLimits(bytes=2 * 2**30, seconds=1_800.0)


def fetch_feed(address: str, *, limits: FetchLimits = FEED, network: Network | None = None) -> Given:
    """A feed, downloaded to a file that is there until the program ends.

    Raises:
        DataError: it cannot be had; the address must fulfil what those of pictures must.
    """
    name = address.partition("?")[0].rpartition("/")[2]
    path = temporary() / (name if re.fullmatch(r"\w[\w.-]{,99}", name) else "feed")
    try:
        with path.open("wb") as file:
            _download(address, file, limits, network or Network(), accept="*/*")
    except DataError as error:
        raise DataError(f"{address[:300]} {error}") from None
    return Given(address, path, None)


def fetch_images(
    items: Iterable[Item | Rejection],
    folder: Path,
    *,
    limits: FetchLimits = FetchLimits(),
    refresh: bool = False,
    network: Network | None = None,
) -> Iterator[Item | Rejection]:
    """The same items in the same order, each picture's URL replaced by a file in `folder`.

    Files are named by the sha256 of their URL; one that is there already is not downloaded again unless
    `refresh`. A picture that cannot be had is `Refused`; its item goes on without it. Some items are read
    ahead, so that several downloads run at once.

    Raises:
        OSError: the folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = network or Network()

    def localised(item: Item | Rejection) -> Item | Rejection:
        if isinstance(item, Rejection) or not any(map(is_url, item.images)):
            return item
        files = [_local(image, folder, limits, refresh, network) for image in item.images]
        return replace(item, image=files)

    yield from _ahead(localised, items)


def _ahead(
    work: Callable[[Item | Rejection], Item | Rejection], items: Iterable[Item | Rejection]
) -> Iterator[Item | Rejection]:
    """`map` in threads, in order, a few items ahead."""
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="mmrec-fetch")
    waiting: deque[Future[Item | Rejection]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also when the caller stops half-way
        pool.shutdown(cancel_futures=True)


def _local(
    source: ImageSource, folder: Path, limits: FetchLimits, refresh: bool, network: Network
) -> ImageSource:
    """The file of a URL, downloaded if need be, or why there is none; any other source as it is."""
    if not isinstance(source, str) or not is_url(source) or isinstance(source, Refused):
        return source
    name = hashlib.sha256(source.encode()).hexdigest()
    kept = [path for kind in FORMATS if (path := folder / (name + kind.suffixes[0])).exists()]
    if kept and not refresh:
        return kept[0]
    body = io.BytesIO()
    try:
        _download(source, body, limits, network, accept="image/*")
        images.decode(data := body.getvalue())
    except DataError as error:
        return Refused(source, f"picture {source[:300]}: {error}")
    path = folder / (name + format_of(data).suffixes[0])
    with replacing(path) as file:
        file.write(data)
    for old in kept:
        if old != path:
            old.unlink(missing_ok=True)
    return path


def _download(
    address: str, file: BinaryIO, limits: FetchLimits, network: Network, *, accept: str
) -> None:
    """Writes the body behind a URL, redirects followed, each one checked like the first."""
    clock = Clock(limits.seconds)
    url = _checked_url(address)
    try:
        with httpcore.ConnectionPool(network.tls, network_backend=AddressGuard(network, clock)) as pool:
            for _ in range(limits.redirects + 1):
                target = httpcore.URL(scheme="https", host=url.raw_host, port=None, target=url.raw_path)
                with pool.stream("GET", target, headers=[("Accept", accept), *HEADERS]) as response:
                    if response.status not in REDIRECTS:
                        return _save(response, file, limits)
                    url = _checked_url(_header(response, b"location"), url)
    except httpcore.TimeoutException:
        raise DataError(f"took over {limits.seconds:g} s: try again later, or use a local file") from None
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise DataError(f"could not be fetched ({error}): check the URL, or try again later") from error
    raise DataError(f"redirects more than {limits.redirects} times: give the URL where they end")


def _checked_url(address: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        url = base.join(address) if base else httpx.URL(address)
    except (httpx.InvalidURL, ValueError) as error:
        raise DataError(f"is no valid URL ({error}): correct it") from error
    if url.scheme != "https" or not url.host:
        raise DataError(f"leads to {str(url)[:300]!r}: only https URLs are fetched")
    if url.userinfo:
        raise DataError("carries a user name or password: give a URL without")
    if url.port not in (None, 443):
        raise DataError(f"leads to port {url.port}: only port 443 is used")
    return url


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")


def _save(response: httpcore.Response, file: BinaryIO, limits: FetchLimits) -> None:
    """Writes the body, counted while it comes; a length announced over the limit is refused at once."""
    if response.status != 200:
        raise DataError(f"answered with status {response.status}: check the URL")
    if _header(response, b"content-encoding") not in ("", "identity"):
        raise DataError("is compressed on the way though that was not asked for: use a local file")
    length = _header(response, b"content-length")
    size = int(length) if length.isdigit() else 0
    for chunk in () if size > limits.bytes else response.iter_stream():
        if (size := file.tell() + len(chunk)) > limits.bytes:
            break
        file.write(chunk)
    if size > limits.bytes:
        raise DataError(f"is bigger than {limits.bytes:,} bytes: use a smaller one or a local file")
