// One live picture: fragmented MP4 through Media Source Extensions; where the browser cannot play it, the smaller
// stream is tried, and then single pictures.

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 8000;
const SILENCE_MS = 10000;   // a stream that says nothing for so long is asked for anew
const KEEP_S = 15;          // what stays in the buffer behind the picture
const LATE_S = 1.5;         // farther behind than this we jump to the newest picture
const EDGE_S = 0.12;
const WAITING_LIMIT = 400;  // fragments that the browser has not taken: a tab that sleeps

const Source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;

export class LivePicture {
  // on(what, detail): "connecting" | "playing" (detail: "live" or "stills") | "broken" (detail: a text, or null)
  constructor(video, still, on) {
    this.video = video;
    this.still = still;
    this.on = on;
    this.turn = 0;
    video.addEventListener("timeupdate", () => this.follow());
    video.addEventListener("error", () => this.source && this.again(null));
  }

  open(camera, role) {
    this.close();
    this.camera = camera;
    this.plans = role === "main"
      ? [["main", "fmp4"], ["sub", "fmp4"], ["main", "mjpeg"]]
      : [["sub", "fmp4"], ["main", "fmp4"], ["sub", "mjpeg"]];
    if (!Source) this.plans = this.plans.slice(-1);
    this.wait = FIRST_WAIT_MS;
    this.on("connecting");
    this.connect();
  }

  close() {
    this.turn++;
    clearTimeout(this.timer);
    clearInterval(this.guard);
    this.socket?.close();
    this.socket = this.source = this.buffer = null;
    this.queue = [];
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
    this.video.removeAttribute("src");
    this.video.load();
    this.video.hidden = false;
    this.still.hidden = true;
    this.still.removeAttribute("src");
  }

  connect() {
    const turn = ++this.turn;
    const [role, format] = this.plans[0];
    this.queue = [];
    this.played = false;
    this.heard = performance.now();
    const at = `ws://${location.host}/live/${encodeURIComponent(this.camera)}?role=${role}&format=${format}`;
    const socket = this.socket = new WebSocket(at);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => {
      if (turn !== this.turn) return;
      this.heard = performance.now();
      if (typeof event.data === "string") this.told(JSON.parse(event.data), format, turn);
      else if (format === "fmp4") this.fragment(event.data);
      else this.picture(event.data);
    };
    socket.onclose = () => turn === this.turn && this.again(null);
    clearInterval(this.guard);
    this.guard = setInterval(() => {
      const limit = SILENCE_MS * (format === "mjpeg" ? 6 : this.played ? 1 : 2);
      if (turn === this.turn && performance.now() - this.heard > limit) this.again(null);
      else this.follow();
    }, 500);
  }

  told(word, format, turn) {
    if (word.error) {
      if (word.error.key === "live.cannot-play" && this.plans.length > 1) this.next();
      else this.again(word.error);
    } else if (format === "fmp4") {
      if (Source.isTypeSupported(word.mime)) this.begin(word.mime, turn);
      else if (this.plans.length > 1) this.next();
    }
  }

  next() {
    this.plans.shift();
    this.stop();
    this.connect();
  }

  begin(mime, turn) {
    const source = this.source = new Source();
    this.video.hidden = false;
    this.still.hidden = true;
    this.video.disableRemotePlayback = true;
    source.addEventListener("sourceopen", () => {
      if (turn !== this.turn) return;
      this.buffer = source.addSourceBuffer(mime);
      this.buffer.addEventListener("updateend", () => this.pump());
      this.pump();
    }, { once: true });
    const before = this.address;
    this.video.src = this.address = URL.createObjectURL(source);
    if (before) URL.revokeObjectURL(before);
    this.video.play().catch(() => { /* begins by itself when there is something to show */ });
  }

  fragment(data) {
    this.queue.push(data);
    if (this.queue.length > WAITING_LIMIT) this.again(null);
    else this.pump();
  }

  pump() {
    const buffer = this.buffer;
    if (!buffer || buffer.updating || this.source?.readyState !== "open") return;
    try {
      const ranges = buffer.buffered;
      if (ranges.length && this.video.currentTime - ranges.start(0) > KEEP_S * 2) {
        buffer.remove(ranges.start(0), this.video.currentTime - KEEP_S);
        return;
      }
      if (!this.queue.length) return;
      buffer.appendBuffer(this.queue.length > 1 ? joined(this.queue.splice(0)) : this.queue.shift());
    } catch {
      this.again(null);
    }
  }

  // Stay at the newest picture, also over a gap that was skipped for a slow line.
  follow() {
    const ranges = this.buffer?.buffered;
    if (!ranges?.length) return;
    const begin = ranges.start(ranges.length - 1);
    const end = ranges.end(ranges.length - 1);
    const now = this.video.currentTime;
    if (now < begin || end - now > LATE_S) this.video.currentTime = Math.max(begin, end - EDGE_S);
    this.video.playbackRate = end - now > 0.6 ? 1.1 : 1;
    if (this.video.paused) this.video.play().catch(() => {});
    if (!this.played && this.video.readyState >= 2) {
      this.played = true;
      this.wait = FIRST_WAIT_MS;
      this.on("playing", "live");
    }
  }

  picture(data) {
    const address = URL.createObjectURL(new Blob([data], { type: "image/jpeg" }));
    const before = this.address;
    this.still.src = this.address = address;
    this.still.hidden = false;
    this.video.hidden = true;
    if (before) URL.revokeObjectURL(before);
    if (!this.played) {
      this.played = true;
      this.wait = FIRST_WAIT_MS;
      this.on("playing", "stills");
    }
  }

  stop() {
    this.turn++;
    this.socket?.close();
    this.source = this.buffer = null;
    this.queue = [];
  }

  again(text) {
    this.stop();
    this.on("broken", text);
    clearTimeout(this.timer);
    const turn = this.turn;
    this.timer = setTimeout(() => turn === this.turn && this.connect(), this.wait);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
  }
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(new Uint8Array(part), at);
    at += part.byteLength;
  }
  return whole;
}
