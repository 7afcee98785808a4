// The service: every request of the page goes through here, with the key if one is needed.

const KEY = "mmrec-key";

/** What the service, or the way to it, refused. */
export class Problem extends Error {
  constructor(status, { kind = "", message = "something went wrong", what_to_do: advice = "" } = {}) {
    super(message);
    Object.assign(this, { status, kind, advice });
  }
}

export const get = async (path, options) => (await send(path, options)).json();

export const post = async (path, body, options) => {
  const form = body instanceof FormData;
  return (await send(path, {
    ...options, method: "POST", body: form ? body : JSON.stringify(body),
    headers: form ? {} : { "Content-Type": "application/json" },
  })).json();
};

/** What a query string says of these, without those that say nothing. */
export const query = (given) =>
  new URLSearchParams(Object.entries(given).filter(([, value]) => value !== "" && value != null)).toString();

/** Puts a picture or sound of the service into its element; with a key, it must be fetched. */
export async function media(element, address) {
  if (!sessionStorage.getItem(KEY)) {
    element.src = address;
    return;
  }
  const blob = await (await send(address)).blob();
  element.addEventListener("load", () => URL.revokeObjectURL(element.src), { once: true }); // of pictures
  element.src = URL.createObjectURL(blob);
}

/** Waits until models and vectors are loaded; says meanwhile what it waits for. */
export async function ready(tell) {
  for (;;) {
    try {
      return await get("/health/ready");
    } catch (problem) {
      if (problem.kind !== "NotReady" || problem.message.includes("cannot")) throw problem;
      tell(problem);
      await new Promise((done) => setTimeout(done, 500));
    }
  }
}

async function send(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...options.headers, ...(key && { "X-API-Key": key }) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { message: "the service does not answer", what_to_do: "See whether it still runs." });
  }
  if (answer.ok) return answer;
  const problem = new Problem(answer.status, await described(answer));
  if (answer.status !== 401) throw problem;
  await ask(key);
  return send(path, options);
}

async function described(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return { message: `the service answered ${answer.status}` };
  }
}

let asking = null;

/** Asks for the key, once for all requests that wait for it; `refused` is the one that did not fit. */
function ask(refused) {
  if (refused !== sessionStorage.getItem(KEY)) return Promise.resolve(); // another was given meanwhile
  return asking ??= new Promise((given) => {
    const door = document.getElementById("door");
    const field = document.getElementById("key");
    if (refused) document.getElementById("door-why").textContent = "That key does not fit: give another one.";
    field.value = "";
    door.oncancel = (event) => event.preventDefault();
    door.onclose = () => {
      sessionStorage.setItem(KEY, field.value.trim());
      asking = null;
      given();
    };
    door.showModal();
  });
}
