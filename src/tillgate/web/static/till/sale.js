// One sale: what is asked for, and what became of it. It is written down before anything is asked,
// under its order, which also stands in the page's address; never with the customer's code. So
// whatever happens to the page, the same order leads to the same payment, and the gateway takes
// one order's money once.

import { NoAnswer, SignedOut, call, now, wait } from "./api.js";

const PREFIX = "tillgate.sale.";
const FIRST_WAIT_S = 2; // then a payment has a number that can be cancelled
const WAIT_S = 3; // an answer is held until the end; what happens before that is seen so soon
const ARRIVES_MS = 8000; // a request on its way when the page was reloaded
const KEPT_MS = 24 * 3600 * 1000;

const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    addEventListener("online", () => (clearTimeout(timer), resolve()), { once: true, signal });
  });

export const isOver = (payment) => payment.final || payment.status === "UNRESOLVED";

function draw() {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  return Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join("");
}

const isOneOf = (places, { merchant_id, store_id, terminal_id } = {}) =>
  places.some(
    ({ of, ids }) =>
      of === merchant_id && ids.store_id === store_id && ids.terminal_id === terminal_id,
  );

export class Sale {
  // `record`: {order, amount, note, place, key, at, asked, cancel}. onChange() after each change.
  constructor(record, onChange) {
    this.record = record;
    this.payment = null;
    this.refusal = null; // the API's problem, where nothing was charged
    this.line = "up"; // "down" while nothing answers, "out" when signed out
    this.onChange = onChange;
    this.ended = new AbortController();
  }

  static begin(amount, note, place, onChange) {
    const at = now();
    const order = `T${new Date(at).toISOString().replace(/\D/g, "").slice(2, 14)}-${draw()}`;
    return new Sale({ order, amount, note, place, at, key: null, asked: false }, onChange);
  }

  static kept(order, places, onChange) {
    try {
      const record = JSON.parse(localStorage.getItem(PREFIX + order));
      const isOurs = record?.order === order && isOneOf(places, record.place);
      return isOurs ? new Sale(record, onChange) : null;
    } catch {
      return null;
    }
  }

  // Orders of this browser and these places whose end nobody saw, newest first; old ones are
  // forgotten. Another store's cashier could not see their payments, and would be told wrong.
  static unfinished(places) {
    const found = [];
    for (const name of Object.keys(localStorage).filter((each) => each.startsWith(PREFIX))) {
      let record = null;
      try {
        record = JSON.parse(localStorage.getItem(name));
      } catch {}
      if (!record || now() - record.at > KEPT_MS) localStorage.removeItem(name);
      else if (record.asked && isOneOf(places, record.place)) found.push(record);
    }
    return found.sort((a, b) => b.at - a.at);
  }

  save() {
    localStorage.setItem(PREFIX + this.record.order, JSON.stringify(this.record));
  }

  // Somebody saw the end of it.
  forget() {
    this.ended.abort();
    localStorage.removeItem(PREFIX + this.record.order);
  }

  changed(what) {
    Object.assign(this, what);
    if (!this.ended.signal.aborted) this.onChange();
  }

  // A scanned code: ask for the money. The same request goes out until it is answered.
  async charge(code) {
    this.record.key = `till-${draw()}${draw()}`;
    this.record.asked = true;
    this.record.cancel = false;
    this.save();
    this.changed({ payment: null, refusal: null, line: "up" });
    const { order, amount, note, place, key } = this.record;
    const { store_id, terminal_id } = place;
    const body = { code, order: { merchant_order_id: order, amount }, store_id, terminal_id };
    if (note) body.order.description = note;
    const options = { body, headers: { "Idempotency-Key": key, ...wait(FIRST_WAIT_S) } };
    await this.persist(async () => {
      const answer = await call("POST", "/v1/payments", { ...options, signal: this.ended.signal });
      if (answer.status < 300) return this.found(answer.body);
      const told = answer.body.code;
      if (told === "order_already_has_a_payment" && answer.body.payment)
        return this.found(answer.body.payment);
      if (answer.status < 500 && answer.status !== 429) return this.refuse(told, answer.body.detail);
      if (told === "network_down") return this.refuse(told, answer.body.detail);
      return false;
    });
    await this.follow();
  }

  // After a reload: the payment of this sale, if its request ever arrived.
  async find() {
    const by = this.record.key
      ? `idempotency_key=${encodeURIComponent(this.record.key)}`
      : `merchant_order_id=${encodeURIComponent(this.record.order)}`;
    const since = performance.now();
    await this.persist(async () => {
      const answer = await call("GET", `/v1/payments?limit=1&${by}`, { signal: this.ended.signal });
      if (answer.status >= 400) return false;
      const [payment] = answer.body.payments;
      if (payment) return this.found(payment);
      // Only who asked knows what there should be: without a record nothing is said of charges.
      if (!this.record.key) return this.refuse("not_there", "");
      if (performance.now() - since > ARRIVES_MS || !this.record.asked)
        return this.refuse("not_arrived", "");
      await pause(700, this.ended.signal);
      return this.ended.signal.aborted || null;
    });
    await this.follow();
  }

  async follow() {
    while (this.payment && !isOver(this.payment) && !this.ended.signal.aborted) {
      const path = `/v1/payments/${this.payment.id}`;
      await this.persist(async () => {
        const options = { headers: wait(WAIT_S), signal: this.ended.signal };
        const answer = await call("GET", path, options);
        return answer.status < 300 && this.found(answer.body);
      });
    }
  }

  // Until `attempt` says true: nothing else ends a sale that may have been paid. null tries again
  // at once, false after a while.
  async persist(attempt) {
    for (let tries = 0; !this.ended.signal.aborted; ) {
      let done = false;
      try {
        done = await attempt();
        if (done !== false) this.changed({ line: "up" });
      } catch (error) {
        if (this.ended.signal.aborted) return;
        if (error instanceof SignedOut) return this.changed({ line: "out" });
        if (!(error instanceof NoAnswer)) throw error;
        this.changed({ line: "down" });
      }
      if (done) return;
      if (done === false) await pause(Math.min(500 * 2 ** tries++, 5000), this.ended.signal);
    }
  }

  found(payment) {
    if (this.payment && payment.id === this.payment.id && payment.changed_at < this.payment.changed_at)
      return true; // an older answer that came late
    this.changed({ payment, refusal: null, line: "up" });
    if (this.record.cancel && !isOver(payment) && payment.status === "PENDING") this.cancel();
    return true;
  }

  refuse(code, detail) {
    this.record.asked = false;
    this.save();
    this.changed({ refusal: { code, detail } });
    return true;
  }

  // At any moment; before the payment has a number it is remembered and done as soon as it has one.
  async cancel() {
    this.record.cancel = true;
    this.save();
    this.changed({});
    if (!this.payment) return this.hurry();
    const path = `/v1/payments/${this.payment.id}/cancel`;
    await this.persist(async () => {
      const answer = await call("POST", path, { headers: wait(0), signal: this.ended.signal });
      if (answer.status < 300) return this.found(answer.body);
      return answer.status < 500 && answer.status !== 429; // it ended meanwhile: following tells
    });
  }

  // The held answer of the first request is not waited for.
  async hurry() {
    const by = `idempotency_key=${encodeURIComponent(this.record.key)}`;
    while (!this.payment && !this.refusal && !this.ended.signal.aborted && this.line === "up") {
      await pause(150, this.ended.signal);
      try {
        const answer = await call("GET", `/v1/payments?limit=1&${by}`, { signal: this.ended.signal });
        if (answer.status < 300 && answer.body.payments[0] && !this.payment)
          this.found(answer.body.payments[0]);
      } catch {
        return; // the first request goes on by itself
      }
    }
  }
}
