// Put into a page by a test: the microphone picks up what the test gives to turnlogSpeak(), when it gives it.
{
  let context, speaker;
  navigator.mediaDevices.getUserMedia = async () => {
    context ??= new AudioContext();
    speaker = context.createMediaStreamDestination();
    return speaker.stream;
  };
  window.turnlogSpeak = async (wav) => {
    const bytes = Uint8Array.from(atob(wav), (char) => char.charCodeAt(0));
    const source = context.createBufferSource();
    source.buffer = await context.decodeAudioData(bytes.buffer);
    source.connect(speaker);
    source.start();
  };
}
