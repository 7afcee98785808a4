// Search by words, by a picture, or by both.

import { post, query } from "/static/api.js";
import { tilesOf } from "/static/cards.js";
import { fill, h, say } from "/static/dom.js";

const FOUND = 24;

export async function search(place, { text = "", signal }) {
  let picture = null;
  const found = h("div", { class: "list" });
  const field = h("input", {
    id: "words", type: "search", value: text, autocomplete: "off", placeholder: "such as a red mug",
    maxlength: 10000, enterkeyhint: "search",
  });
  const look = () => fill(found, () => results(field.value.trim(), picture, signal));
  const zone = dropZone((file) => {
    picture = file;
    if (file || field.value.trim()) look();
    else found.replaceChildren();
  }, signal);
  place.replaceChildren(h("h1", { tabindex: -1 }, "Search"), h("form", { class: "ask", onsubmit: (event) => {
    event.preventDefault();
    history.replaceState(null, "", `#/search?${query({ text: field.value.trim() })}`);
    look();
  } }, h("label", { for: "words" }, "Words"),
  h("div", { class: "line" }, field, h("button", { class: "main" }, "Search")), zone), found);
  if (text) await look();
}

/** Words alone are searched in the texts too; a picture, with or without words, is compared with items. */
async function results(text, picture, signal) {
  if (!text && !picture) return h("p", { class: "quiet" }, "Write some words, or give a picture.");
  let answer;
  if (picture) {
    const form = new FormData();
    form.append("image", picture);
    if (text) form.append("text", text);
    form.append("k", FOUND);
    answer = await post("/similar", form, { signal });
  } else {
    answer = await post("/search", { text, k: FOUND }, { signal });
  }
  say(`${answer.results.length} items were found`);
  const kind = picture ? "Nearest to the picture" + (text ? " and the words" : "") : `Found for “${text}”`;
  return [h("h2", {}, kind), await tilesOf(answer.results, { signal })];
}

/** A place to drop, choose or paste a picture; calls `given` with it, or with null when it is taken away. */
function dropZone(given, signal) {
  const preview = h("div", { class: "preview" });
  const chooser = h("input", { id: "picture", type: "file", accept: "image/*", class: "unseen",
    onchange: () => take(chooser.files[0]) });
  const zone = h("div", { class: "drop" }, chooser,
    h("label", { for: "picture" }, h("b", {}, "Choose a picture"), " or drop or paste it here"), preview);
  const take = (file) => {
    if (!file) return;
    const img = h("img", { alt: `Your picture ${file.name}`, width: 96, height: 96, onload: () =>
      URL.revokeObjectURL(img.src) });
    img.src = URL.createObjectURL(file);
    preview.replaceChildren(img, h("button", { type: "button", onclick: () => {
      preview.replaceChildren();
      chooser.value = "";
      chooser.focus();
      given(null);
    } }, "Take it away"));
    given(file);
  };
  const over = (on) => (event) => {
    event.preventDefault();
    zone.classList.toggle("over", on);
  };
  for (const name of ["dragenter", "dragover"]) zone.addEventListener(name, over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", (event) => {
    over(false)(event);
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData?.files[0]), { signal });
  return zone;
}
