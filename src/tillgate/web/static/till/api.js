// The gateway's own API, as this page calls it: the session's cookie, its CSRF token, one origin.

export class NoAnswer extends Error {}
export class SignedOut extends Error {}

const csrf = document.querySelector('meta[name="csrf"]').content;

// Milliseconds that the gateway's clock is ahead of this one, learnt from the freshest answer.
let ahead = 0;
export const now = () => Date.now() + ahead;

// Resolves to {status, body} for every answer there is; rejects with NoAnswer where nobody knows
// what became of the request.
export async function call(method, path, { body, headers = {}, signal } = {}) {
  const sent = { Accept: "application/json", "X-CSRF-Token": csrf, ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let answer, told;
  try {
    answer = await fetch(path, {
      method,
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      credentials: "same-origin",
      cache: "no-store",
    });
    told = answer.status === 204 ? null : await answer.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new NoAnswer(String(error));
  }
  const date = Date.parse(answer.headers.get("Date") ?? "");
  // A Date is cut to the second; half of it is the best guess.
  if (Math.abs(date + 500 - now()) > 1500) ahead = date + 500 - Date.now();
  if (answer.status === 401) throw new SignedOut();
  return { status: answer.status, body: told };
}

export const wait = (seconds) => ({ Prefer: `wait=${seconds}` });

// One answer or a sentence: for what a person asks for by hand and may ask for again.
export async function ask(method, path, options) {
  const answer = await call(method, path, options);
  if (answer.status >= 400) throw new Error(answer.body.detail);
  return answer.body;
}
