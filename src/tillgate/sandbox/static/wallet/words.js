// What a customer reads of a payment.

import { money } from "./money.js";

/** Its state as a word and a class of `.state`. */
export function stateOf(payment) {
  const back = payment.refunds.reduce((sum, refund) => sum + refund.amount.value, 0);
  switch (payment.status) {
    case "in_process":
      return ["Waiting for you", "waiting"];
    case "succeeded":
      if (!back) return ["Paid", "paid"];
      return [back < payment.amount.value ? "Partly refunded" : "Refunded", "back"];
    case "failed":
      return ["Not paid", "unpaid"];
    default:
      if (payment.is_cancelled) return [payment.paid_at ? "Cancelled, money back" : "Cancelled", "ended"];
      return ["Expired", "ended"];
  }
}

/** Who asks. */
export function merchantOf(payment) {
  return payment.merchant_name ?? "A shop";
}

/** What the customer pays, in their wallet's currency where it is known. */
export function ownAmount(payment) {
  return money(payment.pay_to_amount ?? payment.amount);
}

/** What the shop asks, where that is another currency; else nothing. */
export function askedAmount(payment) {
  const own = payment.pay_to_amount;
  return own && own.currency !== payment.amount.currency ? money(payment.amount) : "";
}

/** The time of day, with the day where it is not today's. */
export function timeOf(text, now) {
  const at = new Date(text);
  const time = at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return at.toDateString() === new Date(now).toDateString() ? time : `${at.toLocaleDateString("en-GB")} ${time}`;
}
