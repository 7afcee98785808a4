// What is wrong with the shop's own data, and what to do about it.

import { get, post, Problem } from "/static/api.js";
import { fill, h, say } from "/static/dom.js";

const SEVERITY = { error: "Misleads a training", warning: "Worth mending", note: "Worth knowing" };
const PAUSE = 500; // milliseconds between two looks at a job
const IDS = 6; // of a row
let job = null; // the last check: whoever comes back to the view sees it again

export async function check(place, { signal }) {
  const list = h("div", { class: "list" });
  const again = h("button", { onclick: () => (job = null, fill(list, () => findings(signal))) }, "Look again");
  place.replaceChildren(h("h1", { tabindex: -1 }, "Data"), h("p", { class: "intro" },
    "Duplicates, dead pictures, odd values, bots and drift, as ", h("code", {}, "mmrec check STORE"),
    " finds them. A large catalogue takes minutes. "), h("p", {}, again), list);
  await fill(list, () => findings(signal));
}

async function findings(signal) {
  const report = await checked(signal);
  say(`${report.findings.length} findings`);
  if (!report.findings.length) return h("p", { class: "good" }, "Nothing was found.");
  const verdict = report.misleading ? "A training would be misled: mend the first of these." : "A training may go on.";
  return [h("p", { class: report.misleading ? "told alarm" : "told" }, verdict), ...report.findings.map(finding)];
}

/** The report of a check, once its job is done. */
async function checked(signal) {
  job ??= await post("/check", {}, { signal });
  while (job.state === "running") {
    await new Promise((done) => setTimeout(done, PAUSE));
    job = await get(`/jobs/${job.job_id}`, { signal });
  }
  const { result, error } = job;
  if (!error) return result;
  job = null;
  throw new Problem(0, error);
}

function finding(one) {
  return h("section", { class: `finding ${one.severity}` },
    h("p", { class: "severity" }, SEVERITY[one.severity]), h("h2", {}, one.what),
    h("p", {}, coded(one.why)), h("p", { class: "quiet" }, coded(one.todo)),
    one.rows.length > 0 && h("details", {}, h("summary", {}, "Which"), h("ul", {}, one.rows.map(row))));
}

/** Words with what stands between backquotes as code. */
const coded = (words) => words.split("`").map((part, n) => n % 2 ? h("code", {}, part) : part);

function row({ ids, detail }) {
  const more = ids.length > IDS && ` and ${ids.length - IDS} more`;
  const links = ids.slice(0, IDS).flatMap((id, n) => [n > 0 && ", ", h("a", { href: `#/item/${encodeURIComponent(id)}` }, id)]);
  return h("li", {}, ...links, more, detail && `${ids.length ? ": " : ""}${detail}`);
}
