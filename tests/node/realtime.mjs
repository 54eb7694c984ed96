// The npm client of OpenAI's Realtime API as a pipe: each line of stdin is sent, each line of stdout is an event that came.
// Arguments: the base URL and the model. The key is OPENAI_API_KEY, further authorities are NODE_EXTRA_CA_CERTS.

import { createInterface } from "node:readline";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const [baseURL, model] = process.argv.slice(2);
const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");

const realtime = new OpenAIRealtimeWS({ model }, new OpenAI({ baseURL, maxRetries: 0 }));
realtime.on("event", tell);
realtime.on("error", (error) => error.error ?? tell({ type: "client.failed", message: String(error) }));
realtime.socket.on("close", (code, reason) => {
  tell({ type: "client.closed", code, reason: String(reason) });
  process.exit(0);
});

for await (const line of createInterface({ input: process.stdin })) {
  realtime.send(JSON.parse(line));
}
realtime.close();
