// One item, and what is near to it in each space side by side.

import { get, query } from "/static/api.js";
import { acts, badges, cardsOf, pictureOf, playerOf, tilesOf, titleOf } from "/static/cards.js";
import { fill, h, say } from "/static/dom.js";

const NEIGHBOURS = 6;
const SHOWN = ["content", "behaviour", "words", "image", "audio"]; // first, if the shop has them

export async function item(place, { id, stats, signal }) {
  const card = (await cardsOf([id], { signal })).get(id);
  if (!card) {
    place.replaceChildren(h("h1", { tabindex: -1 }, "No such item"),
      h("p", {}, `${id} is not in the catalogue.`), h("p", {}, h("a", { href: "#/" }, "Back to the catalogue")));
    return;
  }
  const spaces = spacesOf(stats);
  const columns = spaces.first.map((by) => column(by));
  const others = spaces.others.map((by) => column(by));
  const details = others.length > 0 && h("details", { class: "others" },
    h("summary", {}, `By one attribute (${spaces.others.join(", ")})`), h("div", { class: "spaces" }, others));
  place.replaceChildren(about(card), h("h2", {}, "What is near to it"),
    h("div", { class: "spaces" }, columns), details || "");
  if (details) details.addEventListener("toggle", () => load(others, id, signal), { once: true, signal });
  await load(columns, id, signal);
  say(`${titleOf(card)}: its neighbours are shown`);
}

function about(card) {
  const rows = (pairs, kind) => Object.entries(pairs).map(([name, value]) =>
    h("div", { class: kind }, h("dt", {}, name), h("dd", {}, Array.isArray(value) ? value.join(", ") : String(value))));
  const texts = Object.fromEntries(Object.entries(card.text).filter(([, words]) => words !== titleOf(card)));
  return h("article", { class: "about" },
    h("div", { class: "frame large" }, pictureOf(card, 640)),
    h("div", {}, h("h1", { tabindex: -1 }, titleOf(card)), badges(card), playerOf(card), acts(card, { words: true }),
      h("dl", {}, rows(texts, "text"), rows(card.attributes, "attribute"),
        rows({ id: card.item_id, added: card.added_at.slice(0, 10) }, "attribute"))));
}

/** The spaces to show at once, and those of single attributes. */
export function spacesOf(stats) {
  const there = [...stats.spaces, ...(stats.fitted && !stats.spaces.includes("behaviour") ? ["behaviour"] : [])];
  const texts = there.filter((by) => stats.fields[by]?.kind === "embedding" && !["image", "audio"].includes(by));
  const first = [...SHOWN, ...texts].filter((by, n, all) => there.includes(by) && all.indexOf(by) === n);
  return { first, others: there.filter((by) => !first.includes(by)) };
}

const column = (by) => h("section", { class: "space", "data-by": by, "aria-label": `By ${by}` },
  h("h3", {}, `by ${by}`), h("div", { class: "near" }));

const load = (columns, id, signal) => Promise.all(columns.map((column) =>
  fill(column.querySelector(".near"), () => near(id, column.dataset.by, signal))));

async function near(id, by, signal) {
  const address = `/items/${encodeURIComponent(id)}/similar?${query({ by, k: NEIGHBOURS })}`;
  const { results } = await get(address, { signal });
  if (!results.length) return h("p", { class: "quiet" }, `Nothing: this item has no ${by}, or no other has.`);
  return tilesOf(results, { signal, small: true, why: by === "content" }); // elsewhere one field is all of it
}
