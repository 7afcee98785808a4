// Be a shopper: a history and dislikes on one side, what the shop would show on the other.

import { post } from "/static/api.js";
import { addressOf, cardsOf, pictureOf, tilesOf, titleOf } from "/static/cards.js";
import { calmly, fill, h, say } from "/static/dom.js";
import { act, become, onChange, request, startOver, visitor } from "/static/session.js";

const SHOWN = 12;
const DIALS = [
  ["diversity", "Diversity", "0 ranks by relevance alone, 1 by difference alone"],
  ["explore", "Exploration", "the share of places given to new items"],
];

export async function shopper(place, { signal }) {
  const past = h("div", {}), found = h("div", { class: "list" });
  const details = h("details", { open: matchMedia("(min-width: 62rem)").matches },
    h("summary", {}, "Taste and dials"), controls());
  place.replaceChildren(h("h1", { tabindex: -1 }, "Be a shopper"),
    h("p", { class: "intro" }, "Like some items and dislike others, here or anywhere in the gallery: what the shop",
      " would show you follows at once, with no training in between."),
    h("div", { class: "counter" }, h("aside", { "aria-label": "You" }, past, details),
      h("section", { "aria-label": "What the shop shows you" }, h("h2", {}, "For you"), found)));
  const ranks = new Map();
  const refresh = () => Promise.all([
    fill(past, () => known(signal)), fill(found, () => shown(ranks, signal)),
  ]);
  onChange(refresh, signal);
  await refresh();
}

/** What is liked and what is not; each can be taken back. */
async function known(signal) {
  const { history, dislikes } = visitor();
  const cards = await cardsOf([...history, ...dislikes], { signal });
  const shelf = (list, ids, title, empty) => [
    h("h2", {}, title),
    ids.length ? h("ul", { class: `past ${list}` }, ids.toReversed().map((id) => entry(id, list, cards.get(id))))
      : h("p", { class: "quiet" }, empty),
  ];
  return [
    ...shelf("history", history, "You like", "Nothing yet: click ♥ on an item."),
    ...shelf("dislikes", dislikes, "You dislike", "Nothing: ✕ on an item pushes away what is like it."),
  ];
}

function entry(id, list, card = { item_id: id, text: {}, attributes: {}, images: [] }) {
  return h("li", {}, h("a", { class: "frame", href: addressOf(id), title: titleOf(card) }, pictureOf(card, 160)),
    h("button", { type: "button", "aria-label": `Take ${titleOf(card)} back`, title: "Take it back",
      onclick: () => act(id, list) }, "−"));
}

/** What the shop shows; each tile says how its place has changed since the answer before. */
async function shown(ranks, signal) {
  const { results } = await post("/recommend", request(SHOWN), { signal });
  const before = new Map(ranks);
  const note = ({ item_id: id }) => before.size ? moved(before.get(id), ranks.get(id)) : "";
  ranks.clear();
  results.forEach((result, place) => ranks.set(result.item_id, place));
  say(`${results.length} items for you, the first by ${results[0]?.rung ?? "nothing"}`);
  if (!results.length) return h("p", { class: "quiet" }, "There is nothing left to show.");
  return tilesOf(results, { signal, note });
}

const moved = (before, now) => before === undefined ? "came in" : before > now ? `↑ ${before - now}`
  : before < now ? `↓ ${now - before}` : "";

function controls() {
  const taste = h("input", { id: "taste", value: visitor().taste, autocomplete: "off",
    placeholder: "such as warm wool things", oninput: calmly(() => become({ taste: taste.value }), 400) });
  return h("form", { class: "controls", onsubmit: (event) => event.preventDefault() },
    h("label", { for: "taste" }, "A taste in words"), taste,
    h("p", { class: "quiet" }, "It speaks for you until you like something."),
    DIALS.map(([name, title, meaning]) => dial(name, title, meaning)),
    h("button", { type: "button", onclick: (event) => {
      const form = event.target.form;
      startOver();
      form.querySelectorAll("input").forEach((input) => {
        input.value = visitor()[input.id];
        input.nextElementSibling.value = input.value;
      });
    } }, "Start over"));
}

function dial(name, title, meaning) {
  const number = h("output", { for: name }, String(visitor()[name]));
  const change = calmly((value) => become({ [name]: value }), 150);
  return h("div", { class: "dial" }, h("label", { for: name }, title),
    h("input", { id: name, type: "range", min: 0, max: 1, step: 0.05, value: visitor()[name],
      "aria-describedby": `${name}-meaning`, oninput: (event) => {
        number.value = event.target.value;
        change(event.target.valueAsNumber);
      } }), number, h("p", { class: "quiet", id: `${name}-meaning` }, meaning));
}
