// Elements, and what every view does with them.

const SVG = "http://www.w3.org/2000/svg";

/** An element; a property `on...` is a listener, true and false set or leave out an attribute. */
export const h = (tag, properties = {}, ...children) =>
  dressed(document.createElement(tag), properties, children);

/** The same in an inline picture. */
export const svg = (tag, properties = {}, ...children) =>
  dressed(document.createElementNS(SVG, tag), properties, children);

function dressed(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === false || value == null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** Tells those who cannot see it. */
export function say(words) {
  document.getElementById("status").textContent = words;
}

/** Shows what went wrong, and what to do. */
export function trouble(problem) {
  return h("div", { class: "trouble", role: "alert" },
    h("p", {}, problem.message), problem.advice && h("p", { class: "quiet" }, problem.advice));
}

/** Replaces a place's contents by what `work` makes, or by what went wrong; a newer call wins. */
export async function fill(place, work) {
  const turn = (place.turn = (place.turn ?? 0) + 1);
  place.setAttribute("aria-busy", "true");
  let made;
  try {
    made = await work();
  } catch (problem) {
    made = [trouble(problem)];
  }
  if (place.turn !== turn) return;
  const focus = focusIn(place);
  place.replaceChildren(...[made].flat().filter(Boolean));
  place.removeAttribute("aria-busy");
  focus?.();
}

/** How to put the focus back on the same control of the tile in the same place, once tiles have changed. */
function focusIn(place) {
  const held = document.activeElement;
  const tile = place.contains(held) ? held.closest(".tile") : null;
  if (!tile) return null;
  const number = [...place.querySelectorAll(".tile")].indexOf(tile);
  const control = [...tile.querySelectorAll("a, button")].indexOf(held);
  return () => {
    const tiles = [...place.querySelectorAll(".tile")];
    const next = tiles[Math.min(number, tiles.length - 1)];
    next?.querySelectorAll("a, button")[control]?.focus({ preventScroll: true });
  };
}

/** Calls `work` when nothing has happened for some milliseconds. */
export function calmly(work, pause = 200) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(work, pause, ...given);
  };
}

/** Arrow keys walk through the tiles of a list, as they lie on the screen. */
export function walk(event) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: 0, ArrowDown: 0, Home: 0, End: 0 };
  if (!(event.key in steps) || event.target.matches("input, textarea")) return;
  const tiles = [...event.currentTarget.querySelectorAll(".tile")];
  const here = tiles.indexOf(event.target.closest(".tile"));
  if (here < 0) return;
  const top = tiles[here].offsetTop;
  const across = tiles.filter((tile) => tile.offsetTop === top).length;
  const there = {
    ArrowUp: here - across, ArrowDown: here + across, Home: 0, End: tiles.length - 1,
  }[event.key] ?? here + steps[event.key];
  event.preventDefault();
  tiles[there]?.querySelector("a")?.focus();
}
