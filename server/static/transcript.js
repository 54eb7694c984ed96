// What was said, made of the messages of a call. No DOM and no clock: `at` of receive() is ms since the call began.
//
// A line is interim while words of it may still come. It is final when the server has told the turn (turnlog.turn) or the
// outcome of the say (turnlog.say). A service that tells neither leaves it at the protocol's own last words.
// A server that takes a caller back tells the conversation anew, item by item; what it does not tell (times, what was not heard) is taken
// from the lines there were before.

export const CALLER = "caller";
export const DESK = "desk";

export class Transcript {
  lines = []; // in the order of their beginnings
  #byItem = new Map();
  #before = []; // lines of an earlier connection, until they are told again
  #watched;
  #keys = 0;

  // watched: the server tells turns and says.
  constructor(watched = true) {
    this.#watched = watched;
  }

  // The lines of an earlier page.
  recall(lines) {
    this.lines = lines;
    this.#keys = Math.max(0, ...lines.map((line) => line.key));
  }

  // Take one message of the server. Whether a line has changed.
  receive(message, at) {
    switch (message.type) {
      case "session.created":
        return this.#restart();
      case "conversation.item.added":
      case "conversation.item.done":
        return this.#item(message.item, at);
      case "input_audio_buffer.speech_started":
        return this.#change(message, CALLER, at, {});
      case "conversation.item.input_audio_transcription.delta":
        return this.#append(message, CALLER, at);
      case "conversation.item.input_audio_transcription.completed":
        return this.#change(message, CALLER, at, { text: message.transcript, final: !this.#watched });
      case "conversation.item.input_audio_transcription.failed":
        return this.#change(message, CALLER, at, { note: "not understood" });
      case "response.output_audio_transcript.delta":
      case "response.output_text.delta":
        return this.#append(message, DESK, at);
      case "output_audio_buffer.stopped":
        return this.#played(message.response_id, "");
      case "output_audio_buffer.cleared":
        return this.#played(message.response_id, "interrupted");
      case "turnlog.turn":
        return this.#turn(message, at);
      case "turnlog.say":
        return this.#say(message, at);
      default:
        return false;
    }
  }

  // --- the lines ---

  #line(id, side, at) {
    let line = this.#byItem.get(id);
    if (!line) {
      line = { key: ++this.#keys, item: id, side, at, text: "", heard: null, note: "", final: false, response: "" };
      this.#byItem.set(id, line);
      this.lines.push(line);
    }
    return line;
  }

  #change({ item_id: id }, side, at, changes) {
    const known = this.#byItem.get(id);
    if (known?.final) return false; // what was told of it stands
    Object.assign(known ?? this.#line(id, side, at), changes);
    return true;
  }

  #append(message, side, at) {
    const line = this.#line(message.item_id, side, at);
    if (line.final) return false;
    line.text += message.delta;
    line.response = message.response_id ?? "";
    return true;
  }

  #drop(unwanted) {
    for (const line of this.lines.filter(unwanted)) this.#byItem.delete(line.item);
    this.lines = this.lines.filter((line) => !unwanted(line));
  }

  // --- a conversation that is told anew ---

  #restart() {
    const lines = this.lines.filter((line) => line.final);
    if (lines.length) this.#before = lines;
    this.lines = [];
    this.#byItem.clear();
    return true;
  }

  #item(item, at) {
    const side = { user: CALLER, assistant: DESK }[item.role];
    const text = (item.content ?? []).map((part) => part.transcript ?? part.text ?? "").join("");
    if (item.type !== "message" || !side || !text || this.#byItem.get(item.id)?.text) return false;
    const line = this.#line(item.id, side, at);
    Object.assign(line, { text, final: item.status !== "in_progress" });
    const found = this.#before.findIndex((one) => one.side === side && (one.item === item.id || said(one) === text));
    if (found >= 0) Object.assign(line, this.#before.splice(found, 1)[0], { item: item.id });
    return true;
  }

  // --- what the server tells for good ---

  #turn(turn, at) {
    const line = this.#line(turn.item_id, CALLER, at);
    Object.assign(line, { text: turn.text, final: true, note: "" });
    const ended = this.lines.indexOf(line);
    this.#drop((one) => one.side === CALLER && !one.final && this.lines.indexOf(one) < ended); // came to nothing
    return true;
  }

  // A long say is spoken in several items; they become one line.
  #say(say, at) {
    const [first = say.say, ...others] = say.item_ids;
    const line = this.#line(first, DESK, at);
    this.#drop((one) => others.includes(one.item));
    for (const id of others) this.#byItem.set(id, line);
    const { status, heard_text: text, heard_ms: ms, generated_ms: ofMs } = say;
    Object.assign(line, { text: say.text, heard: { status, text, ms, ofMs }, final: true, note: "" });
    return true;
  }

  #played(response, note) {
    const lines = this.lines.filter((line) => line.response === response && !line.final);
    for (const line of lines) Object.assign(line, { final: true, note });
    return lines.length > 0;
  }
}

// The words of a line that were said, or heard.
export function said(line) {
  return line.heard ? line.heard.text : line.text;
}
