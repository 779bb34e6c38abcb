// The console is the server's pages; this makes the first page of the list live, asks before
// anything is changed, and changes it through the operators' API.

const csrf = document.querySelector('meta[name="csrf"]').content;
const $ = (id) => document.getElementById(id);
const LIVE_MS = 2000;

// --- The list: live, never more than a page of it. A search for something rare looks through some
// payments at once; the rest is asked for piece by piece, until the page is full.

const live = $("live");
const pageSize = Number(live?.dataset.page);
let cursor = live?.dataset.older ?? "";

const idOf = (row) => row.querySelector("a").textContent;

// {rows, older}: rows of this list, from behind a payment perhaps; null: signed out.
async function rowsOf(before) {
  const address = new URL(location.href);
  address.searchParams.set("part", "rows");
  if (before) address.searchParams.set("cursor", before);
  const answer = await fetch(address, { cache: "no-store", redirect: "manual" });
  if (answer.type === "opaqueredirect") return location.reload(), null;
  if (!answer.ok) throw new Error(answer.status);
  const made = document.createElement("tbody");
  made.innerHTML = await answer.text(); // the server's own escaped markup
  return { rows: [...made.rows], older: answer.headers.get("Tillgate-Older") ?? "" };
}

async function renew() {
  if (document.hidden) return;
  try {
    const found = await rowsOf("");
    if (!found) return;
    if (live.dataset.empty) return found.rows.length && location.reload();
    show(found);
    live.textContent = "Live";
  } catch {
    live.textContent = "No answer from the gateway: this list is not live.";
  }
}

function show({ rows, older }) {
  const [body, known] = [$("rows"), new Map([...$("rows").rows].map((row) => [idOf(row), row]))];
  if (body.contains(document.activeElement)) return;
  for (const row of rows) if (!known.has(idOf(row))) row.className = "new";
  // Where it looked through some only, what was found further back stays.
  const last = older && rows.length < pageSize ? older : null;
  const kept = last ? [...body.rows].filter((row) => idOf(row) < last) : [];
  const all = [...rows, ...kept].slice(0, pageSize);
  const same = all.length === body.rows.length && all.every((row) => known.get(idOf(row))?.innerHTML === row.innerHTML);
  if (!same) body.replaceChildren(...all);
  if (all.length === pageSize) goesOn(idOf(all.at(-1)));
  else if (!last) goesOn("");
}

// Older ones follow there; "" where there are none.
function goesOn(before) {
  cursor = before;
  const address = new URL(location.href);
  address.searchParams.set("cursor", before);
  $("older").querySelector("a").href = address;
  $("older").hidden = !before;
}

async function lookFurther() {
  const body = $("rows");
  while (cursor && body.rows.length < pageSize) {
    const from = cursor;
    let found;
    try {
      found = await rowsOf(from);
    } catch {
      $("looked").textContent = "No answer from the gateway: this is not all.";
      return;
    }
    if (!found) return;
    if (cursor !== from) continue; // the live list moved meanwhile
    body.append(...found.rows.slice(0, pageSize - body.rows.length));
    goesOn(body.rows.length === pageSize ? idOf(body.rows[pageSize - 1]) : found.older);
    $("looked").textContent = cursor ? `Looking further back: ${timeOf(cursor)}` : "These are all.";
  }
  if (body.rows.length === pageSize) $("looked").textContent = "";
}

// A payment's id begins with its milliseconds, in Crockford's base 32.
function timeOf(id) {
  const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const at = [...id.slice(4, 14)].reduce((sum, each) => sum * 32 + digits.indexOf(each), 0);
  return new Date(at).toISOString().slice(0, 19).replace("T", " ");
}

if ($("looked")?.textContent) lookFurther();
if (live?.dataset.live) {
  const again = () => renew().finally(() => setTimeout(again, LIVE_MS));
  setTimeout(again, LIVE_MS);
}

// --- Health: the pictures, renewed whole

async function redraw() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/console/health?part=charts", { cache: "no-store", redirect: "manual" });
    if (answer.type === "opaqueredirect") return location.reload();
    if (!answer.ok) throw new Error(answer.status);
    $("charts").innerHTML = await answer.text(); // the server's own escaped markup
  } catch {
    $("live-charts").textContent = "No answer from the gateway: these pictures are old.";
  }
}
if ($("charts")) setInterval(redraw, 10_000);

// --- Acts: asked about, then done through the API, which writes them into the audit

export async function call(method, path, body, headers = {}) {
  const sent = { "X-CSRF-Token": csrf, Accept: "application/json", ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const data = body === undefined ? undefined : JSON.stringify(body);
  const answer = await fetch(path, { method, headers: sent, body: data, credentials: "same-origin" });
  if (answer.status === 401) location.reload();
  const told = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(told.detail);
  return told;
}

// Ask, with fields perhaps; `act(values)` is done on yes, and what it throws is said in the dialog.
export function sure({ title, what, yes, fields = [], act }) {
  const [dialog, form] = [$("sure"), $("sure").querySelector("form")];
  [$("sure-title").textContent, $("sure-what").textContent, $("sure-yes").textContent] = [title, what, yes];
  $("sure-told").hidden = true;
  $("sure-fields").replaceChildren(...fields.flatMap(fieldOf));
  form.onsubmit = async (event) => {
    if (event.submitter?.value !== "yes") return;
    event.preventDefault();
    $("sure-yes").disabled = true;
    try {
      const done = await act(Object.fromEntries(new FormData(form)));
      if (done !== false) location.reload();
    } catch (error) {
      $("sure-told").textContent = error.message;
      $("sure-told").hidden = false;
    } finally {
      $("sure-yes").disabled = false;
    }
  };
  dialog.showModal();
}

function fieldOf({ name, label, options, ...attributes }) {
  const [words, field] = [document.createElement("label"), document.createElement(options ? "select" : "input")];
  words.textContent = label;
  words.htmlFor = field.id = `sure-${name}`;
  field.name = name;
  field.required = name !== "label";
  for (const each of options ?? []) field.append(new Option(each, each));
  Object.assign(field, { autocomplete: "off", ...attributes });
  return [words, field];
}

const one = document.querySelector(".one");
const path = one && `/admin/v1/payments/${one.dataset.payment}`;
const why = { name: "why", label: "The evidence (stands in the timeline)", maxLength: 500 };
const drawn = () => crypto.randomUUID?.() ?? String(Math.random()).slice(2) + Date.now();

const ACTS = {
  cancel: () => ({
    title: "Cancel this payment?",
    what: "The customer gets everything back. This cannot be undone.",
    yes: "Cancel it",
    act: () => call("POST", `${path}/cancel`, undefined, { Prefer: "wait=10" }),
  }),
  refund: ({ rest }) => {
    const [key, places] = [`console-${drawn()}`, Number(one.dataset.places)];
    const most = (Number(rest) / 10 ** places).toFixed(places);
    const pattern = places ? `[0-9]{1,12}([.][0-9]{1,${places}})?` : "[0-9]{1,12}";
    return {
      title: "Refund this payment?",
      what: `The customer gets it back in the wallet. At most ${most} ${one.dataset.currency}.`,
      yes: "Refund",
      fields: [{ name: "amount", label: `Amount in ${one.dataset.currency}`, inputMode: "decimal", value: most, pattern }],
      act({ amount }) {
        const [whole, part = ""] = amount.split(".");
        const value = Number(whole + part.padEnd(places, "0"));
        const body = { amount: { currency: one.dataset.currency, value } };
        return call("POST", `${path}/refunds`, body, { "Idempotency-Key": key, Prefer: "wait=10" });
      },
    };
  },
  resolve: () => ({
    title: "What became of it?",
    what: "Say it only when you know it: tills and merchants are told what you say.",
    yes: "Say so",
    fields: [{ name: "status", label: "It is", options: ["SUCCEEDED", "FAILED", "CANCELLED"] }, why],
    act: (values) => call("POST", `${path}/resolve`, values),
  }),
  "resolve-refund": ({ refund, version }) => ({
    title: "What became of the refund?",
    what: "Say it only when you know it: a refund that FAILED may be asked for again.",
    yes: "Say so",
    fields: [{ name: "status", label: "It is", options: ["SUCCEEDED", "FAILED"] }, why],
    act: (values) => call("POST", `${path}/refunds/${refund}/resolve`, { ...values, version: Number(version) }),
  }),
};

// What a button says of itself: method, path, body, fields, and what of the answer is shown once.
function declared({ method, path, body, title, what, yes, fields, shows }) {
  const asked = JSON.parse(fields ?? "[]");
  return {
    title, what, yes,
    fields: asked.map(({ list, ...field }) => field),
    async act(values) {
      for (const { name, list } of asked) {
        if (list) values[name] = [values[name]];
        else if (values[name] === "") delete values[name];
      }
      const sent = body ? JSON.parse(body) : asked.length ? values : undefined;
      const told = await call(method, path, sent);
      if (!shows) return true;
      once(told[shows]);
      return false;
    },
  };
}

// A secret that nobody sees again: it stands in the dialog until that is closed.
function once(secret) {
  const [box, dialog] = [document.createElement("input"), $("sure")];
  [box.readOnly, box.value, box.className] = [true, secret, "mono"];
  box.setAttribute("aria-label", "Shown once");
  $("sure-what").textContent = "Shown this once. Copy it now.";
  $("sure-fields").replaceChildren(box);
  $("sure-yes").hidden = true;
  box.select();
  dialog.addEventListener("close", () => location.reload(), { once: true });
}

document.addEventListener("click", async ({ target }) => {
  const doer = target.closest("button[data-path]");
  if (doer) return sure(declared(doer.dataset));
  const button = target.closest("button[data-act], button[data-copy]");
  if (button?.dataset.act in ACTS) sure(ACTS[button.dataset.act](button.dataset));
  else if (button?.dataset.copy) {
    await navigator.clipboard?.writeText(button.dataset.copy);
    button.firstChild.textContent = "Copied";
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, select, textarea")) return;
  event.preventDefault();
  $("q").focus();
});
