// The gallery: which view an address names, and what all views share.

import { get, ready } from "/static/api.js";
import { catalogue } from "/static/catalogue.js";
import { check } from "/static/check.js";
import { h, trouble } from "/static/dom.js";
import { item } from "/static/item.js";
import { monitor } from "/static/monitor.js";
import { quarantine } from "/static/quarantine.js";
import { search } from "/static/search.js";
import { onChange, visitor } from "/static/session.js";
import { shopper } from "/static/shopper.js";

const VIEWS = { "": catalogue, item, search, shopper, monitor, check, quarantine };
const main = document.getElementById("main");
let leaving = new AbortController();

async function show({ first = false } = {}) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [path, given = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [name, id] = path.split("/");
  const view = VIEWS[name] ?? catalogue;
  point(name);
  const place = h("div", { class: `view ${name || "catalogue"}` });
  main.replaceChildren(place);
  try {
    const stats = await get("/stats", { signal });
    tellFacts(stats);
    const shown = view(place, { ...Object.fromEntries(new URLSearchParams(given)), id: decoded(id), stats, signal });
    if (view !== item) arrive(place, first); // an item's heading must be fetched first
    await shown;
    if (view === item && !signal.aborted) arrive(place, first);
  } catch (problem) {
    if (!signal.aborted) place.replaceChildren(trouble(problem));
  }
}

/** Marks the view in the navigation, where it may have to be scrolled to. */
function point(name) {
  for (const link of document.querySelectorAll("nav li a")) link.removeAttribute("aria-current");
  const link = document.querySelector(`nav li a[href="#/${CSS.escape(name)}"]`);
  if (!link) return;
  const bar = link.closest("ul"); // scrollIntoView would move the place where Tab starts, too
  link.setAttribute("aria-current", "page");
  const [at, seen] = [link.getBoundingClientRect(), bar.getBoundingClientRect()];
  bar.scrollLeft += Math.max(at.right - seen.right, 0) + Math.min(at.left - seen.left, 0);
}

/** Brings those who use a keyboard or a reader to the new view's heading; a first view starts at its top. */
function arrive(place, first) {
  const heading = place.querySelector("h1");
  if (!first) heading?.focus({ preventScroll: true });
  scrollTo(0, 0);
  document.title = `${heading?.textContent ?? "Gallery"} · mmrec`;
}

function decoded(part = "") {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function tellFacts(stats) {
  const number = (n) => n.toLocaleString("en");
  document.getElementById("facts").textContent = [
    `${number(stats.items)} items`, `${number(stats.interactions)} interactions`,
    ...Object.entries(stats.encoders).map(([kind, name]) => `${kind} by ${name}`),
  ].join(" · ");
}

function count() {
  const { history, dislikes } = visitor();
  const badge = document.getElementById("count");
  badge.textContent = history.length + dislikes.length;
  badge.hidden = !(history.length + dislikes.length);
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the view
  main.focus();
});
onChange(count);
count();
try {
  await ready((problem) => main.replaceChildren(h("p", { class: "quiet", role: "status" }, `${problem.message} …`)));
  addEventListener("hashchange", () => show());
  await show({ first: true });
} catch (problem) {
  main.replaceChildren(trouble(problem));
}
