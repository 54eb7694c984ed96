// Lines of the transcript as elements of the page. An element is made once a line and changed where it differs.

import { CALLER, said } from "./transcript.js";

const WHY = { interrupted: "interrupted", cancelled: "taken back", failed: "failed" };
const ABOUT_MS = 100;

export class View {
  #said;
  #sounding;
  #empty;
  #elements = new Map(); // by the key of the line

  // said: the list of final lines, which screen readers follow; sounding: of those that still change; empty: shown without any.
  constructor(said, sounding, empty) {
    this.#said = said;
    this.#sounding = sounding;
    this.#empty = empty;
  }

  // name: of the side that is not the user.
  show(lines, name) {
    const atEnd = this.#atEnd();
    this.#fill(this.#said, lines.filter((line) => line.final), name);
    this.#fill(this.#sounding, lines.filter((line) => !line.final), name);
    const keys = new Set(lines.map((line) => line.key));
    for (const [key, element] of this.#elements) {
      if (keys.has(key)) continue;
      element.remove();
      this.#elements.delete(key);
    }
    this.#empty.hidden = lines.length > 0;
    if (atEnd) window.scrollTo({ top: document.documentElement.scrollHeight });
  }

  #fill(list, lines, name) {
    lines.forEach((line, index) => {
      const element = this.#element(line, name);
      if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
    });
  }

  #element(line, name) {
    const parts = JSON.stringify([line.at, line.text, line.heard, line.note, line.final]);
    let element = this.#elements.get(line.key);
    if (!element) this.#elements.set(line.key, (element = document.createElement("li")));
    if (element.dataset.parts !== parts) fill(element, line, name);
    element.dataset.parts = parts;
    return element;
  }

  #atEnd() {
    return window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 80;
  }
}

function fill(element, line, name) {
  element.className = `line ${line.side}${line.final ? "" : " interim"}`;
  element.dataset.item = line.item;
  const who = make("span", "who", line.side === CALLER ? "You" : name);
  const words = make("p", "words");
  words.append(...wordsOf(line));
  element.replaceChildren(timeOf(line.at), who, words);
  const note = noteOf(line);
  if (note) element.append(make("p", "note", note));
}

function wordsOf(line) {
  const heard = said(line);
  const rest = line.heard && line.text.startsWith(heard) ? line.text.slice(heard.length) : "";
  const parts = [make("span", "heard", heard || (line.heard ? "" : "…"))];
  if (rest.trim()) parts.push(make("span", "unseen", " Not heard: "), make("s", "unheard", rest));
  return parts;
}

// What was heard, in seconds; of how many, where more had been made than was heard.
function noteOf({ heard, note }) {
  if (!heard) return note;
  const { status, ms, ofMs } = heard;
  const amount = ofMs - ms > ABOUT_MS ? `heard ${number(ms)} of ${seconds(ofMs)}` : `heard ${seconds(ms)}`;
  if (status === "played") return ms ? `heard ${seconds(ms)}` : "";
  return `${WHY[status] ?? status}: ${ms ? amount : "not heard"}`;
}

function number(ms) {
  return (ms / 1000).toFixed(1);
}

function seconds(ms) {
  return `${number(ms)} s`;
}

function timeOf(ms) {
  const element = make("time", "at", clock(ms));
  element.dateTime = `PT${number(ms)}S`;
  return element;
}

// mm:ss.s since the call began.
export function clock(ms) {
  const tenths = Math.floor(Math.max(0, ms) / 100);
  const [minutes, rest] = [Math.floor(tenths / 600), tenths % 600];
  return `${String(minutes).padStart(2, "0")}:${(rest / 10).toFixed(1).padStart(4, "0")}`;
}

function make(tag, name, text = "") {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}
