// Calls of the sandbox's testers' side.

const ANSWER_MS = 5000;

/** Nobody answered, or nobody who is a sandbox: what was asked may have been done. */
export class Away extends Error {}

/** The sandbox said no, and why. */
export class Refused extends Error {
  constructor(problem) {
    super(problem.detail ?? "The sandbox refused it.");
    this.code = problem.code;
  }
}

/** One call under /sandbox; gives the answer's JSON. */
export async function ask(method, path, body) {
  return (await answered(method, path, body)).json();
}

/** A code as a picture; gives an address for an <img>, to be revoked by whoever has it. */
export async function drawn(code, symbology) {
  const answer = await answered("POST", "/codes/image", { code, symbology });
  return URL.createObjectURL(await answer.blob());
}

async function answered(method, path, body) {
  let answer;
  try {
    answer = await fetch(`/sandbox${path}`, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      signal: AbortSignal.timeout(ANSWER_MS),
      cache: "no-store",
    });
  } catch (error) {
    throw new Away(error.message);
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => null);
  if (answer.status >= 500 && answer.status !== 501) throw new Away(`HTTP ${answer.status}`);
  throw new Refused(problem ?? {});
}
