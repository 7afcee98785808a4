import hashlib
import itertools
import json
import os
import runpy
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile

import mmrec
from mmrec.data import image_formats, images
from mmrec.errors import DataError

PROGRAM = Path(__file__).with_name("hostile.py")
BUILD = runpy.run_path(str(PROGRAM))
scene, encode, exif = BUILD["scene"], BUILD["encode"], BUILD["exif"]
DAMAGED, ODD, HOSTILE = BUILD["damaged"](), BUILD["odd"](), BUILD["hostile"]()
HARMLESS = {"text-bomb"}  # unpacks to much, but within what Pillow allows


def near(left, right, tolerance=6):
    difference = np.abs(np.asarray(left, np.int16) - np.asarray(right, np.int16))
    return left.size == right.size and difference.mean() < tolerance


def decoded_or_refused(source):
    """The picture, or None; anything but an RGB picture or a DataError fails the test."""
    try:
        picture = images.decode(source)
    except DataError as caught:
        error = caught
    else:
        assert picture.mode == "RGB"
        assert 1 <= min(picture.size) <= max(picture.size) <= images.SIDE
        return picture
    assert error.field == "image"
    assert str(error).startswith("picture ")
    return None


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_picture_is_read_or_refused(name):
    decoded_or_refused(DAMAGED[name])


@pytest.mark.parametrize("name", [name for name in DAMAGED if "-cut-" in name])
def test_a_truncated_picture_is_refused(name):
    with pytest.raises(DataError):
        images.decode(DAMAGED[name])


@pytest.mark.parametrize("kind", sorted(set(BUILD["KINDS"]) - {"gif"}))  # its last 2 bytes say nothing
def test_not_even_the_last_bytes_may_be_missing(kind):
    for missing in (1, 4, 13):
        if kind != "png" or missing > 4:  # the checksum of a PNG's end says nothing either
            with pytest.raises(DataError):
                images.decode(ODD[kind][:-missing])


@pytest.mark.parametrize("name", ODD)
def test_an_odd_but_right_picture_is_read(name):
    assert decoded_or_refused(ODD[name]) is not None


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_picture_is_refused(name):
    picture = decoded_or_refused(HOSTILE[name])
    assert (picture is not None) == (name in HARMLESS)


def test_what_is_no_ordinary_picture_file_is_refused_unopened(tmp_path):
    sources = BUILD["on_disk"](tmp_path)
    assert len(sources) >= 11
    for source in sources:
        with pytest.raises(DataError):
            images.decode(source)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from Linux's /proc")
def test_the_whole_family_stays_within_its_memory(tmp_path):
    dear = BUILD["dear"]()
    for group, pictures in {"damaged": DAMAGED, "odd": ODD, "hostile": HOSTILE, "dear": dear}.items():
        (tmp_path / group).mkdir()
        for name, data in pictures.items():
            (tmp_path / group / name).write_bytes(data)
    (tmp_path / "paths").mkdir()
    BUILD["on_disk"](tmp_path / "paths")
    path = os.pathsep.join([str(Path(mmrec.__file__).parents[1]), *sys.path])
    run = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path)], env=os.environ | {"PYTHONPATH": path},
        capture_output=True, check=True,
    )
    report = json.loads(run.stdout)
    assert report["sources"] >= 200
    assert report["decoded"] >= len(ODD) + len(dear)
    assert 100 < report["megabytes"] < 300  # a lower figure would say that the dear ones were not decoded


@settings(max_examples=150, suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(BUILD["KINDS"])),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    st.floats(0, 1), st.binary(max_size=20),
)
def test_any_spoilt_bytes_are_read_or_refused(kind, spoils, cut, tail):
    data = bytearray(ODD[kind])
    for place, value in spoils:
        data[int(place * len(data))] = value
    decoded_or_refused(bytes(data[:int(cut * len(data)) + 1]) + tail)


@pytest.mark.parametrize(("name", "words"), [
    ("svg", "SVG drawing"), ("svg-xml", "SVG drawing"), ("pdf", "PDF document"), ("eps", "EPS"),
    ("eps-dos", "EPS"), ("html", "HTML page"), ("zip", "ZIP"), ("heic", "HEIC"), ("nothing", "empty"),
    ("words", "no picture that is known"), ("jpeg-lying", "7000 x 7000 pixels in only"),
    ("png-big", "9000 x 9000 pixels"), ("scan-bomb", "scans"), ("tiff-tile-bomb", "memory"),
    ("tiff-strips", "TIFF tag 273"), ("exif-bomb", "EXIF"), ("png-bomb", "far too many pixels"),
])
def test_a_refusal_says_what_is_wrong_and_what_to_do(name, words):
    with pytest.raises(DataError, match=words) as caught:
        images.decode(HOSTILE[name])
    assert ": " in str(caught.value)


@pytest.mark.parametrize(("source", "words"), [
    ("https://shop.test/a.jpg", "--allow-urls"), ("nowhere.png", "does not exist"), (7, "expected a path"),
])
def test_a_source_that_is_no_local_picture_is_refused(source, words):
    with pytest.raises(DataError, match=words):
        images.decode(source)
    with pytest.raises(DataError, match=words):
        images.digest(source)


@pytest.mark.parametrize("name", ["a", "a.", "a.jpg", "a.JPEG", "a.jfif", "a.TIFF", "a.txt", "a.svg"])
@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "webp", "lzw"])
def test_a_file_is_judged_by_its_content_under_any_name(tmp_path, name, kind):
    (tmp_path / name).write_bytes(ODD[kind])
    for source in (tmp_path / name, str(tmp_path / name)):
        assert near(images.decode(source), scene())
        images.check(source)


@pytest.mark.parametrize("kind", sorted(set(BUILD["KINDS"]) - {"gif"}))  # a GIF has few colours
def test_every_format_gives_the_picture_that_was_saved(kind):
    assert near(images.decode(ODD[kind]), scene())


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_frame_is_taken(kind):
    assert near(images.decode(ODD[f"animated-{kind}"]), scene(), tolerance=12)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_orientation_gives_the_same_pixels_as_pillow_upright(kind, orientation):
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(scene(), kind, exif=exif(orientation), **options)
    tagged = scene()
    tagged.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(tagged)
    assert near(images.decode(data), upright, tolerance=3 if kind == "JPEG" else 1e-9)
    tagged.info["exif"] = tagged.getexif().tobytes()
    assert images.decode(tagged).tobytes() == upright.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_red_stays_red(kind):
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert near(images.decode(encode(red, kind)), Image.new("RGB", (8, 8), (254, 0, 0)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_deep_grey_is_scaled_not_clipped(kind):
    levels = np.array([[0, 300, 32_768, 65_535]], np.uint16)
    grey = np.asarray(images.decode(encode(Image.fromarray(levels), kind)))
    assert grey[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(("mode", "levels"), [
    ("F", [0.0, 0.5, 1.0]), ("F", [0.0, 127.5, 255.0]), ("I", [0, 128, 255]), ("I", [0, 32_768, 65_535]),
    ("F", [-5.0, 128.0, 255.0]),
])
def test_grey_of_32_bits_is_scaled_to_the_range_it_uses(mode, levels):
    picture = Image.fromarray(np.array([levels], np.float32 if mode == "F" else np.int32))
    assert picture.mode == mode
    assert np.asarray(images.decode(picture))[0, :, 0].tolist() in ([0, 128, 255], [0, 127, 255])


def test_a_picture_of_what_is_no_number_is_refused():
    with pytest.raises(DataError, match="not finite"):
        images.decode(Image.fromarray(np.array([[np.nan, 0.5]], np.float32)))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "La", "RGBa"])
def test_transparent_is_white(mode):
    clear = Image.new(mode, (4, 4), (0,) * len(Image.new(mode, (1, 1)).getbands()))
    assert images.decode(clear).getpixel((1, 1)) == (255, 255, 255)


def test_a_transparent_colour_of_a_palette_is_white():
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    for kind in ("PNG", "GIF"):
        assert images.decode(encode(palette, kind, transparency=1)).getpixel((0, 0)) == (255, 255, 255)
    assert images.decode(encode(palette, "PNG")).getpixel((0, 0)) == (9, 9, 9)
    half = images.decode(encode(palette, "PNG", transparency=bytes([255, 128]))).getpixel((0, 0))
    assert near(Image.new("RGB", (1, 1), half), Image.new("RGB", (1, 1), (132, 132, 132)), tolerance=2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_big_picture_is_reduced_in_proportion(kind):
    big = scene((3001, 1501))
    small = images.decode(encode(big, kind), side=300)
    assert small.size == (300, 150)
    assert near(small, big.resize((300, 150), Image.Resampling.BOX), tolerance=3)


def test_each_limit_holds(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(ODD["png"])
    for source in (path, ODD["png"]):
        for module, limit, value, words in [
            (images, "MAX_BYTES", 100, "more than 100"), (image_formats, "MAX_PIXELS", 100, "64 x 48 pixels"),
            (image_formats, "MAX_MEMORY", 100, "bytes of memory"), (images, "MAX_SECONDS", -1, "too long"),
        ]:
            with monkeypatch.context() as patch:
                patch.setattr(module, limit, value)
                with pytest.raises(DataError, match=words):
                    images.decode(source)


def test_a_slow_progressive_jpeg_is_cut_off(monkeypatch):
    """It gets its bytes in small portions, and after each of them the clock is asked."""
    looks = itertools.count()
    monkeypatch.setattr(images, "time", SimpleNamespace(monotonic=lambda: float(next(looks))))
    monkeypatch.setattr(images, "MAX_SECONDS", 20)
    with pytest.raises(DataError, match="too long"):
        images.decode(BUILD["scan_bomb"](90))
    assert next(looks) < 30


def test_the_callers_image_is_neither_changed_nor_closed(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(ODD["palette-alpha-png"])
    with Image.open(path) as picture:
        before = (picture.mode, picture.size, dict(picture.info))
        small = images.decode(picture)
        assert (picture.mode, picture.size, dict(picture.info)) == before
        assert near(images.decode(picture), small, tolerance=1e-9)
        assert near(images.decode(path), small, tolerance=1e-9)
    with pytest.raises(DataError, match="0 x 5 pixels"):
        images.decode(Image.new("RGB", (0, 5)))


def test_a_pil_picture_is_a_copy_even_when_nothing_needs_converting():
    picture = scene()
    images.decode(picture).putpixel((0, 0), (1, 2, 3))
    assert picture.tobytes() == scene().tobytes()


@pytest.mark.parametrize("error", [
    MemoryError(), OSError("out of memory error when reading image file"), RuntimeError("Out of memory"),
])
def test_too_little_memory_is_not_told_as_damage(monkeypatch, tmp_path, error):
    def fail(*_):
        raise error

    path = tmp_path / "a.png"
    path.write_bytes(ODD["png"])
    monkeypatch.setattr(PngImageFile, "load", fail)
    for source in (path, ODD["png"], Image.open(path)):
        with pytest.raises(DataError, match=r"^picture .* needs more memory than there is: ") as caught:
            images.decode(source)
        assert "damaged" not in str(caught.value)
        assert caught.value.field == "image"


def test_a_picture_that_was_read_is_not_read_again(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(ODD["png"])
    picture = images.read(path)
    path.unlink()
    assert images.digest(picture) == images.digest(ODD["png"])
    assert near(images.decode(picture), scene(), tolerance=1e-9)
    images.check(picture)
    monkeypatch.setattr(images, "MAX_BYTES", 100)
    with pytest.raises(DataError, match="more than 100 bytes"):
        images.decode(picture)


def test_what_is_wrong_with_a_picture_that_was_read_names_its_file(tmp_path):
    path = tmp_path / "cut.png"
    path.write_bytes(ODD["png"][:60])
    with pytest.raises(DataError, match=r"'.*cut\.png' is cut off"):
        images.decode(images.read(path))


@pytest.mark.parametrize("name", ODD)
def test_the_check_passes_what_decodes(name):
    assert images.check(ODD[name]) is None


@pytest.mark.parametrize("name", [
    "nothing", "words", "svg", "heic", "png-big", "png-bomb", "png-empty", "jpeg-huge", "jpeg-lying",
    "scan-bomb", "exif-bomb", "tiff-tile-bomb", "tiff-strips", "webp-canvas", "soi",
])
def test_the_check_refuses_what_the_header_betrays_without_decoding_a_pixel(monkeypatch, name):
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(DataError) as checked:
        images.check(HOSTILE[name])
    with pytest.raises(DataError) as decoded:
        images.decode(HOSTILE[name])
    assert str(checked.value) == str(decoded.value)


def test_digest_is_of_the_bytes_or_the_pixels(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(ODD["png"])
    expected = hashlib.sha256(ODD["png"]).hexdigest()
    assert images.digest(path) == images.digest(str(path)) == images.digest(ODD["png"]) == expected
    picture = scene()
    assert images.digest(picture) == images.digest(picture.copy()) != expected
    assert images.digest(picture) != images.digest(picture.convert("L"))
    palette = picture.quantize(4)
    other = palette.copy()
    other.putpalette([1, 2, 3] * 4)
    assert images.digest(palette) != images.digest(other)


def test_threads_share_the_gate_and_leave_the_warning_filters_alone():
    filters = list(warnings.filters)
    sources = [ODD["exif-junk"], HOSTILE["png-warning"], ODD["png"], ODD["turned-TIFF"], HOSTILE["svg"]] * 20
    lazy = Image.open(BUILD["io"].BytesIO(ODD["jpeg"]))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(decoded_or_refused, sources + [lazy] * 20))
    assert [picture is not None for picture in found] == [True, False, True, True, False] * 20 + [True] * 20
    assert warnings.filters == filters
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mmrec")]
