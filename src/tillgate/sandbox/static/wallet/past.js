// The list of payments and refunds, newest first.

import { make, part } from "./dom.js";
import { money } from "./money.js";
import { askedAmount, merchantOf, ownAmount, stateOf, timeOf } from "./words.js";

const FEW = 5;

let isWhole = false;
let before = "";

/** Shows them as they stand; untouched while nothing changed, so that nobody loses their place. */
export function showPast(view) {
  const now = JSON.stringify([view.payments, isWhole]);
  if (now === before) return;
  before = now;
  part("empty").hidden = view.payments.length > 0;
  const rows = isWhole ? view.payments : view.payments.slice(0, FEW);
  part("past").replaceChildren(...rows.map((payment) => row(payment, view.now)));
  const more = part("more");
  more.hidden = isWhole || view.payments.length <= FEW;
  more.textContent = `Show all ${view.payments.length}`;
  more.onclick = () => {
    isWhole = true;
    showPast(view);
    part("past").children[FEW].tabIndex = -1;
    part("past").children[FEW].focus();
  };
}

function row(payment, now) {
  const [word, kind] = stateOf(payment);
  const item = make(
    "li",
    "",
    make(
      "div",
      "row",
      make("span", "who", merchantOf(payment)),
      make("span", "amount right", ownAmount(payment)),
      make("span", "small soft", timeOf(payment.placed_at, now)),
      make("span", "small soft right", askedAmount(payment)),
      make("span", `small state ${kind}`, word),
    ),
  );
  if (kind === "unpaid") item.append(make("p", "small soft", payment.result_message));
  for (const refund of payment.refunds) {
    item.append(
      make(
        "div",
        "row refund",
        make("span", "small", `Refund, ${timeOf(refund.refunded_at, now)}`),
        make("span", "small amount right", `+${money(refund.pay_to_amount)}`),
      ),
    );
  }
  return item;
}
