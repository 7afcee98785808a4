import hashlib
import http.server
import io
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import httpcore
import pytest
from PIL import Image

from ingest.fetch import WORKERS, FetchLimits, fetch_feed, fetch_images
from ingest.safe_fetch import Network, is_public, look_up
from mmrec.data import images
from mmrec.data.media import Refused
from mmrec.errors import DataError, Rejection
from mmrec.types import Item

PUBLIC, OTHER = "93.184.216.34", "2606:2800:220:1::1"


def picture(kind="PNG", colour="red"):
    stream = io.BytesIO()
    Image.new("RGB", (20, 10), colour).save(stream, kind)
    return stream.getvalue()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for shop.test and its key, made by openssl."""
    if not shutil.which("openssl"):
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=shop.test",
         "-addext", "subjectAltName=DNS:shop.test,DNS:cdn.test", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )
    return cert, key


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers a path with what the test put into `pages`: a function of the handler."""

    def do_GET(self):
        self.server.asked.append((self.headers["Host"], self.path))
        self.server.pages[self.path](self)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Clients that hang up are part of the tests."""


@pytest.fixture
def server(certificate):
    """A web server behind TLS on this machine: `.pages` to be filled, `.asked` to be read."""
    served = Server(("127.0.0.1", 0), Handler)
    served.pages, served.asked = {}, []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    served.socket = context.wrap_socket(served.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=served.serve_forever, args=(0.02,))
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


class Rerouted(httpcore.SyncBackend):
    """Notes each address that is connected to, and reaches the test's server instead of it."""

    def __init__(self, server):
        self.port, self.asked = server.server_address[1], []

    def connect_tcp(self, host, port, *args, **kwargs):
        self.asked.append((host, port))
        return super().connect_tcp("127.0.0.1", self.port, *args, **kwargs)


@pytest.fixture
def network(server, certificate):
    tls = ssl.create_default_context(cafile=str(certificate[0]))
    return Network(look_up=lambda host, port: [PUBLIC], backend=Rerouted(server), tls=tls)


def page(body, status=200, length=True, **headers):
    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if length:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
    return answer


PATIENT = FetchLimits(seconds=600)


def fetch_one(url, folder, network, limits=PATIENT, **options):
    items = [Item(item_id="a", image=url)]
    (result,) = fetch_images(items, folder, network=network, limits=limits, **options)
    return result


def fetched(url, folder, network):
    (picture,) = fetch_one(url, folder, network).images
    return isinstance(picture, Path)


def assert_refused(result, words, folder=None):
    assert result.item_id == "a"
    (picture,) = result.images
    assert isinstance(picture, Refused)
    assert picture == picture.given
    assert words in picture.reason, picture.reason
    if folder is not None:
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp")])
def test_a_picture_lands_in_the_folder_and_decodes(server, network, tmp_path, kind, suffix):
    server.pages["/a?size=2"] = page(picture(kind))
    url = "https://shop.test/a?size=2"
    item = fetch_one(url, tmp_path / "new" / "folder", network)
    path = tmp_path / "new" / "folder" / (hashlib.sha256(url.encode()).hexdigest() + suffix)
    assert item.images == (path,)
    assert path.read_bytes() == picture(kind)
    assert images.decode(path).size == (20, 10)
    assert list(path.parent.iterdir()) == [path]
    assert server.asked == [("shop.test", "/a?size=2")]
    assert network.backend.asked == [(PUBLIC, 443)]


def test_what_is_there_is_not_downloaded_again_unless_asked(server, network, tmp_path):
    server.pages["/a"] = page(picture("PNG"))
    url = "https://shop.test/a"
    first = fetch_one(url, tmp_path, network)
    assert fetch_one(url, tmp_path, network) == first
    assert len(server.asked) == 1
    server.pages["/a"] = page(picture("JPEG"))
    second = fetch_one(url, tmp_path, network, refresh=True)
    assert len(server.asked) == 2
    assert list(tmp_path.iterdir()) == list(second.images)
    assert second.images[0].suffix == ".jpg"


def test_order_is_kept_and_one_failure_does_not_stop_the_rest(server, network, tmp_path):
    def slow(handler):
        time.sleep(0.1)
        page(picture())(handler)

    local, earlier = tmp_path / "local.png", Rejection(reason="no title", line=3)
    rows = [earlier, Item(item_id="local", image=[local, b"raw"]), Item(item_id="bare", text={"title": "x"})]
    for n in range(3 * WORKERS):
        server.pages[f"/{n}"] = slow if n % 5 == 0 else page(b"gone", 404) if n % 5 == 1 else page(picture())
        rows.append(Item(item_id=str(n), image=[local, f"https://shop.test/{n}"], line=n))
    found = list(fetch_images(iter(rows), tmp_path, network=network, limits=PATIENT))
    assert found[:3] == rows[:3]
    assert [result.item_id for result in found[3:]] == [str(n) for n in range(3 * WORKERS)]
    for n, result in enumerate(found[3:]):
        assert result.images[0] == local
        assert isinstance(result.images[1], Refused) == (n % 5 == 1)
        assert result.line == n
        if n % 5 != 1:
            assert result.images[1].read_bytes() == picture()


def test_an_item_goes_on_with_all_that_it_has(server, network, tmp_path):
    server.pages["/a"] = page(b"", 500)
    item = Item(item_id="a", text={"title": "Mug"}, image="https://shop.test/a", line=7)
    (result,) = fetch_images([item], tmp_path, network=network, limits=PATIENT)
    assert_refused(result, "https://shop.test/a: answered with status 500", tmp_path)
    assert (result.line, result) == (7, item)


def test_items_are_read_only_a_little_ahead(network, tmp_path):
    read = []
    rows = (read.append(n) or Item(item_id=str(n)) for n in count())
    stream = fetch_images(rows, tmp_path, network=network)
    assert [next(stream).item_id for _ in range(3)] == ["0", "1", "2"]
    assert len(read) <= 3 + 2 * WORKERS
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mmrec-fetch")]


@pytest.mark.parametrize(("url", "words"), [
    ("http://shop.test/a", "only https"), ("ftp://shop.test/a", "only https"),
    ("file:///etc/passwd", "only https"), ("https://", "only https"), ("https://u:p@shop.test/a", "password"),
    ("https://shop.test:8443/a", "port 8443"), ("https://shop.test:22/a", "port 22"),
    ("https://shop.test:x/a", "no valid URL"), ("https://[::1/a", "no valid URL"),
])
def test_an_address_that_is_not_plain_https_is_refused(server, network, tmp_path, url, words):
    assert_refused(fetch_one(url, tmp_path, network), words, tmp_path)
    assert network.backend.asked == []


@pytest.mark.parametrize("host", [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1",
    "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "localhost", "[::1]",
    "[::]", "[fe80::1]", "[fc00::1]", "[ff02::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
])
def test_a_private_host_is_refused_in_every_spelling(server, network, tmp_path, host):
    system = Network(look_up=look_up, backend=network.backend, tls=network.tls)
    result = fetch_one(f"https://{host}/a", tmp_path, system)
    refusals = ("public internet", "could not be fetched", "no valid URL")
    assert any(words in result.images[0].reason for words in refusals), result.images[0].reason
    assert network.backend.asked == []


PRIVATE = [
    "127.0.0.1", "10.0.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254", "100.127.0.1", "0.0.0.0",
    "192.0.0.8", "192.0.2.1", "198.18.0.1", "192.88.99.1", "224.0.0.1", "240.0.0.1", "::", "::1", "fe80::1%1",
    "fec0::1", "fd00::1", "ff0e::1", "::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::8.8.8.8", "64:ff9b:1::8.8.8.8",
    "2002:808:808::1", "2001:0:808:808::1", "2001:db8::1", "3fff::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_to_a_private_address_is_refused(network, tmp_path, address):
    assert not is_public(address)
    for answer in ([address], [PUBLIC, address]):
        other = Network(look_up=lambda host, port, a=answer: a, backend=network.backend, tls=network.tls)
        assert_refused(fetch_one("https://shop.test/a", tmp_path, other), address, tmp_path)
    assert network.backend.asked == []


@pytest.mark.parametrize("address", [PUBLIC, OTHER, "8.8.8.8", "2a00:1450::1"])
def test_ordinary_addresses_are_public(address):
    assert is_public(address)


def test_the_address_that_was_checked_is_the_one_connected_to(server, network, tmp_path):
    server.pages["/a"] = page(picture())
    answers = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])
    other = Network(look_up=lambda host, port: next(answers), backend=network.backend, tls=network.tls)
    assert fetched("https://shop.test/a", tmp_path, other)
    assert network.backend.asked == [(PUBLIC, 443)]
    assert_refused(fetch_one("https://shop.test/a", tmp_path, other, refresh=True), "127.0.0.1")
    assert network.backend.asked == [(PUBLIC, 443)]


def test_the_next_address_is_tried_when_one_does_not_answer(server, network, tmp_path):
    server.pages["/a"] = page(picture())

    class Half(Rerouted):
        def connect_tcp(self, host, port, *args, **kwargs):
            if host == OTHER:
                raise httpcore.ConnectError("no route")
            return super().connect_tcp(host, port, *args, **kwargs)

    other = Network(look_up=lambda host, port: [OTHER, PUBLIC], backend=Half(server), tls=network.tls)
    assert fetched("https://shop.test/a", tmp_path, other)


def test_the_certificate_must_be_of_the_host_that_was_asked(server, network, tmp_path):
    result = fetch_one("https://other.test/a", tmp_path, network)
    assert_refused(result, "CERTIFICATE_VERIFY_FAILED", tmp_path)
    strict = Network(look_up=network.look_up, backend=network.backend)
    assert_refused(fetch_one("https://shop.test/a", tmp_path, strict), "CERTIFICATE_VERIFY_FAILED", tmp_path)
    assert server.asked == []


def test_a_redirect_is_followed(server, network, tmp_path):
    server.pages["/a"] = page(b"", 302, Location="/b")
    server.pages["/b"] = page(b"", 301, Location="https://cdn.test/c")
    server.pages["/c"] = page(picture())
    assert fetched("https://shop.test/a", tmp_path, network)
    assert [host for host, _ in server.asked] == ["shop.test", "shop.test", "cdn.test"]


@pytest.mark.parametrize(("target", "words"), [
    ("https://inner.test/b", "10.0.0.1"), ("http://shop.test/b", "only https"),
    ("//shop.test:22/b", "port 22"),
    ("https://u@shop.test/b", "password"), ("file:///etc/passwd", "only https"), ("/a", "more than 5 times"),
])
def test_a_redirect_goes_through_the_same_checks(server, network, tmp_path, target, words):
    server.pages["/a"] = page(b"", 302, Location=target)
    addresses = {"shop.test": [PUBLIC], "inner.test": ["10.0.0.1"]}
    other = Network(look_up=lambda host, port: addresses[host], backend=network.backend, tls=network.tls)
    assert_refused(fetch_one("https://shop.test/a", tmp_path, other), words, tmp_path)
    assert len(server.asked) == (6 if target == "/a" else 1)


@pytest.mark.parametrize("length", [True, False])
def test_a_body_over_the_limit_is_refused(server, network, tmp_path, length):
    server.pages["/a"] = page(picture() + bytes(5000), length=length)
    result = fetch_one("https://shop.test/a", tmp_path, network, limits=replace(PATIENT, bytes=1000))
    assert_refused(result, "bigger than 1,000 bytes", tmp_path)


@pytest.mark.parametrize(("body", "headers", "words"), [
    (b"<!DOCTYPE html><html>gone</html>", {"Content_Type": "image/jpeg"}, "HTML page"),
    (b"<svg/>", {"Content_Type": "image/svg+xml"}, "SVG drawing"), (b"", {}, "empty"),
    (picture()[:50], {}, "cut off"), (picture(), {"Content_Encoding": "gzip"}, "compressed"),
], ids=["html", "svg", "empty", "cut", "gzip"])
def test_what_is_no_picture_is_refused_and_not_kept(server, network, tmp_path, body, headers, words):
    server.pages["/a"] = page(body, **headers)
    assert_refused(fetch_one("https://shop.test/a", tmp_path, network), words, tmp_path)


def test_a_body_shorter_than_announced_is_refused(server, network, tmp_path):
    server.pages["/a"] = page(picture(), length=False, Content_Length="100000")
    assert_refused(fetch_one("https://shop.test/a", tmp_path, network), "could not be fetched", tmp_path)


# Each of these takes several times the seconds that its download gets, and would then end in another way.


def drip(handler):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def drip_headers(handler):
    for _ in range(100):
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.05)


def redirect_slowly(handler):
    time.sleep(0.15)
    page(b"", 302, Location="/a")(handler)


@pytest.mark.parametrize("answer", [drip, drip_headers, redirect_slowly])
def test_a_slow_server_is_left_at_the_deadline(server, network, tmp_path, answer):
    server.pages["/a"] = answer
    result = fetch_one("https://shop.test/a", tmp_path, network, limits=FetchLimits(seconds=0.4))
    assert_refused(result, "took over 0.4 s", tmp_path)


def test_a_slow_look_up_is_left_at_the_deadline(network, tmp_path):
    left = threading.Event()

    def slow(host, port):
        assert left.wait(600)
        return [PUBLIC]

    other = Network(look_up=slow, backend=network.backend, tls=network.tls)
    result = fetch_one("https://shop.test/a", tmp_path, other, limits=FetchLimits(seconds=0.2))
    left.set()
    assert_refused(result, "took over 0.2 s", tmp_path)


@contextmanager
def silent_port():
    """Accepts connections and never says a word, not even a TLS greeting."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_a_server_without_a_greeting_is_left_at_the_deadline(network, tmp_path):
    with silent_port() as listener:
        network.backend.port = listener.getsockname()[1]
        result = fetch_one("https://shop.test/a", tmp_path, network, limits=FetchLimits(seconds=0.2))
    assert_refused(result, "took over 0.2 s", tmp_path)


def test_an_unknown_host_is_refused(network, tmp_path):
    def unknown(host, port):
        raise socket.gaierror("no such name")

    other = Network(look_up=unknown, backend=network.backend, tls=network.tls)
    assert_refused(fetch_one("https://shop.test/a", tmp_path, other), "shop.test is not known", tmp_path)


@pytest.mark.parametrize(("path", "name"), [
    ("/out/products.csv.gz?key=1", "products.csv.gz"), ("/", "feed"), ("/.hidden", "feed"),
    ("/a%2Fb", "feed"),
])
def test_a_feed_becomes_a_file_of_its_name_without_a_folder_for_pictures(server, network, path, name):
    server.pages[path] = page(b"id,title\na,Mug\n")
    address = f"https://shop.test{path}"
    given = fetch_feed(address, network=network, limits=PATIENT)
    assert (given.name, given.path.name, given.folder) == (address, name, None)
    assert given.path.read_bytes() == b"id,title\na,Mug\n"
    assert list(given.path.parent.iterdir()) == [given.path]


@pytest.mark.parametrize(("address", "words"), [
    ("https://shop.test/gone", "answered with status 404"), ("http://shop.test/a", "only https"),
    ("https://shop.test/big", "bigger than 1,000 bytes"), ("https://inner.test/a", "public internet"),
    ("https://[::1/a", "no valid URL"), ("https://shop.test/loop", "give the URL where they end"),
])
def test_a_feed_that_may_not_or_cannot_be_had_is_an_error_that_names_it(server, network, address, words):
    server.pages |= {
        "/gone": page(b"", 404), "/big": page(bytes(5_000), length=False),
        "/loop": page(b"", 302, Location="/loop"),
    }
    hosts = {"shop.test": [PUBLIC], "inner.test": ["10.0.0.1"]}
    other = Network(look_up=lambda host, port: hosts[host], backend=network.backend, tls=network.tls)
    with pytest.raises(DataError, match=words) as error:
        fetch_feed(address, network=other, limits=replace(PATIENT, bytes=1000))
    assert str(error.value).startswith(address)


def test_proxies_of_the_environment_are_not_used(server, network, tmp_path, monkeypatch):
    with silent_port() as listener:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{listener.getsockname()[1]}")
        server.pages["/a"] = page(picture())
        assert fetched("https://shop.test/a", tmp_path, network)
