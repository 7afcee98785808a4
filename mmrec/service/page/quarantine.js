// The rows that were not taken in, or not whole, and why.

import { get, query } from "/static/api.js";
import { fill, h, say } from "/static/dom.js";

const PAGE = 50;

export async function quarantine(place, { offset = "0", signal }) {
  const list = h("div", { class: "list" });
  place.replaceChildren(h("h1", { tabindex: -1 }, "Quarantine"), h("p", { class: "intro" },
    "Rows that were not taken in, or not whole. Mend them in the store's file and run ", h("code", {}, "mmrec ingest STORE --retry"),
    ", or mend the source and ingest it again."), list);
  await fill(list, () => rows(Number(offset) || 0, signal));
}

async function rows(offset, signal) {
  const found = await get(`/quarantine?${query({ offset, limit: PAGE })}`, { signal });
  say(`${found.total} rows in the quarantine`);
  if (!found.total) return h("p", { class: "good" }, "It is empty: every row was taken in.");
  return [h("p", { class: "quiet" }, `${found.total.toLocaleString("en")} rows`),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Rejected rows" }, h("table", {},
      h("thead", {}, h("tr", {}, ["Item", "Field", "Reason", "From"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, found.rows.map(line)))), pages(found)];
}

function line(row) {
  const what = row.part ? `taken without ${row.field === "image" ? "picture" : row.field}` : row.field ?? "";
  const from = [row.source, row.line && `line ${row.line}`].filter(Boolean).join(", ");
  return h("tr", {},
    h("th", { scope: "row" }, row.item_id ?? "(no id)", row.text.title && h("small", {}, row.text.title)),
    h("td", { "data-name": "Field" }, what), h("td", { "data-name": "Reason" }, row.reason),
    h("td", { "data-name": "From" }, from));
}

function pages({ offset, total }) {
  const link = (to, words) => to >= 0 && to < total && h("a", { href: `#/quarantine?offset=${to}` }, words);
  return h("p", { class: "pages" }, link(offset - PAGE, "Before"), link(offset + PAGE, "After"));
}
