"""Malformed, hostile and odd pictures, made from nothing, as bytes by name; `on_disk` makes odd paths.

As a program it decodes the files of a folder and prints what memory that took.
"""

import io
import json
import os
import re
import struct
import sys
import zlib
from pathlib import Path

from PIL import Image

KINDS = {
    "jpeg": ("JPEG", {}), "progressive": ("JPEG", {"progressive": True}), "png": ("PNG", {}),
    "webp": ("WEBP", {}), "lossless": ("WEBP", {"lossless": True}), "gif": ("GIF", {}), "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}), "lzw": ("TIFF", {"compression": "tiff_lzw"}), "avif": ("AVIF", {}),
}


def scene(size=(64, 48)):
    """A smooth picture whose every corner differs."""
    ramp = Image.linear_gradient("L").resize(size)
    across = ramp.transpose(Image.Transpose.ROTATE_90).resize(size)
    return Image.merge("RGB", (ramp, ramp.rotate(180), across))


def encode(picture, name, **options):
    stream = io.BytesIO()
    picture.save(stream, name, **options)
    return stream.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def chunk(kind, body):
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def png(width, height, body=b"", depth=8, colour=2, extra=b""):
    """A PNG whose header says what it likes."""
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(body, 9))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + chunk(b"IEND", b"")


def tiff(tags, tail=b""):
    """A little-endian TIFF of one directory of (tag, type, count, value)."""
    rows = b"".join(struct.pack("<HHLL", *tag) for tag in sorted(tags))
    return struct.pack("<4sLH", b"II*\0", 8, len(tags)) + rows + bytes(4) + tail


def grey_tiff(width, height, extra, tail=b""):
    """A Deflate-compressed grey TIFF; "tail" as a value is where the tail begins."""
    tags = [(256, 4, 1, width), (257, 4, 1, height)]
    tags += [(258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
    start = 8 + 2 + 12 * (len(tags) + len(extra)) + 4
    return tiff(tags + [tuple(start if v == "tail" else v for v in tag) for tag in extra], tail)


def jpeg_claiming(data, width, height):
    """A JPEG with another size in its frame header."""
    place = re.search(rb"\xff[\xc0\xc2]", data).start() + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4:]


def scan_bomb(scans):
    """A progressive JPEG whose last scan comes again and again."""
    data = encode(Image.new("L", (4000, 4000), 77), "JPEG", progressive=True)[:-2]
    last = data[data.rindex(b"\xff\xc4", 0, data.rindex(b"\xff\xda")):]
    return data + last * scans + b"\xff\xd9"


def text_bomb():
    """A PNG whose comments unpack to 40 MB."""
    body = zlib.compress(bytes(2**20), 9)
    comments = b"".join(chunk(b"zTXt", b"note%d\0\0" % n + body) for n in range(40))
    return png(1, 1, b"\0abc", extra=comments)


def exif_bomb(segments):
    """A JPEG whose EXIF, over many segments, holds one huge table of fractions."""
    size = segments * 65_000
    head = struct.pack("<4sLHHHLLL", b"II*\0", 8, 1, 0x011A, 5, size // 8, 26, 0)
    body = (head + b"\1\0\0\0" * (size // 4))[:size]
    parts = [body[n:n + 65_000] for n in range(0, size, 65_000)]
    data = encode(scene(), "JPEG")
    return data[:2] + b"".join(
        b"\xff\xe1" + struct.pack(">H", len(part) + 8) + b"Exif\0\0" + part for part in parts
    ) + data[2:]


def damaged():
    """Every format cut at eight places and spoilt at eight places."""
    found = {}
    for kind, (name, options) in KINDS.items():
        data = encode(scene(), name, **options)
        for n in range(8):
            found[f"{kind}-cut-{n}"] = data[:max(4, len(data) * n // 8)]
            spoilt = bytearray(data)
            for place in range(12 + n, len(data), 97):
                spoilt[place] ^= 1 << n
            found[f"{kind}-spoilt-{n}"] = bytes(spoilt)
    return found


def odd():
    """Unusual but right: each decodes."""
    rgb, ramp = scene(), Image.linear_gradient("L")
    rgba = rgb.copy()
    rgba.putalpha(ramp.resize(rgb.size))
    frames = {"save_all": True, "append_images": [rgb.rotate(90), rgb.rotate(180)]}
    palette = rgb.quantize(16)
    found = {f"orientation-{n}": encode(rgb, "JPEG", exif=exif(n)) for n in range(10)}
    found |= {kind: encode(rgb, name, **options) for kind, (name, options) in KINDS.items()}
    found["animated-GIF"] = encode(rgb, "GIF", **frames)
    for name in ("PNG", "WEBP", "TIFF", "AVIF"):
        found[f"animated-{name}"] = encode(rgb, name, **frames)
        found[f"rgba-{name}"] = encode(rgba, name)
        found[f"turned-{name}"] = encode(rgb, name, exif=exif(6))
    return found | {
        "cmyk-jpeg": encode(rgb.convert("CMYK"), "JPEG"), "cmyk-tiff": encode(rgb.convert("CMYK"), "TIFF"),
        "grey-jpeg": encode(ramp, "JPEG"), "deep-png": encode(ramp.convert("I;16"), "PNG"),
        "deep-tiff": encode(ramp.convert("I;16"), "TIFF"), "float-tiff": encode(ramp.convert("F"), "TIFF"),
        "int-tiff": encode(ramp.convert("I"), "TIFF"), "la-png": encode(rgba.convert("LA"), "PNG"),
        "bit-png": encode(ramp.convert("1"), "PNG"), "bit-tiff": encode(ramp.convert("1"), "TIFF"),
        "fax-tiff": encode(ramp.convert("1"), "TIFF", compression="group4"),
        "ycc-tiff": encode(rgb, "TIFF", compression="jpeg"),
        "palette-transparent-png": encode(palette, "PNG", transparency=3),
        "palette-alpha-png": encode(palette, "PNG", transparency=bytes(range(0, 160, 10))),
        "palette-gif": encode(palette, "GIF", transparency=3),
        "keyed-png": encode(rgb, "PNG", transparency=(0, 0, 0)),
        "one-pixel": encode(rgb.resize((1, 1)), "PNG"), "thread": encode(rgb.resize((1, 20_000)), "PNG"),
        "line": encode(rgb.resize((20_000, 1)), "JPEG"),
        "icc-junk": encode(rgb, "PNG", icc_profile=b"junk" * 99),
        "icc-junk-jpeg": encode(rgb, "JPEG", icc_profile=bytes(200_000)),
        "exif-junk": encode(rgb, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xaa" * 99),
        "jpeg-then-zip": encode(rgb, "JPEG") + b"PK\x03\x04" + bytes(99),
        "png-then-html": encode(rgb, "PNG") + b"<html><script>alert(1)</script>",
    }


def hostile():
    """Wrong or dangerous: none of these decodes, but for the comment bomb."""
    rgb = scene()
    jpeg, slow = encode(rgb, "JPEG"), encode(rgb, "JPEG", progressive=True)
    tile = zlib.compress(bytes(10**8), 9)
    tiles = [(322, 4, 1, 10_000), (323, 4, 1, 10_000), (324, 4, 1, "tail"), (325, 4, 1, len(tile))]
    bmp = bytearray(encode(rgb, "BMP"))
    bmp[18:26] = struct.pack("<ll", 60_000, 60_000)
    gif = bytearray(encode(rgb, "GIF"))
    place = gif.index(b",\0\0\0\0")
    gif[place + 5:place + 9] = struct.pack("<HH", 65_535, 65_535)
    vp8x = struct.pack("<4sL4s4sLL", b"RIFF", 22, b"WEBP", b"VP8X", 10, 0) + b"\xff\x3f\0" * 2
    return {
        "nothing": b"", "one-byte": b"\xff", "zeros": bytes(4096), "words": b"not a picture at all",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "svg-xml": b'\xef\xbb\xbf<?xml version="1.0"?>\n<!DOCTYPE svg [<!ENTITY a "aa">]>\n<svg>&a;</svg>',
        "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9",
        "eps-dos": b"\xc5\xd0\xd3\xc6" + bytes(30), "html": b"<!DOCTYPE html><html><body>404</body></html>",
        "zip": b"PK\x03\x04" + bytes(60), "gzip": b"\x1f\x8b\x08" + bytes(60), "psd": b"8BPS" + bytes(60),
        "heic": b"\0\0\0\x18ftypheic" + bytes(60), "mp4": b"\0\0\0\x18ftypisom" + bytes(60),
        "jxl": b"\xff\x0a" + bytes(60), "jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60),
        "ico": encode(rgb, "ICO"), "tga": encode(rgb, "TGA"), "ppm": encode(rgb, "PPM"),
        "pcx": encode(rgb, "PCX"),
        "gif-then-js": b"GIF89a/*" + bytes(20) + b"*/=alert(1)", "bm": b"BM", "soi": b"\xff\xd8\xff",
        "png-huge": png(2**31 - 1, 2**31 - 1), "png-big": png(9000, 9000), "png-empty": png(0, 10),
        "png-long": png(1, 70_000), "png-bomb": png(30_000, 30_000, bytes(60_000_000)),
        "png-lying": png(300, 300, bytes(99)), "png-warning": png(10_000, 9500),
        "png-no-data": png(8, 8)[:33],
        "jpeg-huge": jpeg_claiming(jpeg, 65_500, 65_500), "jpeg-lying": jpeg_claiming(jpeg, 7000, 7000),
        "jpeg-empty": jpeg_claiming(jpeg, 0, 0), "progressive-lying": jpeg_claiming(slow, 7000, 7000),
        "scan-bomb": scan_bomb(500), "exif-bomb": exif_bomb(400), "text-bomb": text_bomb(),
        "webp-canvas": vp8x, "webp-riff": b"RIFF\xff\xff\xff\xffWEBPVP8 " + b"\xff" * 40,
        "gif-frame": bytes(gif), "bmp-lying": bytes(bmp), "tiff-loop": tiff([], b"")[:8] + b"\0\0",
        "tiff-tile-bomb": grey_tiff(1, 1, tiles, tile),
        "tiff-strips": grey_tiff(1, 60_000, [(278, 4, 1, 1), (273, 4, 4_000_000, "tail")], bytes(16_000_000)),
        "tiff-table": grey_tiff(1, 1, [(273, 4, 1, 8), (40_000, 3, 8_000_000, "tail")], bytes(16_000_000)),
        "tiff-nowhere": b"II*\0\xff\xff\xff\x7f",
        "tiff-huge": grey_tiff(2**31, 2**31, [(273, 4, 1, "tail")], b"x"),
    }


def dear():
    """Right, and as big as is allowed in their formats."""
    side = 7000
    squeeze = zlib.compressobj(9)
    rows = [squeeze.compress(bytes(1 + 4 * side)) for _ in range(side)]
    body = chunk(b"IDAT", b"".join(rows) + squeeze.flush())
    head, tail = png(side, side, colour=6)[:33], chunk(b"IEND", b"")
    return {
        "png": head + body + tail,
        "webp": encode(Image.new("RGB", (4096, 4096)), "WEBP", method=0),
        "progressive": encode(Image.new("RGB", (7000, 7000)), "JPEG", progressive=True),
        "jpeg": encode(Image.new("RGB", (7000, 7000)), "JPEG"),
        "tiff": encode(Image.new("RGB", (7000, 4700)), "TIFF", compression="tiff_lzw", exif=exif(6)),
    }


def on_disk(folder):
    """Paths that are missing or no ordinary file."""
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "circle.png").symlink_to(folder / "circle.png")
    with (folder / "sparse.png").open("wb") as stream:
        stream.truncate(2**40)
    (folder / "empty.png").touch()
    missing = [folder / "missing.png", folder / ("x" * 5000), folder / "a\0b", "data:,", "https://a.test/b.png"]
    return [*sorted(folder.iterdir()), *missing]


def peak():
    """Most memory this process ever had, in MB. (`getrusage` would count what its parent had before.)"""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def main(folder):
    """Decodes all files under a folder in this one process; prints counts and the memory, in MB."""
    from mmrec.data import images
    from mmrec.errors import DataError

    family = [path for path in sorted(folder.rglob("*")) if path.parent != folder]
    images.decode(encode(scene(), "PNG"))
    base, decoded = peak(), 0
    for source in family:
        try:
            images.decode(source)
            decoded += 1
        except DataError:
            pass
    json.dump({"sources": len(family), "decoded": decoded, "megabytes": peak() - base}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
