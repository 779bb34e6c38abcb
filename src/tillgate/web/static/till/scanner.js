// A hardware scanner types like a keyboard, only faster than any hand: digits, then Enter. What it
// types must neither change the amount nor land in a field that happens to have the focus.

const QUICK_MS = 45; // a quick typist needs 60 and more; the slowest scanners 30
const TORN_MS = 500; // a busy machine hands keys on late, now and then; no hand types and scans so soon
const SURE = 4; // so many quick ones are no hand's
const SHORTEST = 8; // what is shorter is no code of any kind
const QUIET_MS = 550; // a scanner without an Enter has finished

export class Wedge {
  // onScan(text) is told what was scanned. The first keys of a scan cannot be told from a hand's
  // and do what those do: onKey() gives what onUndo(was) needs to take them back.
  constructor({ onScan, onKey, onUndo }) {
    Object.assign(this, { onScan, onKey, onUndo });
    this.reset();
    document.addEventListener("keydown", (event) => this.key(event), { capture: true });
  }

  reset() {
    clearTimeout(this.timer);
    this.keys = []; // {key, at, field, text, was}: as it was before each
    this.isScan = false;
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing) return;
    const since = event.timeStamp - (this.keys.at(-1)?.at ?? 0);
    if (since > TORN_MS) this.reset();
    if (event.key === "Enter" || event.key === "Tab") {
      if (!this.isScan) return this.reset();
      this.take(event);
      return this.finish();
    }
    if (event.key.length !== 1) return;
    const field = event.target instanceof HTMLInputElement ? event.target : null;
    const before = { field, text: field?.value, was: this.onKey() };
    this.keys.push({ key: event.key, at: event.timeStamp, ...before });
    if (!this.isScan && !this.isQuick()) return;
    if (!this.isScan) this.undo();
    this.isScan = true;
    this.take(event);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.finish(), QUIET_MS);
  }

  take(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  gap(index) {
    return this.keys[index].at - this.keys[index - 1].at;
  }

  // Half of the gaps are too short for a hand, whatever the machine did to the others.
  isQuick() {
    if (this.keys.length < SURE) return false;
    const gaps = this.keys.slice(1).map((_, index) => this.gap(index + 1));
    return gaps.sort((a, b) => a - b)[Math.floor(gaps.length / 2)] <= QUICK_MS;
  }

  undo() {
    const [{ field, text, was }] = this.keys;
    if (field) field.value = text;
    this.onUndo(was);
  }

  finish() {
    const text = this.keys.map((each) => each.key).join("");
    this.reset();
    if (text.length >= SHORTEST) this.onScan(text);
  }
}
