// How the shop does over time: what was asked, how fast, what was clicked, and what was seen of the catalogue.

import { get } from "/static/api.js";
import { chart } from "/static/charts.js";
import { fill, h, say } from "/static/dom.js";

/** Charts: title, lines by name as what a window says, whether they are shares. */
const CHARTS = [
  ["Requests", { requests: (w) => w.requests }],
  ["Latency in milliseconds", { p50: (w) => w.latency?.p50, p95: (w) => w.latency?.p95 }],
  ["Click-through by rung", (windows) => byRung(windows), true],
  ["Cold items", { "shown": (w) => w.cold_exposure, "click-through": (w) => w.cold_click_through }, true],
  ["Gini of what is shown (0: all alike, 1: one item alone)", { gini: (w) => w.gini }],
  ["Coverage of the catalogue", { coverage: (w) => w.coverage }, true],
];

export async function monitor(place, { signal }) {
  const charts = h("div", { class: "charts" });
  place.replaceChildren(h("h1", { tabindex: -1 }, "Monitoring"), charts);
  await fill(charts, () => drawn(signal));
}

async function drawn(signal) {
  let said;
  try {
    said = await get("/monitor", { signal });
  } catch (problem) {
    if (problem.status !== 404) throw problem;
    return h("p", { class: "quiet" }, "There is no monitoring here yet.");
  }
  const made = [...chartsOf(said.windows ?? []), drifted(said.drift), judged(said.estimates ?? [])].filter(Boolean);
  say(`${made.length} figures`);
  return made.length ? made : h("p", { class: "quiet" }, "Nothing has been shown to anybody yet.");
}

export function chartsOf(windows) {
  const moments = windows.map((w) => w.start);
  return CHARTS.map(([title, lines, share]) => {
    const read = typeof lines === "function" ? lines(windows) : lines;
    const values = Object.entries(read).map(([name, of]) => [name, windows.map((w) => number(of(w)))]);
    return chart(title, moments, Object.fromEntries(values), { share });
  }).filter(Boolean);
}

function byRung(windows) {
  const rungs = [...new Set(windows.flatMap((w) => Object.keys(w.click_through ?? {})))];
  return Object.fromEntries(rungs.map((rung) => [rung, (w) => w.click_through?.[rung]]));
}

/** Whether incoming items are of another kind than the catalogue's. */
function drifted(drift) {
  if (!drift) return null;
  const verdict = drift.alarm ? "more than chance" : "no more than chance";
  return h("figure", { class: "chart" }, h("figcaption", {}, "Drift of incoming items"),
    h("p", { class: drift.alarm ? "told alarm" : "told" },
      `${drift.incoming} items differ from ${drift.reference} others by ${verdict} (p = ${drift.p.toPrecision(2)}).`),
    h("p", { class: "quiet" }, `Population stability index ${drift.psi.toPrecision(2)}: below 0.1 little has changed,`,
      " above 0.25 much."));
}

/** What other ways to serve would have got, by the log. */
function judged(estimates) {
  if (!estimates.length) return null;
  const interval = ([mean, low, high]) => `${[low, mean, high].map((value) => value.toFixed(3)).join(" … ")}`;
  return h("figure", { class: "chart" },
    h("figcaption", {}, "Clicks for each item shown, of other ways to serve (low … mean … high of 95%)"),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Estimates" }, h("table", {},
      h("thead", {}, h("tr", {}, ["Way to serve", "As logged", "IPS", "SNIPS"].map((name) =>
        h("th", { scope: "col" }, name)))),
      h("tbody", {}, estimates.map((one) => h("tr", {},
        h("th", { scope: "row" }, one.policy, one.warnings.map((words) => h("small", {}, words))),
        [one.logged, one.ips, one.snips].map((value) => h("td", {}, interval(value)))))))));
}

const number = (value) => Number.isFinite(value) ? value : null;
