// One call: the microphone, the peer connection and its data channel, and taking the session up again when they are lost.
//
// The connection may come and go; the session stays. A new connection to the same session is asked for with its id and its
// token. What the user must know goes to `tell`; words for people are made in problems.js, those for the log nowhere.

import { Problem, fromMicrophone, fromResponse, reasonOf, unreachable } from "./problems.js";

const CHANNEL = "oai-events";
const DROPPED_MS = 3000; // a connection may recover by itself for so long
const OPEN_MS = 15000; // from the answer to an open channel
const GATHER_MS = 1000; // for this side's addresses; more come to nothing on a local network
const HANG_UP_MS = 3000;
const GIVE_UP_MS = 30000; // the server waits for a lost caller about as long
const MICROPHONE = { audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true } };

export class Call {
  #tell;
  #options;
  #link = null; // the connection as it is now
  #microphone = null;
  #held = null; // { session, token, target }: how to come back
  #muted = false;
  #over = false;

  // tell: { state(name), held(session|null), message(object), voice(stream), ended(why, problem|null) };
  // options: { key, iceServers, watch: whether the server tells turns and says when it is asked }.
  constructor(tell, options) {
    this.#tell = tell;
    this.#options = options;
  }

  // A new session of `target`, or the one that is held. Never rejects: what fails is told as the call's end.
  async start(target) {
    await this.#begin(async () => {
      await this.#connect(new URLSearchParams({ model: target }), this.#options.key);
    });
  }

  async resume(held) {
    this.#held = held;
    await this.#begin(() => this.#reattach());
  }

  mute(muted) {
    this.#muted = muted;
    for (const track of this.#microphone?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  // The user ends the call. The connection stays until the server knows: one that breaks off is waited for.
  hangUp() {
    const link = this.#link;
    this.#link = null;
    this.#end("you hung up");
    if (!link?.call) return link?.close();
    const url = `v1/realtime/calls/${encodeURIComponent(link.call)}/hangup`;
    const headers = bearer(this.#held?.token ?? this.#options.key);
    fetch(url, { method: "POST", headers, keepalive: true, signal: AbortSignal.timeout(HANG_UP_MS) })
      .catch(() => {}) // the server has gone, or the call was over
      .finally(() => link.close());
  }

  async #begin(connect) {
    try {
      this.#microphone = await openMicrophone();
      if (this.#over) return stop(this.#microphone);
      this.mute(this.#muted);
      await connect();
    } catch (problem) {
      this.#fail(problem);
    }
  }

  async #connect(query, secret) {
    if (this.#over) return;
    this.#link?.close();
    const link = new Link(this.#microphone, this.#options.iceServers, {
      message: (message) => this.#receive(message),
      voice: (stream) => this.#tell.voice(stream),
      lost: () => this.#lost(link),
    });
    this.#link = link;
    const response = await link.open(query, secret);
    if (this.#over) return link.close();
    const session = response.headers.get("turnlog-session");
    const token = response.headers.get("turnlog-token") ?? this.#held?.token;
    if (session && token) this.#hold({ session, token, target: this.#held?.target ?? query.get("model") });
    if (this.#options.watch) link.send({ type: "turnlog.watch" });
    this.#tell.state("connected");
  }

  #receive(message) {
    if (this.#over) return;
    if (message.type === "turnlog.closed") return this.#end(reasonOf(message.reason));
    this.#tell.message(message);
  }

  async #lost(link) {
    if (this.#over || link !== this.#link) return; // this one was given up
    if (!this.#held) return this.#fail(unreachable("The connection was lost."));
    try {
      await this.#reattach();
    } catch (problem) {
      this.#fail(problem);
    }
  }

  // Try again, less and less often, until the server takes us, refuses us, or will have ended the session.
  async #reattach() {
    this.#tell.state("reconnecting");
    const { session, token } = this.#held;
    const until = Date.now() + GIVE_UP_MS;
    for (let pause = 250; ; pause = Math.min(2 * pause, 4000)) {
      try {
        return await this.#connect(new URLSearchParams({ session_id: session }), token);
      } catch (error) {
        const problem = asProblem(error);
        if (this.#over) return;
        if (problem.status === 404) return this.#end("the session is over");
        if (problem.status === 401) throw new Problem("The session cannot be taken up again: its token is no longer accepted.");
        if (problem.final || Date.now() + pause > until) throw problem;
      }
      await sleep(pause);
    }
  }

  #hold(held) {
    this.#held = held;
    this.#tell.held(held);
  }

  #fail(error) {
    this.#end("", asProblem(error));
  }

  #end(why, problem = null) {
    if (this.#over) return;
    this.#over = true;
    this.#link?.close();
    stop(this.#microphone);
    this.#tell.held(null);
    this.#tell.ended(why, problem);
  }
}

// One peer connection. Closed once; after that it tells nothing.
class Link {
  #tell;
  #peer;
  #channel;
  #dropped = 0;
  #closed = false;
  #request = new AbortController();
  call = ""; // its id, once the server has answered

  constructor(microphone, iceServers, tell) {
    this.#tell = tell;
    const peer = (this.#peer = new RTCPeerConnection({ iceServers }));
    for (const track of microphone.getAudioTracks()) peer.addTrack(track, microphone);
    peer.ontrack = ({ track }) => tell.voice(new MediaStream([track]));
    peer.oniceconnectionstatechange = () => this.#watch(peer.iceConnectionState);
    this.#channel = peer.createDataChannel(CHANNEL);
    this.#channel.onmessage = ({ data }) => !this.#closed && tell.message(JSON.parse(data));
  }

  // Resolves with the server's response when messages can be sent. Rejects with a Problem, and is closed then.
  async open(query, secret) {
    const late = setTimeout(() => this.#request.abort(), OPEN_MS);
    try {
      await this.#peer.setLocalDescription(await this.#peer.createOffer());
      await this.#gathered();
      const response = await this.#post(`v1/realtime/calls?${query}`, secret, this.#peer.localDescription.sdp);
      this.call = (response.headers.get("location") ?? "").split("/").pop();
      await this.#peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
      await this.#opened();
      this.#channel.onclose = () => this.#lost();
      return response;
    } catch (error) {
      this.close();
      throw asProblem(error);
    } finally {
      clearTimeout(late);
    }
  }

  send(message) {
    this.#channel.send(JSON.stringify(message));
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#dropped);
    this.#request.abort();
    this.#peer.close();
  }

  async #post(url, secret, sdp) {
    const headers = { "Content-Type": "application/sdp", ...bearer(secret) };
    let response;
    try {
      response = await fetch(url, { method: "POST", headers, body: sdp, signal: this.#request.signal });
    } catch {
      throw unreachable("The server cannot be reached. Is it still running?");
    }
    if (!response.ok) throw await fromResponse(response);
    return response;
  }

  #gathered() {
    const peer = this.#peer;
    return new Promise((resolve) => {
      const check = () => peer.iceGatheringState === "complete" && resolve();
      peer.addEventListener("icegatheringstatechange", check);
      setTimeout(resolve, GATHER_MS);
      check();
    });
  }

  #opened() {
    return new Promise((resolve, reject) => {
      const fail = () => reject(unreachable("The server answered, but no connection for sound came about. A firewall may block UDP."));
      if (this.#channel.readyState === "open") return resolve();
      this.#channel.onopen = () => resolve();
      this.#channel.onclose = fail;
      this.#request.signal.addEventListener("abort", fail);
    });
  }

  #watch(state) {
    clearTimeout(this.#dropped);
    if (state === "disconnected" || state === "failed") this.#dropped = setTimeout(() => this.#lost(), DROPPED_MS);
  }

  #lost() {
    if (this.#closed) return;
    this.close();
    this.#tell.lost();
  }
}

async function openMicrophone() {
  if (!navigator.mediaDevices) {
    throw new Problem("Browsers give the microphone only to pages of https:// and of this machine. Open this page that way.");
  }
  try {
    return await navigator.mediaDevices.getUserMedia(MICROPHONE);
  } catch (error) {
    throw fromMicrophone(error);
  }
}

function asProblem(error) {
  return error instanceof Problem ? error : new Problem(`Something unforeseen went wrong: ${error.message}`);
}

export function bearer(secret) {
  return secret ? { Authorization: `Bearer ${secret}` } : {};
}

function stop(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
