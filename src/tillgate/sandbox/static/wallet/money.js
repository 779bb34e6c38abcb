// Amounts as people read them: `₩12 300`, `US$ 8.50`, and `¥100 JPY` where two currencies share a
// sign. An amount is {currency, value, exponent}: minor units, and how many of its digits are decimals.

const SIGNS = {
  CNY: "¥", EUR: "€", GBP: "£", HKD: "HK$", IDR: "Rp", JPY: "¥", KRW: "₩", MOP: "MOP$", MYR: "RM",
  PHP: "₱", SGD: "S$", THB: "฿", TWD: "NT$", USD: "US$", VND: "₫",
};
const SHARED = new Set(["CNY", "JPY"]);
const THIN = "\u202f"; // a thin space at which no line breaks

/** The number alone, with thin spaces between groups. */
export function decimal({ value, exponent }, group = THIN) {
  const digits = String(Math.abs(value)).padStart(exponent + 1, "0");
  const whole = digits.slice(0, digits.length - exponent).replace(/\B(?=(\d{3})+$)/g, group);
  const rest = exponent ? `.${digits.slice(-exponent)}` : "";
  return (value < 0 ? "−" : "") + whole + rest;
}

/** The amount with its sign, and its code where the sign alone would not say which. */
export function money(amount) {
  const sign = SIGNS[amount.currency];
  if (!sign) return `${decimal(amount)}\u00a0${amount.currency}`;
  const said = /[A-Za-z$]$/.test(sign) && sign.length > 1 ? sign + THIN + decimal(amount) : sign + decimal(amount);
  return SHARED.has(amount.currency) ? `${said}\u00a0${amount.currency}` : said;
}

/** Minor units of what a person typed, "1 234.50"; null: it is no such amount. */
export function minorUnits(typed, exponent) {
  const text = typed.replace(/[\s\u202f,]/g, "");
  const form = exponent ? new RegExp(`^(\\d{1,15})(?:\\.(\\d{1,${exponent}}))?$`) : /^(\d{1,15})$/;
  const found = form.exec(text);
  if (!found) return null;
  return Number(found[1] + (found[2] ?? "").padEnd(exponent, "0"));
}
