// The till: one thing at a time. Everything that happens to the money is the gateway's; this page
// asks, waits and tells.

import { ask, now } from "./api.js";
import { Money } from "./money.js";
import { Receipt, Today } from "./receipt.js";
import { Sale, isOver } from "./sale.js";
import { Wedge } from "./scanner.js";
import { brandOf, screenOf } from "./screen.js";
import { beep, switchedBy } from "./sound.js";

const facts = JSON.parse(document.getElementById("facts").textContent);
const money = new Money(facts.exponents);
const $ = (id) => document.getElementById(id);
const say = (key, values = {}) =>
  (facts.words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const clockOf = (at, seconds = true) =>
  new Intl.DateTimeFormat(facts.lang, {
    hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined, hourCycle: "h23",
  }).format(at);

let sale = null;
let value = 0; // minor units typed so far
let shown = ""; // which screen the reader was last told of
const VALUE_MAX = 10 ** 11;

const currency = () => $("currency").value;
const place = () => {
  const { of, ids } = facts.places[Number($("place")?.value ?? 0)];
  return { merchant_id: of, ...ids };
};

// --- Ready

function showSum() {
  $("sum").textContent = money.text({ currency: currency(), value });
  $("charge").textContent = say("pay", { amount: $("sum").textContent });
}

function press(key) {
  hint("");
  if (key === "<") value = Math.floor(value / 10);
  else for (const digit of key) if (value < VALUE_MAX / 10) value = value * 10 + Number(digit);
  showSum();
}

function hint(text) {
  $("hint").textContent = text;
  $("hint").classList.toggle("shown", Boolean(text));
}

const isReady = () => sale === null;
const mayScanAgain = () => sale && screenOf(sale).action === "scan_again";

function openCode() {
  if (!value && isReady()) {
    hint(say("amount_first"));
    return beep("no");
  }
  $("digits").value = "";
  $("kind").textContent = say("code_help");
  $("charge").disabled = true;
  $("code").showModal();
  $("digits").focus();
}

// A whole code, from wherever. Refused while a payment runs: never queued.
function scanned(text) {
  if (!isReady() && !mayScanAgain()) {
    const isDone = sale && screenOf(sale).name === "paid";
    hint(say(isDone ? "amount_first" : "busy"));
    return beep("no");
  }
  if ($("slip").open || $("today").open) return beep("no");
  if (isReady() && !value) {
    hint(say("amount_first"));
    return beep("no");
  }
  stopCamera();
  if ($("code").open) $("code").close();
  hint("");
  if (isReady())
    follow(Sale.begin({ currency: currency(), value }, $("note").value.trim(), place(), render));
  sale.charge(text);
}

function follow(next) {
  sale = next;
  sale.save();
  location.hash !== `#${sale.record.order}` && history.pushState(null, "", `#${sale.record.order}`);
  claim(sale.record.order);
  render();
}

function reset() {
  sale?.ended.abort();
  if (sale?.refusal?.code !== "not_there") sale?.forget();
  sale = null;
  value = 0;
  $("note").value = "";
  history.pushState(null, "", "/till");
  showSum();
  render();
  $("scan").focus();
}

// --- The state of a sale

function render() {
  const screen = sale ? screenOf(sale) : { name: "ready", tone: "" };
  document.body.dataset.screen = screen.name;
  document.body.dataset.tone = screen.tone;
  document.querySelector(".ready").hidden = screen.name !== "ready";
  document.querySelector(".stage").hidden = screen.name === "ready";
  if (screen.name === "ready") {
    shown = "ready";
    return;
  }
  const { payment, record } = sale;
  const amount = payment?.amount ?? record.amount;
  $("state-amount").textContent = amount ? money.text(amount) : "";
  put($("title"), say(screen.title));
  put($("why"), screen.sentence ?? (screen.name === "paid" ? paidWith(payment) : say(screen.why ?? "")));
  put($("help-number"), screen.name === "help" ? payment.id : "");
  const action = { scan_again: "scan_again", other_method: "other_method", next: "next", sign_in: "sign_in" }[screen.action];
  $("action").hidden = !action;
  if (action) put($("action"), say(action));
  $("cancel").hidden = screen.action !== "cancel" || record.cancel;
  $("receipt").hidden = !payment || !["paid", "help"].includes(screen.name);
  $("next").hidden = !["scan_again"].includes(screen.action);
  details(payment, screen);
  tick();
  const key = `${record.order} ${screen.name} ${record.key}`;
  if (key === shown) return;
  shown = key;
  $("title").focus({ preventScroll: true });
  if (screen.name === "paid") beep("yes");
  else if (["unpaid", "help", "unknown"].includes(screen.name)) beep("no");
}

// A live region is read out when its text is set, changed or not.
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const paidWith = (payment) =>
  say("paid_with", { wallet: brandOf(payment), time: clockOf(new Date(payment.paid_at ?? payment.changed_at)) });

function details(payment, screen) {
  const rows = payment
    ? [[say("number"), payment.id], [say("order"), payment.merchant_order_id], [say("code"), payment.code],
       ["", payment.result ? `${payment.result.code} ${payment.result.message ?? ""}` : ""]]
    : sale.refusal ? [[say("order"), sale.record.order], ["", `${sale.refusal.code} ${sale.refusal.detail}`]] : [];
  $("details").hidden = screen.name === "paid" || !rows.length;
  list($("details").querySelector("dl"), rows);
}

function list(dl, rows) {
  dl.replaceChildren(
    ...rows.filter(([, text]) => text).flatMap(([name, text]) => {
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      [dt.textContent, dd.textContent] = [name, text];
      return [dt, dd];
    }),
  );
}

function act() {
  const { action } = screenOf(sale);
  if (action === "scan_again") openCode();
  else if (action === "sign_in") location.assign("/sign-in?next=/till");
  else reset();
}

function tick() {
  put($("clock"), clockOf(now(), false));
  const payment = sale?.payment;
  const left = payment && !isOver(payment) && payment.status === "PENDING" ? secondsLeft(payment) : null;
  put($("left"), left === null ? "" : say("seconds_left", { seconds: left }));
}

// Never more than there were: the gateway's clock is known to the second only.
function secondsLeft({ created_at, expires_at }) {
  const [ends, whole] = [Date.parse(expires_at), Date.parse(expires_at) - Date.parse(created_at)];
  return Math.ceil(Math.max(0, Math.min(whole, ends - now())) / 1000);
}

// --- The code, by hand or by camera

let asked = 0;
async function recognise() {
  const digits = $("digits").value.replace(/\s/g, "");
  $("charge").disabled = digits.length < 8;
  const mine = ++asked;
  if (digits.length < 16) return put($("kind"), say("code_help"));
  try {
    const told = await ask("POST", "/v1/codes/identify", { body: { code: digits } });
    if (mine === asked) put($("kind"), kindOf(told));
  } catch {
    if (mine === asked) put($("kind"), "");
  }
}

function kindOf(told) {
  if (told.route) return say(told.issuer ? "identified" : "identified_kind", { wallet: told.issuer, route: routeOf(told.route) });
  if (told.other) return say("not_identified", { what: told.other });
  return told.kind ? say("why_no_route") : say("not_identified_plain");
}

const ROUTES = { alipay_plus: "Alipay+", alipay_cn: "Alipay", alipay_hk: "AlipayHK", kakaopay: "KakaoPay" };
const routeOf = (name) => ROUTES[name] ?? name;

let camera = null;
async function startCamera() {
  stopCamera();
  camera = new AbortController();
  const { signal } = camera;
  try {
    const { scan } = await import(facts.camera);
    $("camera-view").hidden = false;
    const text = await scan($("camera-view"), signal);
    if (!signal.aborted) scanned(text);
  } catch (error) {
    if (!signal.aborted) put($("kind"), say("camera_none", { reason: error.message }));
  } finally {
    stopCamera();
  }
}

function stopCamera() {
  camera?.abort();
  camera = null;
  $("camera-view").hidden = true;
}

// --- Several tabs, reloads and the back button

// A tab holds a lock on its sale, so that another one does not offer it as forgotten.
function claim(order) {
  navigator.locks?.request(`sale ${order}`, { ifAvailable: true }, () => new Promise(() => {}));
}

async function resume() {
  const order = decodeURIComponent(location.hash.slice(1));
  if (sale?.record.order === order) return;
  if (!order) {
    if (sale && !isDone(sale)) return history.replaceState(null, "", `#${sale.record.order}`);
    sale?.forget();
    sale = null;
    render();
    return offer();
  }
  sale?.ended.abort();
  sale = Sale.kept(order, facts.places, render) ?? new Sale({ order, asked: true, at: now() }, render);
  claim(order);
  render();
  const mine = sale;
  await mine.find();
  if (mine.refusal?.code === "not_there" && sale === mine) reset();
}

const isDone = (each) => ["next", "scan_again", "other_method"].includes(screenOf(each).action);

async function offer() {
  const held = new Set(((await navigator.locks?.query())?.held ?? []).map((each) => each.name));
  const lost = Sale.unfinished(facts.places).filter((each) => !held.has(`sale ${each.order}`))[0];
  $("unfinished").hidden = !lost || !isReady();
  if (!lost) return;
  const words = { amount: money.text(lost.amount), time: clockOf(lost.at, false) };
  $("unfinished").querySelector("span").textContent = say("unfinished", words);
  $("unfinished").querySelector("button").onclick = () => {
    $("unfinished").hidden = true;
    history.pushState(null, "", `#${lost.order}`);
    resume();
  };
}

// --- Together

const receipt = new Receipt({ $, say, money, list, clockOf, facts, brandOf });
const today = new Today({ $, say, money, clockOf, place, brandOf, open: (payment) => receipt.show(payment) });

document.querySelector(".keys").addEventListener("click", (event) => {
  const key = event.target.closest("[data-key]")?.dataset.key;
  if (key) press(key);
});
$("scan").onclick = openCode;
$("currency").onchange = showSum;
$("digits").oninput = recognise;
$("camera").onclick = startCamera;
$("code").addEventListener("close", () => {
  stopCamera();
  const digits = $("digits").value.replace(/\s/g, "");
  const isCharge = $("code").returnValue === "charge" && digits.length >= 8;
  $("digits").value = "";
  $("code").returnValue = "";
  if (isCharge) scanned(digits);
});
$("action").onclick = act;
$("cancel").onclick = () => sale.cancel();
$("next").onclick = reset;
$("receipt").onclick = () => receipt.show(sale.payment);
$("open-today").onclick = () => today.show();
switchedBy($("sound"));
$("language").onchange = () => {
  document.cookie = `tillgate_language=${$("language").value}; path=/till; max-age=31536000; samesite=strict`;
  location.reload();
};
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, select, textarea, dialog[open]");
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
  const isButton = event.target.closest("button, a, summary");
  if (isReady()) {
    if (/^\d$/.test(event.key)) press(event.key);
    else if (event.key === "Backspace") press("<");
    else if (event.key === "Enter" && !isButton) openCode();
  } else if (event.key === "Enter" && !isButton && !$("action").hidden) act();
  else if (event.key === "Escape" && !$("cancel").hidden) sale.cancel();
});
new Wedge({
  onScan: scanned,
  onKey: () => value,
  onUndo(was) {
    value = was;
    showSum();
  },
});
// In the demonstration the page around this one hands over what a phone beside it holds out.
if (facts.is_demo)
  addEventListener("message", ({ origin, data }) => {
    if (origin === location.origin && data?.tillgate === "code") scanned(String(data.code));
  });
addEventListener("popstate", resume);
addEventListener("offline", () => sale && sale.changed({ line: "down" }));
setInterval(tick, 500);

showSum();
tick();
resume();
document.body.dataset.is = "up";
