// The catalogue: all items, or those that a condition keeps, some at a time.

import { get, query } from "/static/api.js";
import { cardsOf, grid, tile } from "/static/cards.js";
import { fill, h, say, trouble } from "/static/dom.js";

const PAGE = 48;

export async function catalogue(place, { where = "", stats, signal }) {
  const list = h("div", { class: "list" });
  const count = h("p", { class: "quiet", id: "total" });
  place.replaceChildren(h("h1", { tabindex: -1 }, "Catalogue"), filter(where, stats), count, list);
  await fill(list, () => more(list, count, where, 0, signal));
}

/** The items from `offset` on, and a button for those after them. */
async function more(list, count, where, offset, signal) {
  let found;
  try {
    found = await get(`/items?${query({ where, offset, limit: PAGE })}`, { signal });
  } catch (problem) {
    if (problem.status !== 422) throw problem;
    return wrong(problem, count);
  }
  const cards = await cardsOf(found.items.map((item) => item.item_id), { signal });
  const total = found.total.toLocaleString("en");
  count.textContent = where ? `${total} items are kept by the filter` : `${total} items`;
  say(`Items ${Math.min(offset + 1, found.total)} to ${offset + cards.size} of ${total}`);
  const tiles = grid([...cards.values()].map((card) => tile(card)), { label: "Items" });
  const next = offset + PAGE;
  if (next >= found.total) return [tiles];
  const button = h("button", { type: "button", class: "more", onclick: async () => {
    button.disabled = true;
    try {
      const parts = await more(list, count, where, next, signal);
      button.replaceWith(...parts);
      parts[0].querySelector("a")?.focus();
    } catch (problem) {
      button.replaceWith(trouble(problem));
    }
  } }, `Show more (${(found.total - next).toLocaleString("en")} left)`);
  return [tiles, button];
}

/** Tells at the field what is wrong with its condition. */
function wrong(problem, count) {
  count.textContent = "";
  const field = document.getElementById("where");
  field.setAttribute("aria-invalid", "true");
  document.getElementById("where-trouble").replaceChildren(trouble(problem));
  return [];
}

function filter(where, stats) {
  const field = h("input", {
    id: "where", value: where, autocomplete: "off", spellcheck: "false", enterkeyhint: "search",
    placeholder: "such as price < 30", "aria-describedby": "where-trouble",
  });
  const columns = Object.entries(stats.columns).map(([name, holds]) =>
    h("li", {}, h("code", {}, name), ` ${holds}`));
  return h("form", { class: "ask", onsubmit: (event) => {
    event.preventDefault();
    location.hash = `#/?${query({ where: field.value.trim() })}`;
  } },
  h("label", { for: "where" }, "Filter"),
  h("div", { class: "line" }, field, h("button", { class: "main" }, "Filter")),
  h("div", { id: "where-trouble" }),
  h("details", {}, h("summary", {}, "What can be named"), h("ul", { class: "columns" }, columns),
    h("p", { class: "quiet" }, "For example ", h("code", {}, "price < 30 and item_id != 'B07'"),
      "; with ", h("code", {}, "and, or, not, in, is None"), ".")));
}
