// Ticks off what a scanner read whole, and says of the rest what it did to it. Nothing is sent.

import { Wedge } from "./scanner.js";

const facts = JSON.parse(document.getElementById("facts").textContent);
const $ = (id) => document.getElementById(id);
const NAME = `tillgate.scanner.${facts.place}`;
const say = (key, values = {}) =>
  (facts.words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

let kept = { read: [], faults: {}, at: null };
try {
  kept = { ...kept, ...JSON.parse(localStorage.getItem(NAME)) };
} catch {}

// What became of a code on its way: {digits, key, values}; digits is null where none fits.
export function judge(text, codes) {
  if (codes.includes(text)) return { digits: text, key: null };
  const part = (digits, key, values) => ({ digits, key, values });
  for (const each of codes) {
    if (each.endsWith(text)) return part(each, "check_cut_front", { count: each.length - text.length });
    if (each.startsWith(text)) return part(each, "check_cut_end", { count: each.length - text.length });
    if (text.includes(each)) return part(each, "check_added", { text: text.replace(each, " … ") });
  }
  const places = (each) => [...each].map((sign, index) => index).filter((index) => each[index] !== text[index]);
  const near = codes
    .filter((each) => each.length === text.length)
    .map((each) => [each, places(each)])
    .sort((a, b) => a[1].length - b[1].length)[0];
  if (near && near[1].length <= 4) {
    const [at] = near[1];
    return part(near[0], "check_wrong", { place: at + 1, read: text[at], wanted: near[0][at] });
  }
  return part(null, "check_unknown", { count: text.length });
}

function scanned(text) {
  const { digits, key, values } = judge(text.trim(), facts.codes);
  if (key === null) {
    if (!kept.read.includes(digits)) kept.read.push(digits);
    delete kept.faults[digits];
  } else if (digits && !kept.read.includes(digits)) kept.faults[digits] = say(key, values);
  kept.at = new Date().toISOString();
  localStorage.setItem(NAME, JSON.stringify(kept));
  $("told").textContent = key === null ? say("check_read") : say(key, values);
  render();
  if (digits) document.querySelector(`[data-digits="${digits}"]`).scrollIntoView({ block: "nearest" });
}

function render() {
  for (const item of document.querySelectorAll("[data-digits]")) {
    const isRead = kept.read.includes(item.dataset.digits);
    const fault = kept.faults[item.dataset.digits] ?? "";
    const state = item.querySelector('[data-is="state"]');
    item.classList.toggle("read", isRead);
    state.className = `state ${isRead ? "paid" : fault ? "unpaid" : "waiting"}`;
    state.textContent = say(isRead ? "check_read" : "check_not_yet");
    item.querySelector('[data-is="fault"]').textContent = fault;
  }
  const [done, all] = [kept.read.length, facts.codes.length];
  $("progress").textContent = done === all ? say("check_done") : say("check_progress", { done, all });
  const date = kept.at ? new Date(kept.at).toLocaleString(facts.lang) : "";
  $("last").textContent = date ? `${facts.place} · ${say("check_last", { date })}` : facts.place;
}

$("print").onclick = () => print();
$("again").onclick = () => {
  kept = { read: [], faults: {}, at: null };
  localStorage.removeItem(NAME);
  $("told").textContent = "";
  render();
};
new Wedge({ onScan: scanned, onKey: () => null, onUndo() {} });
render();
document.body.dataset.is = "up";
