// A customer's phone. The sandbox knows everything; this page asks it once a second and shows that.

import { isUsedBy, renewCode, showCodes } from "./code.js";
import { part, say } from "./dom.js";
import { openDrawer, showDrawer } from "./drawer.js";
import { follow } from "./live.js";
import { money } from "./money.js";
import { showPast } from "./past.js";
import { openSheets, showAsked, showTimeLeft } from "./sheet.js";
import { forgetNews, tellNews } from "./told.js";

const customer = document.body.dataset.customer;
let run = null; // which run of the sandbox the page knows
let heard = null; // {now, at, isFrozen}: the sandbox's time, and the page's when it came

function sandboxTime() {
  if (!heard) return null;
  return heard.isFrozen ? heard.now : heard.now + performance.now() - heard.at;
}

function told(view) {
  if (run !== null && run !== view.run_id) {
    forgetNews();
    renewCode();
  }
  run = view.run_id;
  heard = { now: Date.parse(view.now), at: performance.now(), isFrozen: view.is_frozen };
  say(part("away"), "");
  say(part("balance"), money(view.customer.balance));
  if (view.payments.some(isUsedBy)) renewCode();
  tellNews(view);
  showAsked(view);
  showTimeLeft(heard.now);
  showPast(view);
  showDrawer(view);
}

function away() {
  say(part("away"), "Offline: the sandbox does not answer. Trying again.");
}

const wide = matchMedia("(min-width: 900px)");
function unfold() {
  for (const side of document.querySelectorAll("[data-opens-wide]")) side.open = wide.matches;
}
wide.addEventListener("change", unfold);
unfold();

showCodes(customer, sandboxTime);
const look = follow(`/customers/${encodeURIComponent(customer)}`, told, away);
openSheets(look);
openDrawer(customer, look);
setInterval(() => showTimeLeft(sandboxTime()), 500);
