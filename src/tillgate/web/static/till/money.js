// Amounts are whole numbers of minor units; how many digits stand behind the point is the
// currency's own and comes with the page.

const THIN = "\u2009";
// One symbol for one currency; where several share it the code stands beside it.
const SYMBOLS = {
  JPY: "¥", KRW: "₩", THB: "฿", PHP: "₱", VND: "₫", EUR: "€", GBP: "£",
  USD: "US$", HKD: "HK$", SGD: "S$", TWD: "NT$", AUD: "A$", MOP: "MOP$", CNY: "CN¥", MYR: "RM", IDR: "Rp",
};

export class Money {
  constructor(exponents) {
    this.exponents = exponents;
  }

  digits(currency) {
    return this.exponents[currency] ?? 2;
  }

  // ¥12 300, US$ 8.50
  text({ currency, value }) {
    const places = this.digits(currency);
    const all = String(value).padStart(places + 1, "0");
    const whole = places ? all.slice(0, -places) : all;
    const grouped = whole.replace(/\B(?=(\d{3})+$)/g, THIN);
    const number = places ? `${grouped}.${all.slice(-places)}` : grouped;
    const symbol = SYMBOLS[currency] ?? currency;
    return symbol.length === 1 ? symbol + number : `${symbol}\u00a0${number}`;
  }

  // "8.5" -> 850 for two places; null for what is no such amount.
  read(text, currency) {
    const places = this.digits(currency);
    const found = /^(\d{1,12})(?:[.,](\d+))?$/.exec(text.trim().replace(/[\s\u2009\u00a0]/g, ""));
    if (!found || (found[2] ?? "").length > places) return null;
    return Number(found[1] + (found[2] ?? "").padEnd(places, "0"));
  }
}
