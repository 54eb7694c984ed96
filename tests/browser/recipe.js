// A client of the Realtime API over WebRTC as the API's documentation has it done by hand: no library, and nothing of turnlog's.
// It knows an address and a key, and speaks by the data channel `oai-events`.
window.connect = async (url, key, body) => {
  const peer = new RTCPeerConnection();
  const player = document.createElement("audio");
  player.autoplay = true;
  peer.ontrack = (event) => (player.srcObject = event.streams[0]);
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  peer.addTrack(microphone.getTracks()[0]);
  const events = peer.createDataChannel("oai-events");
  window.received = [];
  events.addEventListener("message", (event) => window.received.push(JSON.parse(event.data)));
  window.send = (event) => events.send(JSON.stringify(event));
  const offer = await peer.createOffer();
  await peer.setLocalDescription(offer);
  let request = { body: offer.sdp, headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/sdp" } };
  if (body) {
    const form = new FormData();
    form.set("sdp", offer.sdp);
    form.set("session", JSON.stringify(body));
    request = { body: form, headers: { Authorization: `Bearer ${key}` } };
  }
  const response = await fetch(url, { method: "POST", ...request });
  await peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
  return { status: response.status, location: response.headers.get("Location"), session: response.headers.get("Turnlog-Session") };
};
