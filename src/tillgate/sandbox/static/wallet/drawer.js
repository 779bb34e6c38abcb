// The tester's drawer: arms the next payment's fate, and changes the account.

import { ask, Away } from "./ask.js";
import { make, part, say } from "./dom.js";
import { decimal, minorUnits } from "./money.js";

const outcome = document.getElementById("outcome");
const fault = document.getElementById("fault");
const balance = document.getElementById("balance");
const status = document.getElementById("status");
const asks = document.getElementById("asks");

const edited = new Set(); // fields that the tester has changed and not yet set
let before = "";

/** Wires the drawer for one customer. `look` asks the sandbox anew. */
export function openDrawer(customer, look) {
  for (const select of [outcome, fault]) {
    select.addEventListener("change", () => what(select));
    what(select); // a reload keeps what was chosen
  }
  for (const field of [balance, status, asks]) {
    field.addEventListener("input", () => edited.add(field));
  }
  part("arm").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => arm(customer), look);
  });
  part("account").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => change(customer), look);
  });
  part("armed").addEventListener("click", (event) => {
    const id = event.target.dataset?.rule;
    if (id) attempt(() => clear(customer, id), look);
  });
}

/** What is armed, and the account as it stands; a field that a tester is changing is left alone. */
export function showDrawer(view) {
  const { customer, armed } = view;
  fill(balance, decimal(customer.balance, ""));
  fill(status, customer.status);
  asks.querySelector("[value=above]").hidden = !customer.confirm_above;
  fill(asks, customer.confirm_above === null ? "never" : customer.confirm_above ? "above" : "always");
  const now = JSON.stringify([armed, customer.play]);
  if (now === before) return;
  before = now;
  const rows = armed.map((rule) => row(rule.play ?? JSON.stringify(rule.do), reach(rule), rule.id));
  if (customer.play) rows.push(row(customer.play, "each payment of this customer", "play"));
  part("armed").replaceChildren(...rows);
  part("unarmed").hidden = rows.length > 0;
}

async function arm(customer) {
  const plays = [outcome.value, fault.value].filter(Boolean);
  if (!plays.length) return "Choose an end or a fault first.";
  await ask("POST", "/rules", plays.map((play) => ({ on: { customer }, play })));
  for (const select of [outcome, fault]) {
    select.value = "";
    what(select);
  }
  return "Armed for the next payment.";
}

async function change(customer) {
  const value = minorUnits(balance.value, Number(balance.dataset.exponent));
  const words = {};
  balance.setAttribute("aria-invalid", String(value === null));
  if (value === null) {
    balance.focus();
    return `This is no amount of ${balance.dataset.currency}.`;
  }
  if (edited.has(balance)) words.balance = value;
  if (edited.has(status)) words.status = status.value;
  if (edited.has(asks) && asks.value !== "above") words.confirm_above = asks.value === "always" ? 0 : null;
  if (!Object.keys(words).length) return "Nothing was changed.";
  await ask("PATCH", `/customers/${encodeURIComponent(customer)}`, words);
  edited.clear();
  return "Set.";
}

async function clear(customer, id) {
  if (id === "play") await ask("PATCH", `/customers/${encodeURIComponent(customer)}`, { play: null });
  else await ask("DELETE", `/rules/${encodeURIComponent(id)}`);
  outcome.focus();
  return "Cleared.";
}

async function attempt(act, look) {
  const told = part("tester-told");
  say(told, "");
  try {
    say(told, await act());
  } catch (error) {
    say(told, error instanceof Away ? "No answer: the sandbox is away." : error.message);
  }
  await look();
}

function row(name, words, id) {
  const button = make("button", "", "Clear");
  button.type = "button";
  button.dataset.rule = id;
  button.setAttribute("aria-label", `Clear ${name}`);
  return make("li", "", make("span", "", make("code", "", name), make("span", "small soft", ` ${words}`)), button);
}

function reach({ on = {}, times, seen_count: seen, skip }) {
  const left = times === null ? "every time" : `${times + skip - seen}×`;
  const whose = on.customer ? "" : on.wallet ? ", the whole wallet" : ", everybody";
  return `${on.api ? `${on.api}, ` : ""}${left}${whose}`;
}

function what(select) {
  say(document.getElementById(`${select.id}-what`), select.selectedOptions[0]?.dataset.what ?? "");
}

function fill(field, value) {
  if (!edited.has(field) && document.activeElement !== field && field.value !== value) field.value = value;
}
