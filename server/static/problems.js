// What can go wrong, in words for the one who is talking.

// final: trying again would give the same. status: of the server's refusal, 0 where there was none.
export class Problem extends Error {
  constructor(words, { final = true, status = 0, code = "" } = {}) {
    super(words);
    this.final = final;
    this.status = status;
    this.code = code;
  }
}

const MICROPHONE = {
  NotAllowedError: "The microphone was denied. Allow it for this page in your browser's site settings, then connect again.",
  NotFoundError: "No microphone was found. Plug one in, then connect again.",
  NotReadableError: "The microphone cannot be read. Another program may be using it.",
  SecurityError: "This browser does not give the microphone to this page.",
};

export function fromMicrophone(error) {
  return new Problem(MICROPHONE[error.name] ?? `The microphone could not be opened: ${error.message}`);
}

// The server cannot be talked to, now; it may be possible again.
export function unreachable(words) {
  return new Problem(words, { final: false });
}

const REASONS = {
  completed: "the session is complete",
  caller_lost: "the connection was lost for too long",
  engine_stopped: "the server is stopping",
  handler_failed: "the session failed",
  provider_lost: "the speech service was lost",
  "taken over": "it goes on in another tab",
};

// Why the server ended a session.
export function reasonOf(reason) {
  return REASONS[reason] ?? `the session ended (${reason})`;
}

const STATUS = {
  401: "The server did not accept the key.",
  404: "The server has no such session.",
};

// A refusal of the server, with what its JSON body tells.
export async function fromResponse(response) {
  const { status } = response;
  const { code = "", message = "", hint = "" } = await errorOf(response);
  const said = [message && `${message[0].toUpperCase()}${message.slice(1)}.`, hint && `(${hint})`].filter(Boolean).join(" ");
  const words = [STATUS[status] ?? `The server refused (${status}).`, said].filter(Boolean).join(" ");
  return new Problem(words, { final: status < 500, status, code });
}

async function errorOf(response) {
  try {
    return (await response.json()).error ?? {};
  } catch {
    return {};
  }
}
