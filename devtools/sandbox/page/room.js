// The page of a room: presence over a WebSocket to the sandbox, voices over WebRTC straight to the bot.
import { Call, CallError } from "./call.js";
import { Meter } from "./meter.js";

const ROOM = location.pathname.replace(/^\/+|\/+$/g, "");
const TOKEN = new URLSearchParams(location.search).get("t") ?? new URLSearchParams(location.hash.slice(1)).get("t");
const RESUME = `call:${ROOM}`;
const FIGURES = {
  microphone: "Microphone ready after", joined: "Room joined", offered: "Offer sent", answered: "Bot has answered",
  connected: "Connected to the bot", heard: "First word heard",
};
const element = (id) => document.getElementById(id);
const page = { pressed: 0, times: {}, connection: {} };
let call = null;
let meters = null;
let shown = null;

// What tests and the page that has brought us here may look at; nothing here changes the call.
window.voiceRoom = { times: page.times, levels: { bot: 0, you: 0, botPeak: 0 }, state: "idle" };

function show(state, status) {
  window.voiceRoom.state = state;
  document.body.dataset.state = state;
  element("status").textContent = status;
  const inCall = state === "joining" || state === "joined" || state === "reconnecting";
  element("join").hidden = inCall;
  element("leave").hidden = !inCall;
  element("mute").hidden = state !== "joined";
}

function complain(type, text) {
  const problem = element("problem");
  problem.hidden = !text;
  problem.dataset.type = type;
  problem.textContent = text;
}

function write(who, text) {
  const line = document.createElement("li");
  line.className = who;
  const name = document.createElement("b");
  name.textContent = who === "bot" ? "Bot" : "You";
  line.append(name, " ", text);
  element("transcript").append(line);
  element("transcript").scrollTop = element("transcript").scrollHeight;
}

function note(step) {
  if (step in page.times) return;
  page.times[step] = Math.round(performance.now() - page.pressed);
  showFigures();
}

function showFigures() {
  const rows = Object.entries(FIGURES).filter(([step]) => step in page.times)
    .map(([step, name]) => [name, `${page.times[step]} ms`]);
  element("numbers").replaceChildren(...[...rows, ...Object.entries(page.connection)].flatMap(([name, value]) => {
    const term = document.createElement("dt"), data = document.createElement("dd");
    term.textContent = name;
    data.textContent = value;
    return [term, data];
  }));
}

async function join() {
  complain("", "");
  page.pressed = performance.now();
  for (const step of Object.keys(page.times)) delete page.times[step];
  show("joining", "Asking for the microphone …");
  try {
    const microphone = await openMicrophone();
    note("microphone");
    show("joining", "Joining …");
    call = new Call({ room: ROOM, token: TOKEN, resume: sessionStorage.getItem(RESUME), microphone, note });
    call.addEventListener("voice", ({ detail: stream }) => listen(stream, microphone));
    call.addEventListener("rtvi", ({ detail: message }) => understand(message));
    call.addEventListener("statistics", ({ detail }) => { page.connection = detail; showFigures(); });
    call.addEventListener("waiting", () => show("joining", "You are in the room; waiting for the bot …"));
    call.addEventListener("connected", () => show("joined", "Connected"));
    call.addEventListener("lost", () => show("reconnecting", "Connection lost; trying again …"));
    call.addEventListener("over", ({ detail: reason }) => ended(reason));
    sessionStorage.setItem(RESUME, await call.join());
  } catch (error) {
    fail(error);
  }
}

async function openMicrophone() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new CallError("no-microphone", "This browser gives no microphone to this page: open it at http://127.0.0.1 or over https.");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
  } catch (error) {
    throw new CallError(...({
      NotAllowedError: ["microphone-refused", "The microphone was refused. Allow it for this page in the browser's address bar, then join again."],
      NotFoundError: ["no-microphone", "No microphone was found. Connect one, then join again."],
      NotReadableError: ["microphone-busy", "The microphone is in use by another program. Close that, then join again."],
    }[error.name] ?? ["microphone-failed", `The microphone cannot be used: ${error.message}`]));
  }
}

async function listen(stream, microphone) {
  element("voice").srcObject = stream;
  element("voice").play().catch(() => complain("no-sound", "The browser plays no sound until you touch the page: press Mute once."));
  meters?.close();
  meters = new Meter(stream, microphone, (levels) => {
    Object.assign(window.voiceRoom.levels, levels, { botPeak: Math.max(window.voiceRoom.levels.botPeak, levels.bot) });
    if (levels.botSpeaks) note("heard");
    const who = levels.botSpeaks ? "bot" : levels.youSpeak ? "you" : "nobody";
    element("orb").dataset.who = who;
    element("orb").style.setProperty("--level", Math.min(1, Math.max(levels.bot, levels.you) * 6));
    element("speaking").textContent = { bot: "The bot speaks", you: "You speak", nobody: "\u00a0" }[who];
  });
}

function understand(message) {
  if (message.type === "bot-output") {
    if (message.data.segment_id === shown) return; // said before, and again when it has been spoken
    shown = message.data.segment_id;
    write("bot", message.data.text);
  } else if (message.type === "user-transcription" && message.data?.final) {
    write("you", message.data.text);
  } else if (message.type === "user-stopped-speaking" && !call.hasWords) {
    write("you", "(spoke; there is no speech recognition)");
  }
}

function ended(reason) {
  sessionStorage.removeItem(RESUME);
  finish();
  show("ended", reason === "left" ? "You have left the call" : "The call is over");
  if (reason !== "left" && reason !== "bot-left") complain(reason, explain(reason));
}

function fail(error) {
  finish();
  if (error.type !== "connection-lost") sessionStorage.removeItem(RESUME);
  show("failed", "Not connected");
  complain(error.type ?? "error", error.type ? explain(error.type, error.message) : `Something went wrong: ${error.message}`);
}

function explain(type, message) {
  return {
    "exp-token": "This link has expired: its meeting token is too old (exp-token). Connect again for a fresh one.",
    "nbf-token": "This link is not valid yet (nbf-token). Try again later.",
    "exp-room": "This room has expired (exp-room). Connect again for a new one.",
    "nbf-room": "This room is not open yet (nbf-room). Try again later.",
    "no-room": "This room does not exist, or no longer (no-room). Connect again for a new one.",
    "meeting-full": "This room is full (meeting-full).",
    "not-allowed": `You may not join (not-allowed): ${message ?? "the meeting token is missing, or is not for this room"}.`,
    "resumed-elsewhere": "The call goes on in another window.",
    "duplicate-user-id": "You have joined from another window.",
    "room-deleted": "The room was closed.",
    "token-expired": "Your meeting token has expired, which ends the call.",
    "room-expired": "The room has expired, which ends the call.",
    "sandbox-stopped": "The sandbox was stopped.",
    "connection-lost": "The connection to the sandbox was lost. Is the service running? Join again to go on.",
    "media-failed": "No connection to the bot could be made: its process cannot be reached from this browser over UDP.",
  }[type] ?? (message || `The call has ended (${type}).`);
}

function finish() {
  meters?.close();
  meters = null;
  call?.stop();
  element("orb").dataset.who = "nobody";
  element("speaking").textContent = "\u00a0";
}

element("join").addEventListener("click", join);
element("leave").addEventListener("click", () => call?.leave());
element("mute").addEventListener("click", () => {
  const muted = call.toggleMute();
  element("mute").setAttribute("aria-pressed", String(muted));
  element("mute").textContent = muted ? "Unmute" : "Mute";
});
if (sessionStorage.getItem(RESUME) || new URLSearchParams(location.search).has("autojoin")) join();
