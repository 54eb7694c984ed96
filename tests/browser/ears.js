// Put into a page by a test: what the page hears is recorded, and handed to the test as it comes. turnlogDrop() loses the connection.
{
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...given) {
      super(...given);
      this.addEventListener("track", ({ track }) => record(new MediaStream([track])));
    }
    createDataChannel(...given) {
      const channel = super.createDataChannel(...given);
      window.turnlogDrop = () => channel.close();
      return channel;
    }
  };
  async function record(stream) {
    const recorder = new MediaRecorder(stream, { mimeType: "audio/webm;codecs=opus" });
    let handed = Promise.resolve();
    recorder.ondataavailable = ({ data }) => (handed = handed.then(() => hand(data)));
    recorder.start(100);
  }
  const name = Math.random().toString(36).slice(2); // of this document: each has a recording of its own
  async function hand(data) {
    const bytes = new Uint8Array(await data.arrayBuffer());
    await window.turnlogHeard(name, btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")));
  }
}
