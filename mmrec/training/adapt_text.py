"""What texts teach a text encoder: a model of sentence-transformers is trained on, in adapters of low rank.

They are merged at the end, and the model is saved as a whole, so that it is read as any other.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmrec.encoders.adapted import FOLDER, map_between
from mmrec.encoders.base import Fingerprint, Vectors, loading, pick_device, unit
from mmrec.encoders.registry import Model, find
from mmrec.encoders.text import TextEncoder
from mmrec.encoders.weights import fetch
from mmrec.errors import DataError, MissingExtra
from mmrec.store.catalogue import Catalogue
from mmrec.training.adapt_lessons import LEAST_ITEMS, Learned, Lessons
from mmrec.training.adapt_pairs import drawn
from mmrec.training.adapter import Spread, Trained, why_to_stop
from mmrec.training.model import Report
from mmrec.training.validation import kept

CONTRAST = "contrast"
METHODS = ("simcse", "tsdae", "masked-words", CONTRAST)
BATCH, STEPS = 32, 25  # texts of a step, and steps between two looks at held-out texts
MOST_LOOKS, PATIENCE = 40, 3
RANK, LEARNING_RATE = 8, 2e-4
MASKED, DELETED = 0.15, 0.6  # shares of words
HELD_OUT = 256  # texts
SCALE = 20.0  # of cosines, in the held-out loss
COLLAPSED = 0.3  # share of the frozen effective rank
MOST_ITEMS = 20_000
Both = tuple[list[str], list[str]]  # texts that belong together, row by row


class School:
    """The catalogue's texts as pairs: a text and its noisy self, or texts of items that one user chose."""

    def __init__(
        self, catalogue: Catalogue, lessons: Lessons, rng: np.random.Generator, *, by_users: bool
    ) -> None:
        self.rng, self.by_users = rng, by_users
        some = rng.permutation(np.flatnonzero(~lessons.parts.judge))[:MOST_ITEMS].tolist()
        items = catalogue.get([lessons.item_ids[place] for place in some])
        told = {place: items.get(lessons.item_ids[place]) for place in some}
        self.texts = {place: list(item.text.values()) for place, item in told.items() if item and item.text}
        stop = lessons.parts.stop
        self.teach = [place for place in self.texts if not stop[place]]
        self.stop = [place for place in self.texts if stop[place]]
        known = np.isin(np.arange(len(stop)), list(self.texts))
        found = kept(lessons.histories, known[lessons.histories.indices])
        self.taught, self.new = (kept(found, part[found.indices]) for part in (~stop, stop))
        self.whole = found
        if len(self.teach) < LEAST_ITEMS or not self.stop or (by_users and not lessons.enough):
            raise DataError(
                f"{len(self.teach)} items with texts and {lessons.histories.nnz} wishes are too few to learn"
                " from: ingest or record more, or take another method"
            )

    def step(self) -> Both:
        """Texts of one step, each twice, or with that of another item."""
        if self.by_users:
            return self._chosen(self.taught, self.taught)
        texts = [self._text(place) for place in self.rng.choice(self.teach, BATCH)]
        return texts, texts

    def held_out(self) -> Both:
        """Texts of items that tell when to stop, and what belongs to each."""
        if self.by_users and (pairs := self._chosen(self.new, self.whole))[0]:
            return pairs
        texts = [self._text(place) for place in self.stop[:HELD_OUT]]
        return texts, [self.noisy(text) for text in texts]

    def noisy(self, text: str) -> str:
        """A text without most of its words."""
        words = text.split()
        left = [word for word in words if self.rng.random() > DELETED]
        return " ".join(left or words[:1])

    def _text(self, place: int) -> str:
        return str(self.rng.choice(self.texts[place]))

    def _chosen(self, first: Any, second: Any) -> Both:
        """Pairs of items that one user chose, no item and no user twice: all others are strangers."""
        users, left, right = drawn(first, second, 4 * BATCH, self.rng)
        met: set[tuple[str, int]] = set()
        pairs: list[tuple[str, str]] = []
        for user, one, other in zip(users.tolist(), left.tolist(), right.tolist(), strict=True):
            names = {("user", user), ("item", one), ("item", other)}
            if met.isdisjoint(names) and len(pairs) < BATCH:
                met |= names
                pairs.append((self._text(one), self._text(other)))
        return [one for one, _ in pairs], [other for _, other in pairs]


def learn_from_texts(
    catalogue: Catalogue, lessons: Lessons, method: str, deadline: float, seed: int, device: str | None,
    say: Report,
) -> Learned:
    """A text model trained on the catalogue's texts, in a folder of the store.

    Source: Gao et al. 2021 (SimCSE); Wang et al. 2021 (TSDAE); Devlin et al. 2019 (masked words); Hu et al.
    2022 (LoRA).

    Raises:
        DataError: the encoder is no sentence-transformers model, or there are too few texts.
        MissingExtra: peft is not installed.
    """
    peft, folder = _peft(), _folder(catalogue, lessons.modality)
    rng = np.random.Generator(np.random.PCG64(seed))
    school = School(catalogue, lessons, rng, by_users=method == CONTRAST)
    with loading(str(folder), folder):
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(folder), device=pick_device(device), local_files_only=True).float()
        loss, beside = _loss(method, model, school)  # before there are layers, as a decoder has the same ones
        config = peft.LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear")
        layered = peft.get_peft_model(model.transformers_model, config)  # in place
        trained = _trained(model, [*layered.parameters(), *beside], loss, school, deadline, say)
        layered.merge_and_unload()
        saved = _saved(model, catalogue, lessons.modality)
    recipe = {"rank": RANK, "learning_rate": LEARNING_RATE, "batch_size": BATCH}
    return Learned(trained, len(school.teach), STEPS * BATCH, saved, recipe)


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise MissingExtra(
            f"training a text model needs a package that is not installed ({error.name}): pip install"
            " 'mmrec[adapt]'"
        ) from None
    return peft


def _folder(catalogue: Catalogue, modality: str) -> Path:
    """Where the model that serves lies; DataError if it is not one that can be trained."""
    record, place = catalogue.encoded_by[modality], catalogue.store.path
    if "adapted" in record and map_between(record, place) is None:
        return place / FOLDER / str(record["adapted"])
    location = None if "adapted" in record else fetch(find(record["name"], modality))
    if location is None or location.family != "sentence-transformers":
        raise DataError(
            f"{record['fingerprint']['model']} is no sentence-transformers model that can be trained: adapt"
            " by behaviour, or run `mmrec rollback` first if it is an adapted one", field="method",
        )
    return location.path


def _loss(
    method: str, model: Any, school: School
) -> tuple[Callable[[Both], Tensor], Sequence[torch.nn.Parameter]]:
    """The loss of texts that belong together, and what learns beside the model."""
    from sentence_transformers import losses

    def prepared(texts: list[str]) -> dict[str, Any]:
        told = model.preprocess(texts)
        return {n: x.to(model.device) if isinstance(x, Tensor) else x for n, x in told.items()}

    if method == "masked-words":
        return lambda both: _masked(model, prepared(both[0])), ()
    if method == "tsdae":
        denoising = losses.DenoisingAutoEncoderLoss(model, tie_encoder_decoder=True)
        crossing = [p for name, p in denoising.decoder.named_parameters() if "crossattention" in name]
        return lambda both: denoising(
            [prepared([school.noisy(text) for text in both[0]]), prepared(both[0])], None
        ), crossing
    kind = losses.CachedMultipleNegativesRankingLoss if method == CONTRAST else (
        losses.MultipleNegativesRankingLoss)
    ranking = kind(model)
    return lambda both: ranking([prepared(texts) for texts in both], None), ()


def _masked(model: Any, inputs: dict[str, Any]) -> Tensor:
    """Masked words are to be found again by the words of the model's own first layer."""
    from transformers import DataCollatorForLanguageModeling

    tokens = inputs["input_ids"]
    collate = DataCollatorForLanguageModeling(model.tokenizer, mlm_probability=MASKED)
    masked, wanted = collate.torch_mask_tokens(tokens.cpu())
    body, wanted = model.transformers_model, wanted.to(tokens.device)
    hidden = body(input_ids=masked.to(tokens.device), attention_mask=inputs["attention_mask"])[0]
    words = body.get_input_embeddings().weight
    return cross_entropy((hidden @ words.T).flatten(0, 1), wanted.flatten())  # [b, l, w] -> [b * l, w]


def _trained(
    model: Any, parameters: Sequence[torch.nn.Parameter], loss: Callable[[Both], Tensor], school: School,
    deadline: float, say: Report,
) -> Trained:
    """Trains until held-out texts are found no better; the parameters are then those that were best."""
    learned = [one for one in parameters if one.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=LEARNING_RATE)
    held_out = school.held_out()
    start = best = _judged(model, held_out, 0)
    kept_now, trained = [one.detach().clone() for one in learned], Trained(None, [best])
    for look in range(1, MOST_LOOKS + 1):
        losses, began = [], time.monotonic()
        for _ in range(STEPS):
            model.train()
            value = loss(school.step())
            optimiser.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses.append(float(value.detach()))
            if time.monotonic() > deadline:
                break
        now = _judged(model, held_out, look) | {"loss": float(np.mean(losses))}
        trained.curves.append(now)
        say({"stage": "adapting", **now, "seconds": time.monotonic() - began})
        if now["held_out"] < best["held_out"] and now["rank"] >= COLLAPSED * start["rank"]:
            best, kept_now = now, [one.detach().clone() for one in learned]
        trained.stopped = why_to_stop(now, best, start, COLLAPSED, PATIENCE, deadline)
        if trained.stopped:
            break
    with torch.no_grad():
        for one, was in zip(learned, kept_now, strict=True):
            one.copy_(was)
    model.eval()
    trained.best = best["epoch"]
    return trained


def _judged(model: Any, both: Both, look: int) -> dict[str, float]:
    """How well held-out texts find what belongs to them, and their spread."""
    left, right = (_embedded(model.eval(), texts) for texts in both)
    scores = torch.from_numpy(SCALE * left @ right.T)  # [n, e] @ [e, n]
    loss = float(cross_entropy(scores, torch.arange(len(scores))))
    return {"epoch": look, "loss": loss, "held_out": loss, **asdict(Spread.of(left, right))}


def _embedded(model: Any, texts: list[str]) -> Vectors:
    return unit(np.asarray(model.encode(texts, batch_size=BATCH, show_progress_bar=False), np.float32))


def _saved(model: Any, catalogue: Catalogue, modality: str) -> tuple[Path, Fingerprint]:
    """The model in its folder of the store, and the fingerprint by which it is known."""
    home = catalogue.store.path / FOLDER
    beside = home / ".new"
    home.mkdir(exist_ok=True)
    model.save(str(beside), create_model_card=False)
    weights = (path.read_bytes() for path in sorted(beside.rglob("*.safetensors")))
    digest = hashlib.sha256(b"".join(weights)).hexdigest()
    folder = home / digest[:12]
    if not folder.exists():
        beside.rename(folder)
    catalogue.store.files.sync(f"{FOLDER}/{folder.name}")
    parent = catalogue.encoded_by[modality]["fingerprint"]["model"]
    known = Model(id=f"{parent}+{folder.name}", modalities=(modality,), folder=folder)
    return folder, TextEncoder(known, fetch(known), device="cpu").fingerprint
