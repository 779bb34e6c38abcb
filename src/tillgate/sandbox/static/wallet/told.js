// One line on the phone about what just happened to a payment: paid, not paid, refunded.

import { make, part } from "./dom.js";
import { money } from "./money.js";
import { merchantOf, ownAmount, stateOf } from "./words.js";

let known = null; // by payment: [status, how many refunds]; null: nothing was seen yet

/** Compares with what was seen before; of the first view nothing is news. */
export function tellNews(view) {
  const before = known;
  known = new Map(view.payments.map((each) => [each.payment_id, [each.status, each.refunds.length]]));
  if (!before) return;
  for (const payment of [...view.payments].reverse()) {
    const [status, refunds] = before.get(payment.payment_id) ?? ["", 0];
    if (payment.refunds.length > refunds) {
      const back = payment.refunds.at(-1).pay_to_amount;
      put("back", "Refunded", `${money(back)} from ${merchantOf(payment)}`);
    } else if (payment.status !== status && payment.status !== "in_process") {
      const [word, kind] = stateOf(payment);
      const why = kind === "unpaid" ? payment.result_message : "";
      put(kind, word, `${ownAmount(payment)} to ${merchantOf(payment)}. ${why}`);
    }
  }
}

/** The sandbox was started anew: what was known is gone. */
export function forgetNews() {
  known = null;
  part("told").replaceChildren();
}

function put(kind, word, text) {
  const line = part("told");
  line.className = `told ${kind}`;
  const close = make("button", "close", "✕");
  close.type = "button";
  close.setAttribute("aria-label", "Close this message");
  close.addEventListener("click", () => line.replaceChildren());
  line.replaceChildren(make("p", "", make("span", `state ${kind}`, word), " ", text), close);
}
