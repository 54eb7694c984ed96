// The page: what the buttons do, and what the user is told of the call.

import { Call, bearer } from "./call.js";
import { fromResponse, unreachable } from "./problems.js";
import { Transcript } from "./transcript.js";
import { View } from "./view.js";

const HELD = "turnlog.call"; // in sessionStorage: how a reload comes back to its session
const STATUS = {
  idle: "Not connected",
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  ended: "Ended",
};

const ACTIVITIES = {
  "output_audio_buffer.started": "speaking",
  "input_audio_buffer.speech_started": "hearing you",
  "input_audio_buffer.speech_stopped": "listening",
};
const SILENCE = new Set(["output_audio_buffer.stopped", "output_audio_buffer.cleared"]);

const at = (id) => document.getElementById(id);
const form = at("call");
const [target, key, connect, mute, hangUp, play] = ["target", "key", "connect", "mute", "hang-up", "play"].map(at);
const voice = at("voice");
const view = new View(at("said"), at("sounding"), at("empty"));

let iceServers = [];
let direct = new Set(); // targets whose provider holds the call itself: it knows nothing of turns and says
let call = null;
let transcript = new Transcript();
let began = 0; // ms since the epoch
let name = ""; // of who answers

// --- the user ---

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!call) begin(null);
});
key.addEventListener("change", () => !call && loadTargets());
mute.addEventListener("click", () => setMuted(!isMuted()));
hangUp.addEventListener("click", () => call?.hangUp());
play.addEventListener("click", () => playVoice());

// --- the call ---

async function begin(held) {
  const wanted = held?.target ?? target.value;
  const watch = !direct.has(wanted);
  transcript = new Transcript(watch);
  transcript.recall(held?.lines ?? []);
  began = held?.began ?? 0;
  name = wanted.split(".").pop();
  view.show(transcript.lines, name);
  show("connecting");
  hangUp.focus(); // its button was pressed and is gone
  problem("");
  const tell = { state: show, held: hold, message: receive, voice: hear, ended: end };
  call = new Call(tell, { key: key.value.trim(), iceServers, watch });
  setMuted(held?.muted ?? false);
  await (held ? call.resume(held) : call.start(wanted));
}

function receive(message) {
  began ||= Date.now();
  if (transcript.receive(message, Date.now() - began)) {
    view.show(transcript.lines, name);
    hold(stored());
  }
  const activity = ACTIVITIES[message.type];
  if (activity) act(activity);
  else if (SILENCE.has(message.type) && document.body.dataset.activity === "speaking") act("listening");
  if (message.type === "error") problem(`The server says: ${message.error?.message ?? "something is wrong"}`);
}

function hear(stream) {
  voice.srcObject = stream;
  playVoice();
}

async function playVoice() {
  try {
    await voice.play();
    play.hidden = true;
  } catch (error) {
    play.hidden = error.name !== "NotAllowedError"; // else another stream took its place
  }
}

function end(why, failed) {
  call = null;
  voice.srcObject = null;
  show("ended");
  if (why) at("status").textContent = `Ended: ${why}`;
  if (failed) problem(failed.message);
  if (failed?.status === 401) key.focus();
  else connect.focus({ preventScroll: true }); // the last lines stay in sight
}

// --- what is kept over a reload ---

function stored() {
  return JSON.parse(sessionStorage.getItem(HELD) ?? "null");
}

// kept: { session, token, target, muted }; what is kept already stays, null removes it.
function hold(kept) {
  const lines = transcript.lines.filter((line) => line.final);
  if (kept) sessionStorage.setItem(HELD, JSON.stringify({ ...stored(), muted: isMuted(), ...kept, began, lines }));
  else sessionStorage.removeItem(HELD);
}

// --- what is shown ---

function show(state) {
  const on = ["connecting", "connected", "reconnecting"].includes(state);
  document.body.dataset.state = state;
  at("status").textContent = STATUS[state];
  act(state === "connected" ? "listening" : "");
  form.hidden = on;
  at("controls").hidden = !on;
  connect.disabled = !target.options.length;
  if (!on) play.hidden = true;
}

function act(activity) {
  document.body.dataset.activity = activity;
  at("activity").textContent = activity && `– ${activity}`;
}

function isMuted() {
  return mute.getAttribute("aria-pressed") === "true";
}

function setMuted(muted) {
  mute.setAttribute("aria-pressed", String(muted));
  call?.mute(muted);
  if (stored()) hold({ muted });
}

function problem(words) {
  at("problem").textContent = words;
}

// --- at the beginning ---

async function loadTargets() {
  const wanted = new URLSearchParams(location.search).get("target");
  try {
    const response = await fetch("v1/turnlog/targets", { headers: bearer(key.value.trim()) }).catch(() => {
      throw unreachable("The server cannot be reached. Is it still running?");
    });
    if (!response.ok) throw await fromResponse(response);
    const told = await response.json();
    iceServers = told.ice_servers;
    direct = new Set(told.targets.filter((one) => one.direct).map((one) => one.target));
    target.replaceChildren(...told.targets.map((one) => new Option(one.target, one.target, false, one.target === wanted)));
    problem(told.targets.length ? "" : "This server has no sessions.");
  } catch (error) {
    target.replaceChildren();
    problem(error.status === 401 && !key.value ? "This server asks for a key: fill it in above." : error.message);
    if (error.status === 401) key.focus();
  }
  show("idle");
  target.disabled = !target.options.length;
}

await loadTargets();
const kept = stored();
if (kept) {
  target.value = kept.target;
  begin(kept);
}
