// Looks at the sandbox once a second while somebody looks at the page, and less often while nobody
// answers.

import { ask } from "./ask.js";

const EVERY_MS = 1000;
const EVERY_AWAY_MS_MAX = 8000;

/** Calls `told(view)` with each answer and `away()` where none came; gives a way to wait for a fresh one. */
export function follow(path, told, away) {
  let timer = null;
  let failures = 0;
  let looking = null;

  async function look() {
    clearTimeout(timer);
    let view = null;
    try {
      view = await ask("GET", path);
      failures = 0;
    } catch {
      failures += 1;
    }
    looking = null;
    if (!document.hidden) {
      const wait = failures ? Math.min(EVERY_AWAY_MS_MAX, EVERY_MS * 2 ** (failures - 1)) : EVERY_MS;
      timer = setTimeout(now, wait);
    }
    if (view) told(view);
    else away();
  }

  function now() {
    looking ??= look();
    return looking;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : now()));
  addEventListener("online", now);
  addEventListener("pageshow", (event) => event.persisted && now());
  now();
  return async function fresh() {
    await looking; // what is under way may have been answered before
    await now();
  };
}
