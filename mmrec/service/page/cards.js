// An item as a tile: picture, badges, name, score, reasons, and what a shopper may do with it.

import { media, post } from "/static/api.js";
import { h, walk } from "/static/dom.js";
import { act, onChange, visitor } from "/static/session.js";

const ACTS = [["history", "♥", "Like"], ["dislikes", "✕", "Dislike"]];
const MEANING = {
  history: "found by the history", taste: "found by words, or by dislikes alone", popular: "much chosen lately",
  newest: "among the newest", cold: "nobody has chosen it yet",
  new: "came among the last",
};

/** Items by id, those that the catalogue has. */
export async function cardsOf(ids, options) {
  if (!ids.length) return new Map();
  const found = await post("/cards", { item_ids: [...new Set(ids)].slice(0, 500) }, options);
  return new Map(found.map((card) => [card.item_id, card]));
}

/** What was found, as tiles; `note` says more of one. */
export async function tilesOf(results, { signal, note, small, why = true } = {}) {
  const helped = results.flatMap((r) => r.reasons.filter((x) => x.source === "item").map((x) => x.name));
  const cards = await cardsOf([...results.map((r) => r.item_id), ...helped], { signal });
  const shown = results.filter((result) => cards.has(result.item_id));
  return grid(shown.map((result) => tile(cards.get(result.item_id), {
    result, cards, small, why, note: note?.(result),
  })), { small });
}

/** Tiles as a list that arrow keys walk through. */
export function grid(tiles, { small, label } = {}) {
  return h("ul", { class: small ? "grid small" : "grid", "aria-label": label, onkeydown: walk },
    tiles.map((one) => h("li", {}, one)));
}

export function tile(card, { result, cards, note, small, why } = {}) {
  const name = titleOf(card);
  return h("article", { class: "tile", "data-item": card.item_id },
    h("a", { class: "open", href: addressOf(card.item_id) },
      h("span", { class: "frame" }, pictureOf(card, small ? 160 : 320)), h("span", { class: "name" }, name)),
    badges(card, result, note),
    h("p", { class: "facts" }, h("span", {}, priceOf(card)), result && h("span", { class: "score" },
      h("span", { class: "unseen" }, "score "), scoreOf(result))),
    result && why && reasons(result, cards), playerOf(card, small), acts(card));
}

export const titleOf = (card) => card.text.title || Object.values(card.text)[0] || card.item_id;
export const addressOf = (itemId) => `#/item/${encodeURIComponent(itemId)}`;

/** The first picture, or a blank one that says whose picture is missing. */
export function pictureOf(card, size) {
  const name = titleOf(card);
  const blank = () => h("span", { class: "blank", role: "img", "aria-label": `${name} (no picture)` });
  if (!card.images?.length) return blank();
  const img = h("img", { alt: name, width: size, height: size, loading: "lazy", decoding: "async" });
  const lost = () => img.replaceWith(blank());
  img.addEventListener("error", lost);
  media(img, `${card.images[0]}&size=${size}`).catch(lost);
  return img;
}

/** The first sound, to be played, of an item that has one. */
export function playerOf(card, small) {
  if (!card.sounds?.length) return false;
  const label = `Sound of ${titleOf(card)}`;
  const player = h("audio", { preload: "none", "aria-label": label, ...(small ? {} : { controls: true }) });
  const toggle = () => (player.paused ? player.play() : player.pause());
  const shown = small ? h("button", { type: "button", class: "play", "aria-label": label, onclick: toggle }, "▶") : player;
  media(player, card.sounds[0]).catch(() => shown.remove());
  return shown;
}

export function badges(card, result, note) {
  const rung = result && !["search", "similar"].includes(result.rung) && result.rung;
  const names = [rung, card.cold && "cold", card.new && "new"].filter(Boolean);
  return h("p", { class: "badges" },
    names.map((name) => h("span", { class: name, title: MEANING[name] }, name)),
    result?.propensity < 1 && h("span", { class: "chance", title: "how likely this place was to show it" },
      `chance ${result.propensity.toPrecision(2)}`),
    note && h("span", { class: "note" }, note));
}

/** What brought a result: a bar for each contribution, against the largest. */
function reasons(result, cards) {
  if (["popular", "newest"].includes(result.rung)) return h("p", { class: "why" }, MEANING[result.rung]);
  const most = Math.max(...result.reasons.map((reason) => Math.abs(reason.contribution)), 1e-9);
  return h("ul", { class: "reasons", "aria-label": "Reasons" }, result.reasons.map((reason) => {
    const bar = h("span", { class: reason.contribution < 0 ? "bar against" : "bar" });
    bar.style.setProperty("--share", Math.abs(reason.contribution) / most);
    const card = reason.source === "item" && cards.get(reason.name);
    const name = card ? titleOf(card) : reason.name;
    return h("li", {}, h("span", { class: "label", title: name }, name), bar,
      h("span", { class: "value" }, reason.contribution.toFixed(result.rung === "search" ? 3 : 2)));
  }));
}

export function scoreOf(result) {
  if (result.rung === "newest") return `${Math.abs(result.score).toFixed(0)} d`;
  return result.score.toFixed(result.rung === "search" ? 4 : 2);
}

const priceOf = (card) => typeof card.attributes.price === "number" ? card.attributes.price.toFixed(2) : "";

/** The buttons that take an item into the shopper's history or dislikes. */
export function acts(card, { words } = {}) {
  return h("p", { class: "acts" }, ACTS.map(([list, sign, verb]) => h("button", {
    type: "button", class: list, "data-id": card.item_id, "data-list": list,
    "aria-label": `${verb} ${titleOf(card)}`, title: verb, "aria-pressed": pressed(card.item_id, list),
    onclick: () => act(card.item_id, list),
  }, words ? `${sign} ${verb}` : sign)));
}

const pressed = (itemId, list) => String(visitor()[list].includes(itemId));

onChange(() => {
  for (const button of document.querySelectorAll("button[data-list]"))
    button.setAttribute("aria-pressed", pressed(button.dataset.id, button.dataset.list));
});
