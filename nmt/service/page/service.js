// Requests to the service. Addresses are relative, so that the page also works below a path of another server.
import { recall } from "./store.js";

/** The service cannot be reached: it is stopped, or the network is down. */
export class Away extends Error {}

/** The service refuses a request. */
export class Refused extends Error {
  constructor(status, message, seconds = 0) {
    super(message);
    this.status = status;
    this.seconds = seconds; // when to try again; 0 if that is no use
  }

  get needsKey() {
    return this.status === 403 || this.message.includes("API key");
  }

  /** The error as a sentence for people; the service's own sentences are written for programs. */
  get sentence() {
    if (this.needsKey) return this.status === 403 ? "This API key is not valid." : "This service needs an API key.";
    if (this.status === 429) return "The service is busy.";
    if (this.status === 413) return "This is too large for the service.";
    if (this.status >= 500) return "The service could not translate this.";
    const plain = this.message.replace(/^Invalid request: /, "").replace(/`([^`]*)`/g, "“$1”");
    return plain.charAt(0).toUpperCase() + plain.slice(1) + (/[.!?]$/.test(plain) ? "" : ".");
  }
}

/** The answer to a request, with `fields` as JSON if there are any. Raises as `send` does. */
export function ask(path, fields, signal) {
  if (!fields) return send(path, { signal });
  const body = JSON.stringify({ ...fields, api_key: recall("key") || undefined });
  return send(path, { method: "POST", headers: { "Content-Type": "application/json" }, body, signal });
}

/** The answer to a request. Raises Away or Refused, or an AbortError if its signal ended it. */
export async function send(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Away();
  }
  if (response.ok) return response;
  throw await refusal(response);
}

async function refusal(response) {
  try {
    const { error } = await response.json();
    return new Refused(response.status, String(error), Number(response.headers.get("Retry-After")));
  } catch {
    return new Away(); // a proxy answers for a service that is stopped
  }
}

/** The Server-Sent Events of an answer: pairs of a name and its data. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const complete = (rest + value).split("\n\n");
      rest = complete.pop();
      for (const event of complete) {
        const [, name, data] = /^event: (\w+)\ndata: (.*)$/s.exec(event);
        yield [name, JSON.parse(data)];
        if (name === "done") return;
      }
    }
  } catch (error) {
    throw error instanceof TypeError ? new Away() : error;
  } finally {
    reader.cancel().catch(() => {});
  }
  throw new Away(); // the answer broke off
}
