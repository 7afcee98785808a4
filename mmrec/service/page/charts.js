// Line charts as inline SVG, each with its figures in a table for those who cannot see it.

import { h, svg } from "/static/dom.js";

const WIDTH = 480, HEIGHT = 200, LEFT = 60, BOTTOM = 24, TOP = 12, RIGHT = 10;
let serial = 0;

/**
 * A chart of one or several lines over time.
 * @param lines name -> numbers, one for each moment; null where there is none.
 */
export function chart(title, moments, lines, { share = false } = {}) {
  const named = Object.entries(lines).filter(([, values]) => values.some((value) => value != null));
  if (!named.length) return null;
  const top = niceTop(Math.max(...named.flatMap(([, values]) => values.filter((v) => v != null))), share);
  const label = (value) => share ? `${tidy(100 * value)} %` : tidy(value);
  const id = `chart-${++serial}`;
  return h("figure", { class: "chart" }, h("figcaption", { id }, title), legend(named),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-labelledby": id },
      axis(top, label), dates(moments), named.map(([name, values], n) => line(name, values, moments, top, n, label))),
    table(moments, named, label));
}

const x = (n, of) => LEFT + (WIDTH - LEFT - RIGHT) * (of > 1 ? n / (of - 1) : 0.5);
const y = (value, top) => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value / top);

/** The next of 1, 2, 2.5, 5 times a power of ten above a value; a share goes no higher than 1. */
export function niceTop(most, share = false) {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [1, 2, 2.5, 5, 10].find((one) => one * power >= most * (1 - 1e-9));
  return share ? Math.min(step * power, 1) : step * power;
}

const tidy = (value) => Number(value.toPrecision(3)).toLocaleString("en");

function axis(top, label) {
  return [0, 0.5, 1].map((part) => svg("g", { class: "axis" },
    svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(part, 1), y2: y(part, 1) }),
    svg("text", { x: LEFT - 6, y: y(part, 1) + 4, "text-anchor": "end" }, label(part * top))));
}

function dates(moments) {
  const ends = moments.length > 1 ? [[0, "start"], [moments.length - 1, "end"]] : [[0, "middle"]];
  return ends.map(([n, anchor]) => svg("text", {
    class: "date", x: x(n, moments.length), y: HEIGHT - 6, "text-anchor": anchor,
  }, moment(moments[n])));
}

/** One line, broken where there is no figure, with a point for each that tells its own. */
function line(name, values, moments, top, n, label) {
  const at = (value, place) => `${x(place, values.length).toFixed(1)},${y(Math.min(value, top), top).toFixed(1)}`;
  const runs = [[]];
  values.forEach((value, place) => value == null ? runs.push([]) : runs.at(-1).push(at(value, place)));
  return svg("g", { class: `line line-${n % 6}` },
    runs.filter((run) => run.length > 1).map((run) => svg("polyline", { points: run.join(" ") })),
    values.map((value, place) => value != null && svg("circle", {
      cx: x(place, values.length), cy: y(Math.min(value, top), top), r: 3,
    }, svg("title", {}, `${name}, ${moment(moments[place])}: ${label(value)}`))));
}

const legend = (named) => named.length > 1 && h("ul", { class: "legend" },
  named.map(([name], n) => h("li", { class: `line-${n % 6}` }, name)));

const table = (moments, named, label) => h("details", {}, h("summary", {}, "Figures"), h("div", { class: "scroll" },
  h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "From"),
    named.map(([name]) => h("th", { scope: "col" }, name)))),
  h("tbody", {}, moments.map((when, n) => h("tr", {}, h("th", { scope: "row" }, moment(when)),
    named.map(([, values]) => h("td", {}, values[n] == null ? "–" : label(values[n])))))))));

function moment(when) {
  const date = new Date(typeof when === "number" ? 1000 * when : when);
  return Number.isNaN(date.getTime()) ? String(when)
    : date.toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}
