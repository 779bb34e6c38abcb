// The payment code: bars, QR, masked digits, a ring that empties over its minute, and its renewal. The
// code lives in this module only: never in the address, in storage, or in the page while masked.

import { ask, drawn, Refused } from "./ask.js";
import { part, say } from "./dom.js";

const LIFE_MS = 60_000;
const SHOWN_MS = 8_000;
const RETRY_MS = 2_000;

const box = part("code");
const pictures = [[part("bars"), "code128"], [part("qr"), "qr"]];
const digits = part("digits");

let shown = null; // {text, expiresAt}, by the sandbox's clock
let clock = () => null; // the sandbox's time now; null: not known yet
let renewing = false;
let retryAt = 0;
let maskTimer = null;
let isOpen = false; // whether the digits can be read
let customer = null;

/** Shows codes of this customer from now on. `now` gives the sandbox's time in milliseconds. */
export function showCodes(customerId, now) {
  customer = customerId;
  clock = now;
  digits.addEventListener("click", () => (isOpen ? mask() : reveal()));
  document.addEventListener("visibilitychange", () => (document.hidden ? mask() : tick()));
  setInterval(tick, 250);
  offerToHold();
}

// Beside a till, in a page of this machine that shows both (frame-ancestors lets in nobody else),
// the code is handed over as a scanner would read it.
function offerToHold() {
  const beside = parent === window ? undefined : location.ancestorOrigins?.[0];
  if (!beside) return;
  part("hold").hidden = false;
  part("hold").addEventListener("click", () => {
    if (shown) parent.postMessage({ tillgate: "code", code: shown.text }, beside);
  });
}

/** A fresh code now: this one was used, or the sandbox forgot it. */
export function renewCode() {
  shown = null;
  box.classList.add("spent");
  retryAt = 0;
  tick();
}

/** Whether a payment used the code that is shown: its masked form fits, and it came since. */
export function isUsedBy({ code, placed_at: placedAt }) {
  if (!shown || code.length !== shown.text.length) return false;
  if (Date.parse(placedAt) < shown.expiresAt - LIFE_MS) return false;
  return [...code].every((sign, i) => sign === "*" || sign === shown.text[i]);
}

function tick() {
  const now = clock();
  if (document.hidden || now === null) return;
  // The sandbox's time is known to within the way of an answer.
  const left = shown ? Math.min(LIFE_MS, Math.max(0, shown.expiresAt - now)) : 0;
  part("ring").style.strokeDashoffset = String(100 - (100 * left) / LIFE_MS);
  say(part("seconds"), shown && left ? String(Math.ceil(left / 1000)) : "");
  if (shown && !left) put(null);
  if (!shown && !renewing && performance.now() >= retryAt) renew();
}

async function renew() {
  renewing = true;
  try {
    const issued = await ask("POST", "/codes", { customer });
    const images = await Promise.all(pictures.map(([, symbology]) => drawn(issued.code, symbology))).catch(undrawn);
    put({ text: issued.code, expiresAt: Date.parse(issued.expires_at) }, images);
    say(part("renewal"), images ? "Auto-renewed" : "No pictures here: install tillgate[sandbox].");
  } catch (error) {
    retryAt = performance.now() + RETRY_MS;
    say(part("renewal"), error instanceof Refused ? error.message : "No code: the sandbox is away.");
  } finally {
    renewing = false;
  }
  tick();
}

function undrawn(error) {
  if (error.code === "not_installed") return null;
  throw error;
}

function put(code, images) {
  mask();
  shown = code;
  box.classList.toggle("spent", !code);
  digits.disabled = !code;
  pictures.forEach(([image], i) => {
    const before = image.src;
    if (code && images) image.src = images[i];
    image.hidden = !(code ? images : before);
    if (code && before.startsWith("blob:")) URL.revokeObjectURL(before);
  });
  mask();
}

function reveal() {
  if (!shown) return;
  write(shown.text, true);
  clearTimeout(maskTimer);
  maskTimer = setTimeout(mask, SHOWN_MS);
}

function mask() {
  clearTimeout(maskTimer);
  write("·".repeat(shown ? shown.text.length : 24), false);
}

function write(text, isReadable) {
  isOpen = isReadable;
  say(part("digits-shown"), text.replace(/(.{4})(?=.)/g, "$1 "));
  say(part("digits-do"), isOpen ? "Hide" : "Show");
  // Nobody wants to hear two dozen dots.
  if (isOpen) digits.removeAttribute("aria-label");
  else digits.setAttribute("aria-label", "Show the digits of the code");
}
