"""Quality of untrained mmrec on real data: `python tests/benchmarks/quality.py [--data DIR] [--stores DIR]`.

Ingests the catalogues (or reopens stores that an earlier run made) with the offline encoders, then prints
one line a figure. Protocols are those of the tests in `tests/test_real_data.py`, which share this code.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from ingest.read import read_source
from mmrec import Recommender
from mmrec.evaluate.metrics import ndcg_at_k, recall_at_k

OFFLINE = {"text_encoder": "all-MiniLM-L6-v2", "image_encoder": "efficientnet-lite0"}

Query = tuple[str, frozenset[str], str | None]


def query(words: str, *types: str, colour: str | None = None) -> Query:
    """Words of a search; relevant are garments of these types and, where one is given, this colour."""
    return words, frozenset(types), colour


NIGHT = ("Pyjama set", "Pyjama bottom", "Pyjama jumpsuit/playsuit", "Night gown")
# Twenty to choose settings by, and twenty others to report.
QUERIES: Mapping[str, Sequence[Query]] = {
    "validation": (
        query("red dress", "Dress", colour="Red"), query("white socks", "Socks", colour="White"),
        query("black leggings", "Leggings/Tights", colour="Black"), query("denim jacket", "Jacket"),
        query("baseball cap", "Cap/peaked", "Cap"), query("silk scarf", "Scarf"),
        query("trainers", "Sneakers"), query("ankle boots", "Boots"),
        query("bikini", "Bikini top", "Swimwear bottom", "Swimwear set"),
        query("black blazer", "Blazer", colour="Black"), query("summer skirt", "Skirt"),
        query("green hoodie", "Hoodie", colour="Green"), query("pink pyjamas", *NIGHT, colour="Pink"),
        query("silver necklace", "Necklace", colour="Silver"), query("finger rings", "Ring"),
        query("gloves for winter", "Gloves"), query("beige trousers", "Trousers", colour="Beige"),
        query("polo shirt", "Polo shirt"), query("hair slides", "Hair clip", "Hair/alice band", "Hairband"),
        query("thin black tights", "Underwear Tights", colour="Black"),
    ),
    "test": (
        query("black ankle socks", "Socks", colour="Black"), query("sunglasses", "Sunglasses"),
        query("blue denim jeans", "Trousers", colour="Blue"), query("leather belt", "Belt"),
        query("warm knitted jumper", "Sweater", "Cardigan"), query("evening dress", "Dress"),
        query("white cotton shirt", "Shirt", "Blouse", colour="White"), query("pyjamas", *NIGHT),
        query("swimming costume", "Swimsuit", "Swimwear bottom", "Bikini top", "Swimwear set"),
        query("pink bra", "Bra", colour="Pink"), query("black dress", "Dress", colour="Black"),
        query("hooded sweatshirt", "Hoodie", "Sweater"), query("winter coat", "Coat", "Jacket"),
        query("high heels", "Pumps", "Heeled sandals", "Wedge"), query("running tights", "Leggings/Tights"),
        query("gold earrings", "Earring", "Earrings", colour="Gold"),
        query("woolly hat", "Hat/beanie", "Beanie"), query("grey t-shirt", "T-shirt", colour="Grey"),
        query("shoulder bag", "Bag", "Cross-body bag"), query("blue shorts", "Shorts", colour="Blue"),
    ),
}


def open_store(data: Path, stores: Path, name: str, file: str = "") -> Recommender:
    """The store of a real catalogue, ingested with the offline encoders if it is not yet.

    Args:
        file: of the data set's folder, where that is not a source as a whole.
    """
    shop = Recommender.open(stores / f"{name}.mmrec", OFFLINE)
    shop.ingest(read_source(data / name / file))
    return shop


def item_cold_start(shop: Recommender, data: Path, seed: int, part: str) -> dict[str, float]:
    """Recall and ndcg at 20 of one part of the item-cold split: cold items ranked alone, all of them.

    A user is the films of the training part; relevant are the cold films of `part`. A film whose row was
    rejected at ingest cannot be found: it stays relevant, and is missed.
    """
    split = pq.read_table(data / "movielens-1m" / "splits" / f"item-cold-{seed}.parquet").to_pandas()
    names = split["part"].astype(str)
    cold = sorted(set(split[names.str.startswith("cold")]["item"].astype(str)))
    seen = _by_user(split[names == "train"])
    truth = _by_user(split[names == part])
    users = [user for user in truth if user in seen]
    candidates = [item_id for item_id in cold if item_id in shop]
    scores = shop.score_many(histories=[seen[u] for u in users], items=candidates)
    missing = [item_id for item_id in cold if item_id not in set(candidates)]
    place = {item_id: i for i, item_id in enumerate(candidates + missing)}
    relevant = [{place[i] for i in truth[u]} for u in users]
    ranked = np.argsort(-scores, axis=1, kind="stable")[:, :20].tolist()
    return {
        "recall@20": _mean(recall_at_k, ranked, relevant, 20),
        "ndcg@20": _mean(ndcg_at_k, ranked, relevant, 20), "users": len(users), "candidates": len(cold),
    }


def colour_neighbours(shop: Recommender, data: Path) -> float:
    """Share of garments with another colour of their design that find one among 10 neighbours by picture."""
    items = _records(data / "hm-fashion" / "items.jsonl")
    design = {row["item_id"]: row["product_code"] for row in items}
    sizes: dict[str, int] = defaultdict(int)
    for code in design.values():
        sizes[code] += 1
    several = [item_id for item_id, code in design.items() if sizes[code] > 1]
    found = [
        any(design[r.item_id] == design[item_id] for r in shop.similar(item_id, by="image", k=10))
        for item_id in several
    ]
    return float(np.mean(found))


def bought_together(shop: Recommender, data: Path, by: str) -> float:
    """Recall@20 of garments bought together with one, of another design, among its neighbours of such."""
    design = {row["item_id"]: row["product_code"] for row in _records(data / "hm-fashion" / "items.jsonl")}
    together: dict[str, set[str]] = defaultdict(set)
    for line in (data / "hm-fashion" / "copurchase.tsv").read_text().splitlines()[1:]:
        one, other, _ = line.split("\t")
        if one in design and other in design and design[one] != design[other]:
            together[one].add(other)
    recalls = []
    for item_id, others in together.items():
        found = shop.similar(item_id, by=by, k=20, where=f"product_code != '{design[item_id]}'")
        recalls.append(len(others & {r.item_id for r in found}) / len(others))
    return float(np.mean(recalls))


def text_search(shop: Recommender, data: Path, part: str) -> dict[str, float]:
    """Mean ndcg@10 over the queries of a part, of full text alone, vectors alone, and both fused."""
    rows = _records(data / "hm-fashion" / "items.jsonl")
    snapshot = shop.snapshot()
    ways: dict[str, Callable[[str], list[str]]] = {
        "full text": lambda q: [snapshot.ids[place] for place in snapshot.match(q, 10)],
        "vectors": lambda q: [r.item_id for r in shop.similar(text=q, k=10)],
        "hybrid": lambda q: [r.item_id for r in shop.search(q, k=10)],
    }
    values: dict[str, list[float]] = {name: [] for name in ways}
    for words, types, colour in QUERIES[part]:
        relevant = {
            snapshot.position[r["item_id"]] for r in rows
            if r["product_type"] in types and (colour is None or colour in r["colour"])
        }
        for name, way in ways.items():
            ranked = np.array([[snapshot.position[i] for i in way(words)]])
            values[name].append(_mean(ndcg_at_k, ranked, [relevant], 10))
    return {name: float(np.mean(v)) for name, v in values.items()}


def _by_user(rows: object) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for user, item in zip(rows["user"].tolist(), rows["item"].tolist(), strict=True):  # type: ignore[index]
        found[str(user)].append(str(item))
    return found


def _records(path: Path) -> list[Mapping[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _mean(metric: Callable[..., object], ranked: object, relevant: Sequence[set[int]], k: int) -> float:
    return float(np.mean(metric(ranked, relevant, k)))  # type: ignore[arg-type]


def main() -> None:
    """Prints every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--stores", type=Path, default=Path("stores"))
    parser.add_argument("--part", default="cold_test", help="cold_val while choosing, cold_test to report")
    asked = parser.parse_args()
    films = open_store(asked.data, asked.stores, "movielens-1m")
    for seed in (42, 43, 44):
        figures = item_cold_start(films, asked.data, seed, asked.part)
        print(f"movielens-1m item cold start, seed {seed}, {asked.part}:", rounded(figures))
    garments = open_store(asked.data, asked.stores, "hm-fashion")
    print("hm-fashion another colour among 10:", round(colour_neighbours(garments, asked.data), 4))
    spaces = ("content", *garments.stats()["fields"])
    together = {by: bought_together(garments, asked.data, by) for by in spaces}
    print("hm-fashion bought together, recall@20 by field:", rounded(together))
    queries = "validation" if asked.part == "cold_val" else "test"
    found = text_search(garments, asked.data, queries)
    print(f"hm-fashion text search, {queries} queries, ndcg@10:", rounded(found))


def rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """Figures as people read them."""
    return {name: round(value, 4) for name, value in figures.items()}


if __name__ == "__main__":
    main()
