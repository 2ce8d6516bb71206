// One call: in the room over a WebSocket, to the bot over WebRTC. Events: voice, rtvi, statistics, waiting,
// connected, lost, over.

const ANSWER_SECONDS = 15;
const RECONNECT_SECONDS = 8;
const RETRY_MS = 500;

export class CallError extends Error {
  constructor(type, message) {
    super(message);
    this.type = type;
  }
}

export class Call extends EventTarget {
  constructor({ room, token, resume, microphone, note }) {
    super();
    Object.assign(this, { room, token, id: resume, microphone, note });
    this.hasWords = false;
    this.over = false;
  }

  // Resolves to our id in the room, by which a reloaded page comes back.
  async join() {
    const offering = this.prepareOffer(); // while the room is being joined
    offering.catch(() => {});
    await this.enter();
    this.note("joined");
    await offering;
    this.sendOffer();
    return this.id;
  }

  leave() {
    this.finish("left", 1000);
  }

  toggleMute() {
    const [track] = this.microphone.getAudioTracks();
    track.enabled = !track.enabled;
    return !track.enabled;
  }

  stop() {
    this.over = true;
    clearInterval(this.watching);
    clearTimeout(this.patience);
    this.microphone.getTracks().forEach((track) => track.stop());
    this.peer?.close();
    if (this.socket && this.socket.readyState <= WebSocket.OPEN) this.socket.close(1000);
  }

  // --- the room ---

  enter() {
    return new Promise((resolve, reject) => {
      const scheme = location.protocol === "https:" ? "wss:" : "ws:";
      const socket = new WebSocket(`${scheme}//${location.host}/sandbox/rooms/${encodeURIComponent(this.room)}/join`);
      this.socket = socket;
      socket.onopen = () => socket.send(JSON.stringify({
        token: this.token, user_name: "Guest", media: true, reconnects: true, resume: this.id,
      }));
      socket.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (event.event === "joined") {
          this.id = event.id;
          this.bot = event.participants.find((one) => one.owner);
          resolve();
        } else if (event.event === "error") {
          reject(new CallError(event.type, event.message));
        } else if (socket === this.socket) {
          this.happened(event);
        }
      };
      socket.onclose = () => {
        reject(new CallError("connection-lost", "no connection to the sandbox"));
        if (socket === this.socket && !this.over) this.reconnect();
      };
    });
  }

  happened(event) {
    if (event.event === "message") this.received(event.data);
    else if (event.event === "participant-joined" && event.participant.owner) this.bot = event.participant;
    else if (event.event === "participant-left" && event.participant.id === this.bot?.id) this.finish("bot-left", 1000);
    else if (event.event === "ejected") this.finish(event.reason, 1000);
  }

  async reconnect() {
    if (this.reconnecting || !this.bot) return;
    this.reconnecting = true;
    this.emit("lost");
    const until = performance.now() + RECONNECT_SECONDS * 1000;
    let problem = "connection-lost";
    while (!this.over && performance.now() < until) {
      await new Promise((wait) => setTimeout(wait, RETRY_MS));
      try {
        await this.enter();
        this.reconnecting = false;
        if (this.peer.connectionState === "connected") this.emit("connected");
        else await this.offerAgain();
        return;
      } catch (error) {
        problem = error.type;
        if (problem !== "connection-lost") break;
      }
    }
    if (!this.over) this.finish(problem, 1000);
  }

  // --- the bot ---

  async prepareOffer() {
    const peer = new RTCPeerConnection();
    this.peer = peer;
    peer.addTransceiver(this.microphone.getAudioTracks()[0], { direction: "sendrecv", streams: [this.microphone] });
    this.channel = peer.createDataChannel("rtvi", { ordered: true });
    this.channel.onmessage = ({ data }) => this.heardFromBot(data);
    this.channel.onopen = () => this.tellBot("client-ready", { version: "1.0.0", about: { library: "voice-room" } });
    peer.ontrack = ({ streams, track }) => this.emit("voice", streams[0] ?? new MediaStream([track]));
    peer.onconnectionstatechange = () => peer === this.peer && this.stateChanged();
    await peer.setLocalDescription();
    await gathered(peer);
  }

  sendOffer() {
    this.note("offered");
    if (!this.bot) this.emit("waiting");
    this.send({ type: "offer", sdp: this.peer.localDescription.sdp });
    this.patience = setTimeout(() => this.finish("media-failed", 1000), ANSWER_SECONDS * 1000);
  }

  async offerAgain() {
    this.peer.onconnectionstatechange = null;
    this.peer.close();
    await this.prepareOffer();
    this.sendOffer();
  }

  async received(data) {
    if (data.type === "answer") {
      this.note("answered");
      try {
        await this.peer.setRemoteDescription(data);
      } catch (error) {
        if (!this.over) this.finish("media-failed", 1000);
      }
    } else if (data.type === "refused") {
      this.finish(data.reason, 1000);
    }
  }

  stateChanged() {
    const state = this.peer.connectionState;
    if (state === "connected") {
      clearTimeout(this.patience);
      this.note("connected");
      this.emit("connected");
      this.watching ??= setInterval(() => this.measure(), 1000);
    } else if (state === "failed" && !this.over) {
      this.emit("lost");
      this.offerAgain();
    }
  }

  heardFromBot(text) {
    let message;
    try { message = JSON.parse(text); } catch { return; }
    if (message.type === "user-transcription") this.hasWords = true;
    this.emit("rtvi", message);
  }

  tellBot(type, data) {
    this.channel.send(JSON.stringify({ id: crypto.randomUUID(), label: "rtvi-ai", type, data }));
  }

  send(data) {
    this.socket.send(JSON.stringify({ data }));
  }

  async measure() {
    const found = {};
    (await this.peer.getStats()).forEach((one) => {
      if (one.type === "candidate-pair" && one.nominated && one.currentRoundTripTime !== undefined) {
        found["Round trip"] = `${(one.currentRoundTripTime * 1000).toFixed(1)} ms`;
      } else if (one.type === "inbound-rtp" && one.kind === "audio") {
        const held = one.jitterBufferEmittedCount ? (one.jitterBufferDelay / one.jitterBufferEmittedCount) * 1000 : 0;
        found["Jitter buffer"] = `${held.toFixed(0)} ms`;
        found["Packets lost"] = `${one.packetsLost} of ${one.packetsReceived + one.packetsLost}`;
      }
    });
    this.emit("statistics", found);
  }

  finish(reason, code) {
    if (this.over) return;
    this.over = true;
    this.socket?.close(code);
    this.emit("over", reason);
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// The first candidate is enough: the bot finds the others by the checks that come from them.
function gathered(peer) {
  return new Promise((resolve) => {
    const done = () => {
      if (peer.iceGatheringState === "complete" || /a=candidate:/.test(peer.localDescription.sdp)) resolve();
    };
    peer.onicecandidate = done;
    peer.onicegatheringstatechange = done;
    setTimeout(resolve, 1000);
    done();
  });
}
