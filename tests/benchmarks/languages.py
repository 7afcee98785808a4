"""Full text alone in languages that are not English, and by product numbers: how well it ranks.

Run: python tests/benchmarks/languages.py

The titles are made of the words below: each noun in each colour and two materials. A query names a colour and
a noun in other forms than the titles where the language has them. An item of both is worth 2, one of the noun
in another colour 1.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from math import log2
from typing import NamedTuple

from mmrec.search.text import FullText
from mmrec.search.vectors import Document

K, QUERIES, NUMBERS = 10, 20, 100


class Words(NamedTuple):
    """The words of a language; "title/query" where queries have another form than titles."""

    nouns: str
    colours: str
    materials: Sequence[str]
    title: str
    query: str


LANGUAGES = {
    "Japanese": Words(
        "ワンピース マグカップ 椅子 花瓶 掛け時計/時計 毛布 本棚 フロアランプ/ランプ 靴下 帽子",
        "赤い/赤 青い/青 白い 黒い 緑の/緑 黄色い/黄色",
        ["木製", "綿100%", "陶器", "羊毛"], "{material}の{colour}{noun}", "{colour} {noun}",
    ),
    "Chinese": Words(
        "连衣裙 马克杯/杯 椅子 花瓶 挂钟 毛毯 书架 落地灯/灯 袜子 帽子", "红色 蓝色 白色 黑色 绿色 黄色",
        ["木质", "纯棉", "陶瓷", "羊毛"], "{material}{colour}{noun} 新款", "{colour}{noun}",
    ),
    "German": Words(
        "Kleid/Kleider Glas/Gläser Stuhl/Stühle Vase/Vasen Wanduhr/Uhr Wolldecke/Decken Bücherregal/Regal"
        " Stehlampe/Lampe Socken/Socke Hut/Hüte",
        "rot/rote blau/blaue weiß/weisse schwarz/schwarze grün/grüne gelb/gelbe",
        ["aus Holz", "aus Baumwolle", "aus Keramik", "für den Garten"], "{noun} in {colour} {material}",
        "{colour} {noun}",
    ),
    "Arabic": Words(
        "فستان/الفستان كوب/الكوب كرسي/الكرسي مزهرية/المزهرية ساعة/الساعة بطانية مصباح/المصباح حذاء/الحذاء"
        " قبعة/القبعة طاولة/الطاولة",
        "أحمر/الأحمر أزرق/الأزرق أبيض/الأبيض أسود/الأسود أخضر/الأخضر أصفر/الأصفر",
        ["من الخشب", "من القطن", "من السيراميك", "للحديقة"], "{noun} {colour} {material}", "{noun} {colour}",
    ),
}


def forms(words: str) -> list[tuple[str, str]]:
    """Each word as titles and as queries have it."""
    return [(word.split("/")[0], word.split("/")[-1]) for word in words.split()]


def ndcg(found: Sequence[float], ideal: Sequence[float]) -> float:
    """NDCG of the worths of what was found, in its order, beside those of all that could be."""
    def gain(worths: Sequence[float]) -> float:
        return sum((2**worth - 1) / log2(rank + 2) for rank, worth in enumerate(worths[:K]))

    return gain(found) / gain(sorted(ideal, reverse=True))


def quality(words: Words, language: str) -> float:
    """Mean NDCG@10 of the queries in a language."""
    rng = random.Random(0)
    pairs = list(itertools.product(forms(words.nouns), forms(words.colours)))
    items = [(noun, colour, m) for noun, colour in pairs for m in rng.sample(list(words.materials), 2)]
    titles = [words.title.format(noun=n[0], colour=c[0], material=m) for n, c, m in items]
    full_text = FullText.of((Document(at, "", title) for at, title in enumerate(titles)), language)
    figures = []
    for noun, colour in rng.sample(pairs, QUERIES):
        worths = [(n == noun) * (1.0 + (c == colour)) for n, c, _ in items]
        hits = full_text.top(words.query.format(noun=noun[1], colour=colour[1]), K)
        figures.append(ndcg([worths[at] for at in hits.positions], worths))
    return sum(figures) / len(figures)


def numbers_first() -> tuple[int, int]:
    """Of product numbers, for how many the product is first: asked as a whole, and by a part."""
    rng = random.Random(1)
    letters, digits = "ABCDEFGHKLMNPRSTUVWXYZ", "0123456789"
    shapes = ["LLL.DDDD-DD", "LLL-DD-DD", "LDDDLLL", "DDDDDDDDDDDDD", "DDDDDD", "LLDDDD/D"] * NUMBERS
    sign = {"L": lambda: rng.choice(letters), "D": lambda: rng.choice(digits)}
    made = ["".join(sign.get(s, lambda s=s: s)() for s in shape) for shape in shapes[:NUMBERS]]
    nouns = ["Oak shelf", "Blue mug", "Felt pen"]
    titles = [f"{rng.choice(nouns)} {rng.randrange(10, 500)} cm" for _ in made]
    full_text = FullText.of(map(Document, range(NUMBERS), made, titles))
    first = [full_text.top(number, 1).positions.tolist() == [at] for at, number in enumerate(made)]
    part = [at in full_text.top(number[:-2], K).positions for at, number in enumerate(made)]
    return sum(first), sum(part)


def main() -> None:
    """Prints the table."""
    for name, words in LANGUAGES.items():
        figure = quality(words, "german" if name == "German" else "english")
        print(f"{name:10} ndcg@{K} of {QUERIES} queries {figure:.3f}")
    first, part = numbers_first()
    print(f"product numbers: {first} of {NUMBERS} first, {part} among the first {K} by all but two signs")


if __name__ == "__main__":
    main()
