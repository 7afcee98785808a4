// Who you are while you try the shop: what you like and what you do not, kept in this tab.

const PLACE = "mmrec-shopper";
const EVERYTHING = { history: [], dislikes: [], taste: "", diversity: 0, explore: 0 };
const listeners = new EventTarget();

let self = { ...EVERYTHING, ...JSON.parse(sessionStorage.getItem(PLACE) ?? "{}") };

export const visitor = () => self;

/** Changes some of it, and tells the views. */
export function become(changes) {
  self = { ...self, ...changes };
  sessionStorage.setItem(PLACE, JSON.stringify(self));
  listeners.dispatchEvent(new Event("change"));
}

export const startOver = () => become(EVERYTHING);

/** Takes an item into one list, out of the other, or out of both if it is there already. */
export function act(itemId, list) {
  const without = (ids) => ids.filter((id) => id !== itemId);
  const back = self[list].includes(itemId);
  const lists = { history: without(self.history), dislikes: without(self.dislikes) };
  if (!back) lists[list] = [...lists[list], itemId];
  become(lists);
}

/** The request that asks what to show to this shopper; dials at zero are left out. */
export function request(k) {
  const { history, dislikes, taste, diversity, explore } = self;
  return {
    k,
    ...(history.length && { history }), ...(dislikes.length && { dislikes }),
    ...(taste.trim() && { taste }), ...(diversity && { diversity }), ...(explore && { explore }),
  };
}

/** Calls `work` at every change until `signal` aborts. */
export function onChange(work, signal) {
  listeners.addEventListener("change", work, { signal });
}
