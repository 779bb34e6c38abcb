// What was paid: today's list, a payment's receipt, and giving money back.

import { NoAnswer, ask, call, now, wait } from "./api.js";
import { stateOf } from "./screen.js";

const draw = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (each) => each.toString(16).padStart(2, "0")).join("");

export class Receipt {
  constructor(parts) {
    Object.assign(this, parts);
    const { $ } = this;
    $("print").onclick = () => print();
    $("start-refund").onclick = () => this.startRefund();
    $("cancel-paid").onclick = () => this.cancel();
    $("refund").onsubmit = (event) => (event.preventDefault(), this.refund());
    $("refund-amount").oninput = () => this.check();
    $("slip").addEventListener("close", () => (this.payment = null));
  }

  show(payment) {
    this.key = null;
    this.$("refund").hidden = true;
    this.tell("");
    this.put(payment, []);
    if (!this.$("slip").open) this.$("slip").showModal();
    this.refresh();
  }

  tell(text) {
    this.$("slip-told").textContent = text;
  }

  async refresh() {
    const { payment } = this;
    try {
      const [now, { refunds }] = await Promise.all([
        ask("GET", `/v1/payments/${payment.id}`),
        ask("GET", `/v1/payments/${payment.id}/refunds?limit=100`),
      ]);
      if (this.payment?.id === payment.id) this.put(now, refunds);
    } catch {
      if (this.payment?.id === payment.id) this.tell(this.say("no_answer"));
    }
  }

  put(payment, refunds) {
    const { $, say, money } = this;
    this.payment = payment;
    const [tone, word] = stateOf(payment);
    $("slip-amount").textContent = money.text(payment.amount);
    $("slip-state").className = `state ${tone}`;
    $("slip-state").textContent = say(word);
    const at = new Date(payment.paid_at ?? payment.created_at);
    this.list($("slip-facts"), [
      [say("time"), `${at.toLocaleDateString(this.facts.lang)} ${this.clockOf(at)}`],
      [say("wallet"), this.brandOf(payment)],
      [say("number"), payment.id],
      [say("order"), payment.merchant_order_id],
      [say("network_number"), payment.payment_id],
      [say("code"), payment.code],
      [say("note"), payment.description],
      [say("store"), `${payment.store_id} / ${payment.terminal_id}`],
      [say("refunded"), payment.amount_refunded ? this.of(payment.amount_refunded) : ""],
    ]);
    $("slip-refunds").replaceChildren(...refunds.map((each) => this.line(each)));
    $("as-pdf").href = `/till/receipts/${payment.id}.pdf`;
    const isPaid = payment.status === "SUCCEEDED";
    $("start-refund").hidden = !isPaid || !this.facts.may_refund || this.rest() === 0;
    $("cancel-paid").hidden = !isPaid || payment.amount_reserved > 0;
    if (this.rest() === 0) $("refund").hidden = true;
  }

  line(refund) {
    const words = { PENDING: ["waiting", "refund_waiting"], SUCCEEDED: ["paid", "refund_done"], FAILED: ["unpaid", "refund_failed"] };
    const [tone, word] = words[refund.status] ?? ["person", "refund_unresolved"];
    const [item, state] = [document.createElement("li"), document.createElement("span")];
    state.className = `state ${tone}`;
    state.textContent = this.say(word);
    item.append(state, ` ${this.money.text(refund.amount)} ${this.clockOf(new Date(refund.created_at))} `, refund.id);
    return item;
  }

  of(value) {
    return this.money.text({ currency: this.payment.amount.currency, value });
  }

  rest() {
    return this.payment.amount.value - this.payment.amount_reserved;
  }

  startRefund() {
    const { $, say } = this;
    $("refund").hidden = false;
    $("refund").querySelector("label").textContent = say("refund_amount", { amount: this.of(this.rest()) });
    const places = this.money.digits(this.payment.amount.currency);
    $("refund-amount").value = (this.rest() / 10 ** places).toFixed(places);
    this.check();
    $("refund-amount").select();
    $("refund-amount").focus();
  }

  check() {
    const value = this.money.read(this.$("refund-amount").value, this.payment.amount.currency);
    const isGood = value !== null && value > 0 && value <= this.rest();
    this.$("refund-ask").disabled = !isGood;
    this.$("refund-ask").textContent = this.say("refund_confirm", { amount: isGood ? this.of(value) : "" });
    this.tell(isGood ? this.say("refund_sure", { amount: this.of(value) }) : this.say("refund_wrong", { amount: this.of(this.rest()) }));
    return isGood ? value : null;
  }

  // The same key until it is answered: an impatient finger gives nothing back twice.
  async refund() {
    const value = this.check();
    if (value === null) return;
    const { $ } = this;
    const asked = JSON.stringify([this.payment.id, value]);
    if (this.asked !== asked) [this.asked, this.key] = [asked, null];
    this.key ??= `till-refund-${draw()}`;
    const amount = { currency: this.payment.amount.currency, value };
    $("refund-ask").disabled = true;
    try {
      const path = `/v1/payments/${this.payment.id}/refunds`;
      const { status, body } = await call("POST", path, {
        body: { amount }, headers: { "Idempotency-Key": this.key, ...wait(10) },
      });
      if (status >= 500 || status === 429) throw new NoAnswer();
      this.asked = this.key = null;
      $("refund").hidden = status < 300;
      this.tell(status < 300 ? "" : this.say("refund_refused", { why: body.detail }));
      await this.refresh();
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      this.tell(this.say("no_answer"));
    } finally {
      $("refund-ask").disabled = false;
    }
  }

  async cancel() {
    const { $ } = this;
    $("cancel-paid").disabled = true;
    try {
      const path = `/v1/payments/${this.payment.id}/cancel`;
      const { status, body } = await call("POST", path, { headers: wait(10) });
      if (status < 300) this.tell("");
      else this.tell(this.say("cancel_refused", { why: body.detail }));
      await this.refresh();
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      this.tell(this.say("no_answer"));
    } finally {
      $("cancel-paid").disabled = false;
    }
  }
}

export class Today {
  constructor(parts) {
    Object.assign(this, parts);
    this.$("older").onclick = () => this.more();
  }

  async show() {
    this.cursor = null;
    this.rows = this.$("today").querySelector("tbody");
    this.rows.replaceChildren();
    this.$("today").showModal();
    await this.more();
  }

  async more() {
    const { $, say } = this;
    const start = new Date(now());
    start.setHours(0, 0, 0, 0);
    const query = new URLSearchParams({ limit: "50", created_from: start.toISOString() });
    if (this.place().store_id) query.set("store_id", this.place().store_id);
    if (this.cursor) query.set("cursor", this.cursor);
    let page;
    try {
      page = await ask("GET", `/v1/payments?${query}`);
    } catch {
      $("today-none").hidden = false;
      $("today-none").textContent = say("no_answer");
      return;
    }
    this.cursor = page.next_cursor;
    this.rows.append(...page.payments.map((each) => this.row(each)));
    $("today-none").textContent = say("today_none");
    $("today-none").hidden = this.rows.childElementCount > 0;
    $("older").hidden = !this.cursor;
  }

  row(payment) {
    const row = document.createElement("tr");
    const cell = (text, name = "") => {
      const made = row.insertCell();
      made.className = name;
      made.append(text);
    };
    const [tone, word] = stateOf(payment);
    const state = document.createElement("span");
    state.className = `state ${tone}`;
    state.textContent = this.say(word);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = this.say("receipt");
    button.setAttribute("aria-label", `${this.say("receipt")} ${this.money.text(payment.amount)} ${this.clockOf(new Date(payment.created_at))}`);
    button.onclick = () => this.open(payment);
    cell(this.clockOf(new Date(payment.created_at)));
    cell(this.money.text(payment.amount), "number");
    cell(this.brandOf(payment));
    cell(state);
    cell(button);
    return row;
  }
}
