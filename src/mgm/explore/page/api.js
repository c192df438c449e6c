// Requests to the explorer. The token is in the page's address; the session belongs to this tab.

const TOKEN = new URLSearchParams(location.search).get("token") || "";
const KEPT = "mgm-explore-session";
let session = sessionStorage.getItem(KEPT) || "";

export class Refusal extends Error {
  constructor(message, reason, status) {
    super(message);
    this.reason = reason;
    this.status = status;
  }
}

export async function openSession() {
  session = (await send("session", {})).session;
  sessionStorage.setItem(KEPT, session);
}

// The answer to a question; a session that has ended is opened again, once.
export async function ask(route, body = {}, signal = undefined) {
  if (!session) await openSession();
  try {
    return await send(route, body, signal);
  } catch (error) {
    if (error.reason !== "session") throw error;
    await openSession();
    return send(route, body, signal);
  }
}

async function send(route, body, signal) {
  let answer;
  try {
    answer = await fetch(`api/${route}`, {
      method: "POST",
      headers: { authorization: `Bearer ${TOKEN}`, "x-session": session, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The explorer does not answer. Is it still running in its terminal?", "offline", 0);
  }
  const value = await answer.json().catch(() => ({ message: `The explorer answered ${answer.status}.` }));
  if (!answer.ok) throw new Refusal(value.message, value.reason, answer.status);
  return value;
}

// Send a file, and report the share that has arrived.
export async function upload(file, progress) {
  if (!session) await openSession();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `api/upload?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("authorization", `Bearer ${TOKEN}`);
    request.setRequestHeader("x-session", session);
    request.responseType = "json";
    request.upload.onprogress = (event) => progress(event.loaded / event.total);
    request.onload = () => {
      const value = request.response || {};
      if (request.status === 200) resolve(value);
      else reject(new Refusal(value.message || `The explorer answered ${request.status}.`, value.reason, request.status));
    };
    request.onerror = () => reject(new Refusal("The upload was refused or cut off.", "offline", 0));
    request.send(file);
  });
}

// Of calls that overtake each other only the last one counts: the one before is given up.
export function latest(work) {
  let running = null;
  return async (...values) => {
    running?.abort();
    const own = (running = new AbortController());
    try {
      return await work(own.signal, ...values);
    } catch (error) {
      if (error.name === "AbortError" || own.signal.aborted) return undefined;
      throw error;
    }
  };
}
