// Moving a camera: held = moves, let go = stops. One request at a time; what counts is the last wish. A move is asked
// for some seconds and asked again while it is held, so that a browser that dies leaves no camera turning.

const MOVE_S = 4;
const RENEW_MS = 2500;
const STEP = 0.2;        // a hand trembles: speeds in steps
const NUDGE_S = 0.4;
const NUDGE_EVERY_MS = 250;
const DEAD_PART = 0.03;  // of the picture's width: a click is no drag

export async function act(verb, args) {
  const answer = await fetch(`/api/act/${verb}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Campus-Agent": "1" },
    body: JSON.stringify(args),
  });
  const said = await answer.json();
  if (!answer.ok) throw Object.assign(new Error("refused"), { text: said.error });
  return said.result;
}

export class Ptz {
  // on(vector or null): what is wished now; failed(text or null)
  constructor(stage, on, failed) {
    this.stage = stage;
    this.on = on;
    this.failed = failed;
    this.camera = null;
    this.wish = this.done = null;
    this.nudged = 0;
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      stage.addEventListener(end, () => this.up());
    }
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    window.addEventListener("blur", () => this.release());
    document.addEventListener("visibilitychange", () => document.hidden && this.release());
  }

  use(camera) {
    this.release();
    this.camera = camera;
  }

  hold(pan, tilt, zoom) {
    if (!this.camera) return;
    const still = !pan && !tilt && !zoom;  // a drag that came back to where it began
    this.wish = still ? null : { camera: this.camera, move: { pan, tilt, zoom } };
    this.on(still ? null : this.wish.move);
    this.pump();
  }

  release() {
    this.start = null;
    if (!this.wish) return;
    this.wish = null;
    this.on(null);
    this.pump();
  }

  async pump() {
    if (this.busy) return;
    this.busy = true;
    clearTimeout(this.timer);
    try {
      while (JSON.stringify(this.wish) !== JSON.stringify(this.done)) {
        const wish = this.wish;
        if (wish) await act("ptz", { camera: wish.camera, move: { ...wish.move, seconds: MOVE_S } });
        else await act("ptz", { camera: this.done.camera, stop: true });
        this.done = wish;
      }
    } catch (error) {
      this.failed(error.text ?? null);
      if (this.done && !this.wish) act("ptz", { camera: this.done.camera, stop: true }).catch(() => {});
      this.done = this.wish = null;
      this.on(null);
    } finally {
      this.busy = false;
    }
    if (this.wish) {
      this.timer = setTimeout(() => {
        this.done = this.done && { ...this.done, renew: true };
        this.pump();
      }, RENEW_MS);
    }
  }

  down(event) {
    if (!this.camera || event.button !== 0 || event.target.closest("button")) return;
    this.stage.setPointerCapture(event.pointerId);
    this.start = { x: event.clientX, y: event.clientY };
    this.stage.focus({ preventScroll: true });
    event.preventDefault();
  }

  drag(event) {
    if (!this.start) return;
    const width = this.stage.clientWidth;
    const x = (event.clientX - this.start.x) / width;
    const y = (this.start.y - event.clientY) / width;
    if (Math.hypot(x, y) < DEAD_PART && !this.wish) return;
    this.hold(stepped(x * 4), stepped(y * 4), 0);
  }

  up() {
    if (this.start) this.release();
  }

  wheel(event) {
    if (!this.camera || !event.deltaY) return;
    event.preventDefault();
    if (performance.now() - this.nudged < NUDGE_EVERY_MS || this.wish || this.busy) return;
    this.nudged = performance.now();
    const zoom = event.deltaY < 0 ? 0.6 : -0.6;
    act("ptz", { camera: this.camera, move: { pan: 0, tilt: 0, zoom, seconds: NUDGE_S } })
      .catch((error) => this.failed(error.text ?? null));
  }
}

function stepped(value) {
  const size = Math.min(1, Math.ceil(Math.abs(value) / STEP) * STEP);
  return Math.abs(value) < STEP / 2 ? 0 : Math.sign(value) * Math.round(size * 10) / 10;
}
