// Which of the screens a sale is on, in which words. Pure: what it says follows from what it is
// given, and from nothing else.

const WHY = {
  EXPIRED_CODE: "why_expired",
  INVALID_CODE: "why_code",
  ORDER_IS_CLOSED: "why_expired",
  USER_PAYMENT_VERIFICATION_FAILED: "why_not_confirmed",
  USER_BALANCE_NOT_ENOUGH: "why_balance",
  PAYMENT_AMOUNT_EXCEED_LIMIT: "why_limit",
  PAYMENT_COUNT_EXCEED_LIMIT: "why_limit",
  USER_AMOUNT_EXCEED_LIMIT: "why_limit",
  "ACQ.BUYER_BALANCE_NOT_ENOUGH": "why_balance",
  "ACQ.PAYMENT_AUTH_CODE_INVALID": "why_code",
};
const WHY_NEXT = {
  show_new_code: "why_expired",
  use_other_method: "why_declined",
  try_again: "why_again",
  call_support: "why_support",
};
const REFUSED = {
  not_arrived: "why_not_arrived",
  code_not_recognised: "why_no_code",
  no_route: "why_no_route",
  network_down: "why_again",
  order_already_has_a_payment: "why_order_taken",
};
const OTHER = ["use_other_method", "call_support"];

// {name, tone, title, why, action}: `action` is the one thing to do next.
export function screenOf({ payment, refusal, record, line }) {
  if (line === "out") return told("signed-out", "person", "signed_out", "signed_out_why", "sign_in");
  if (refusal?.code === "not_there") return told("waiting", "waiting", "sending", "sending_why", null);
  if (refusal) {
    const why = REFUSED[refusal.code];
    const action = refusal.code === "no_route" ? "other_method" : "scan_again";
    return { ...told("unpaid", "unpaid", "unpaid", why, action), sentence: why ? null : refusal.detail };
  }
  if (payment && (payment.final || payment.status === "UNRESOLVED")) return ended(payment, record);
  if (line === "down") return told("unknown", "waiting", "no_line", "no_line_why", "cancel");
  if (record.cancel || payment?.status === "CANCELLING")
    return told("cancelling", "waiting", "cancelling", "cancelling_why", null);
  if (!payment) return told("waiting", "waiting", "sending", "sending_why", "cancel");
  if (payment.next_step === "wait_do_not_charge_again")
    return told("unknown", "waiting", "unknown", "unknown_why", "cancel");
  return told("waiting", "waiting", "waiting", "waiting_why", "cancel");
}

function ended(payment, record) {
  if (payment.status === "SUCCEEDED") return told("paid", "paid", "paid", null, "next");
  if (payment.status === "UNRESOLVED") return told("help", "person", "help", "help_why", "next");
  const isBack = payment.status === "CANCELLED" || payment.status === "CANCELLING";
  if (isBack && (record.cancel || payment.next_step === "none"))
    return told("cancelled", "unpaid", "cancelled", "cancelled_why", "next");
  if (payment.status === "CANCELLED" && payment.next_step === "show_new_code")
    return told("unpaid", "unpaid", "unpaid", "why_not_confirmed", "scan_again");
  const why = WHY[payment.result?.code] ?? WHY_NEXT[payment.next_step] ?? "why_not_confirmed";
  const action = OTHER.includes(payment.next_step) ? "other_method" : "scan_again";
  return told("unpaid", "unpaid", "unpaid", why, action);
}

const told = (name, tone, title, why, action) => ({ name, tone, title, why, action });

// One word of a list.
export function stateOf(payment) {
  const words = {
    PENDING: ["waiting", "state_waiting"],
    SUCCEEDED: ["paid", "state_paid"],
    FAILED: ["unpaid", "state_unpaid"],
    CANCELLING: ["waiting", "state_cancelling"],
    CANCELLED: ["unpaid", "state_cancelled"],
    UNRESOLVED: ["person", "state_help"],
  };
  return words[payment.status] ?? ["person", "state_help"];
}

const BRANDS = {
  ALIPAY_CN: "Alipay", ALIPAY_HK: "AlipayHK", GCASH: "GCash", KAKAOPAY: "KakaoPay", TNG: "Touch 'n Go",
  TRUEMONEY: "TrueMoney", DANA: "DANA", BILLEASE: "BillEase", BOOST: "Boost", TOSS: "Toss Pay",
  NAVERPAY: "Naver Pay", HIPAY: "Hipay", MPAY: "MPay", OCBC: "OCBC", CHANGI_PAY: "Changi Pay",
};
export const brandOf = (payment) => BRANDS[payment.wallet] ?? payment.wallet ?? "";
