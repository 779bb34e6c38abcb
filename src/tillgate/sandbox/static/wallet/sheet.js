// The sheet that slides up while the network waits for the customer: Approve, Decline, or later.

import { ask, Away } from "./ask.js";
import { part, say } from "./dom.js";
import { askedAmount, merchantOf, ownAmount } from "./words.js";

const PIN_DIGITS_MIN = 4;
const LATER = "tillgate.wallet.later"; // which payments this tab decides later on

const sheet = part("sheet");
const screen = document.querySelector(".screen");
const pin = part("pin-typed");

let payment = null; // the one that is shown
let asked = []; // all that wait
let hasPin = false;
let isBusy = false;
let lookAgain = () => {};
let focusBefore = null;

/** Wires the sheet. `look` asks the sandbox anew. */
export function openSheets(look) {
  lookAgain = look;
  part("later").addEventListener("click", later);
  part("open").addEventListener("click", reopen);
  part("decline").addEventListener("click", () => decide("decline"));
  part("sheet-form").addEventListener("submit", (event) => {
    event.preventDefault();
    decide("confirm", hasPin ? { pin: pin.value } : {});
  });
  sheet.addEventListener("keydown", (event) => {
    if (event.key === "Escape") later();
    else if (hasPin && event.target !== pin && /^[0-9]$/.test(event.key)) press(event.key);
  });
  pin.addEventListener("input", () => {
    pin.value = pin.value.replace(/\D/g, "");
    enable();
  });
  for (const button of sheet.querySelectorAll("[data-digit]")) {
    button.addEventListener("click", () => press(button.dataset.digit));
  }
}

/** How long the customer has, by the sandbox's time in milliseconds. */
export function showTimeLeft(now) {
  if (!payment || now === null) return;
  const left = Math.max(0, Math.ceil((Date.parse(payment.expires_at) - now) / 1000));
  say(part("sheet-left"), `${left} s left to decide`);
}

/** What waits now, oldest first. */
export function showAsked(view) {
  asked = view.payments.filter((each) => each.status === "in_process").reverse();
  hasPin = view.customer.has_pin;
  const postponed = putOff();
  const next = asked.find((each) => !postponed.includes(each.payment_id)) ?? null;
  if (payment && !asked.some((each) => each.payment_id === payment.payment_id)) close();
  if (!payment && next) open(next);
  const waiting = asked.find((each) => each.payment_id !== payment?.payment_id);
  part("asked").hidden = !waiting;
  if (waiting) say(part("asked-what"), `${ownAmount(waiting)} to ${merchantOf(waiting)}`);
}

function open(which) {
  payment = which;
  say(part("sheet-title"), `Pay ${merchantOf(which)}?`);
  say(part("sheet-own"), ownAmount(which));
  const other = askedAmount(which);
  say(part("sheet-asked"), other && `for ${other}, as the shop asks`);
  say(part("sheet-order"), which.description);
  part("pin").hidden = !hasPin;
  tell("");
  busy(false);
  if (sheet.hidden) focusBefore = document.activeElement;
  sheet.hidden = false;
  screen.inert = true;
  // Whoever types in the tester's drawer goes on typing there.
  if (!focusBefore?.closest(".drawer")) (hasPin ? pin : sheet).focus();
}

function close() {
  const hadFocus = sheet.contains(document.activeElement);
  payment = null;
  pin.value = "";
  sheet.hidden = true;
  screen.inert = false;
  if (hadFocus) (focusBefore?.isConnected && focusBefore !== document.body ? focusBefore : part("digits")).focus();
}

function later() {
  if (!payment) return;
  sessionStorage.setItem(LATER, JSON.stringify([...putOff(), payment.payment_id].slice(-20)));
  close();
  lookAgain().then(() => !part("asked").hidden && part("open").focus());
}

function reopen() {
  const which = asked.find((each) => each.payment_id !== payment?.payment_id);
  if (!which) return;
  const rest = putOff().filter((each) => each !== which.payment_id);
  sessionStorage.setItem(LATER, JSON.stringify(rest));
  open(which);
  lookAgain();
}

function putOff() {
  try {
    return JSON.parse(sessionStorage.getItem(LATER)) ?? [];
  } catch {
    return [];
  }
}

async function decide(word, body) {
  if (isBusy || !payment) return;
  const which = payment;
  busy(true);
  tell("");
  try {
    await ask("POST", `/payments/${encodeURIComponent(which.payment_id)}/${word}`, body);
  } catch (error) {
    const words = error instanceof Away ? "No answer. Nobody knows whether it was heard: looking again." : error.message;
    if (payment === which) tell(words);
  }
  pin.value = "";
  await lookAgain();
  if (payment === which) {
    busy(false);
    if (hasPin) pin.focus();
  }
}

function press(key) {
  if (key === "clear") pin.value = "";
  else if (key === "back") pin.value = pin.value.slice(0, -1);
  else if (pin.value.length < pin.maxLength) pin.value += key;
  enable();
}

function tell(text) {
  const problem = part("sheet-problem");
  problem.hidden = !text;
  say(problem, text);
}

function busy(isIt) {
  isBusy = isIt;
  part("decline").disabled = isIt;
  say(part("approve"), isIt ? "One moment …" : "Approve");
  enable();
}

function enable() {
  part("approve").disabled = isBusy || (hasPin && pin.value.length < PIN_DIGITS_MIN);
}
