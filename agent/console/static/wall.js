// The wall: a tile per camera, banners, and the large live picture.

import { LivePicture } from "/static/live.js";
import { Ptz, act } from "/static/ptz.js";
import { clock, loadWords, said, say, words } from "/static/words.js";

const SIGNS = { ok: "✓", fault: "▲", offline: "✕", unknown: "?" };
const PICTURE_EVERY_MS = 15000;
const PICTURES_AT_ONCE = 3;
const SILENT_MS = 40000;    // the server says something at least every 15 s

const $ = (id) => document.getElementById(id);
const make = (tag, className = "", text = "") => {
  const one = document.createElement(tag);
  one.className = className;
  one.textContent = text;
  return one;
};

let state = null;
let serverAway = false;
let filter = "all";
const tiles = new Map();

// ---- tiles

function tileOf(camera) {
  let tile = tiles.get(camera.id);
  if (tile) return tile;
  const button = make("button", "tile");
  button.type = "button";
  button.dataset.camera = camera.id;
  const frame = make("span", "frame");
  const picture = make("img");
  picture.alt = "";
  picture.decoding = "async";
  const none = make("span", "none");
  const sign = make("span", "sign");
  const faults = make("span", "faults");
  frame.append(picture, none, sign, faults);
  const line = make("span", "line");
  const name = make("span", "name");
  const word = make("span", "word");
  line.append(name, word);
  const when = make("span", "when");
  button.append(frame, line, when);
  button.addEventListener("click", () => openLive(camera.id));
  tile = { id: camera.id, button, picture, none, sign, faults, name, word, when, visible: false, asked: 0, seen: undefined };
  picture.hidden = true;
  picture.addEventListener("load", () => { picture.hidden = false; none.hidden = true; });
  tiles.set(camera.id, tile);
  watcher.observe(button);
  return tile;
}

function faultText(one) {
  return words.faults[one.fault] ?? (said(one.text) || one.fault);
}

function paint(tile, camera) {
  const known = words.page[`state-${camera.state}`] ?? camera.state;
  tile.button.dataset.state = camera.state;
  tile.button.setAttribute("aria-label", say("open", { name: camera.name, state: [known, ...camera.faults.map(faultText)].join(" ") }));
  tile.sign.textContent = SIGNS[camera.state];
  tile.sign.className = `sign ${camera.state}`;
  tile.name.textContent = camera.name;
  tile.word.textContent = known;
  tile.none.textContent = say("no-picture");
  tile.faults.replaceChildren(...camera.faults.map((one) => {
    const chip = make("span", "chip", faultText(one));
    chip.title = said(one.text);
    return chip;
  }));
  tile.when.textContent = camera.inspected ? say("inspected", { time: clock(camera.inspected) }) : say("never");
  if (tile.seen !== camera.inspected) {
    tile.seen = camera.inspected;
    tile.asked = 0;
  }
}

// ---- pictures of the tiles that can be seen, a few at a time

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const tile = tiles.get(entry.target.dataset.camera);
    if (tile) tile.visible = entry.isIntersecting;
  }
  refresh();
}, { rootMargin: "100px" });
let loading = 0;

function refresh() {
  if (document.hidden || serverAway || $("live").open) return;
  const now = performance.now();
  for (const tile of tiles.values()) {
    if (loading >= PICTURES_AT_ONCE) return;
    if (!tile.visible || (tile.asked && now - tile.asked < PICTURE_EVERY_MS)) continue;
    tile.asked = now;
    load(tile);
  }
}

async function load(tile) {
  loading++;
  try {
    const answer = await fetch(`/api/picture/${encodeURIComponent(tile.id)}`);
    if (answer.status === 200) {
      const before = tile.picture.src;
      tile.picture.src = URL.createObjectURL(await answer.blob());
      if (before) URL.revokeObjectURL(before);
    } else await answer.body?.cancel();
  } catch { /* the next round asks again */ } finally {
    loading--;
    setTimeout(refresh, 50);
  }
}

// ---- the state

function show() {
  if (!state) return;
  $("site").textContent = state.site;
  document.title = state.alarms.length ? `● ${say("alarm")} · ${say("title")}` : `${say("title")} · ${state.site}`;
  sums();
  banners();
  const wanted = $("search").value.trim().toLowerCase();
  const shown = state.cameras.filter((camera) =>
    (filter === "all" || camera.state === "fault" || camera.state === "offline")
    && (!wanted || camera.name.toLowerCase().includes(wanted) || camera.id.toLowerCase().includes(wanted)));
  const buttons = shown.map((camera) => {
    const tile = tileOf(camera);
    paint(tile, camera);
    return tile.button;
  });
  const there = [...$("wall").children];
  if (there.length !== buttons.length || there.some((one, i) => one !== buttons[i])) {
    const focus = document.activeElement;
    $("wall").replaceChildren(...buttons);
    if (buttons.includes(focus)) focus.focus();
  }
  for (const [id, tile] of tiles) {
    if (!state.cameras.some((camera) => camera.id === id)) {
      watcher.unobserve(tile.button);
      tiles.delete(id);
    }
  }
  $("empty").hidden = shown.length > 0;
  if (current) liveHead();
  refresh();
}

function sums() {
  const count = { ok: 0, fault: 0, offline: 0, unknown: 0 };
  for (const camera of state.cameras) count[camera.state]++;
  const all = make("button", "sum", say("sum", { total: state.cameras.length }));
  all.type = "button";
  all.setAttribute("aria-pressed", filter === "all");
  all.addEventListener("click", () => { filter = "all"; show(); });
  const parts = [all];
  for (const [name, number] of Object.entries(count)) {
    if (!number && name !== "ok") continue;
    const one = make("span", `sum ${name}`);
    one.append(make("span", `sign ${name}`, SIGNS[name]), say(`sum-${name}`, { count: number }));
    parts.push(one);
  }
  const trouble = make("button", "sum", say("trouble"));
  trouble.type = "button";
  trouble.setAttribute("aria-pressed", filter === "trouble");
  trouble.addEventListener("click", () => { filter = filter === "trouble" ? "all" : "trouble"; show(); });
  if (count.fault + count.offline || filter === "trouble") parts.push(trouble);
  replace($("sums"), parts);
}

function banners() {
  const lines = [];
  const line = (kind, sign, ...texts) => {
    const one = make("p", `banner ${kind}`);
    one.append(make("span", "sign", sign), ...texts);
    lines.push(one);
  };
  if (state) {
    if (state.drill) line("drill", "◆", make("strong", "", say("drill")), make("span", "", say("drill-note")));
    for (const alarm of state.alarms) {
      const standing = alarm.escalated && alarm.state === "active" ? "escalated" : alarm.state;
      line(
        `alarm ${alarm.state} ${standing}`, "●",
        make("strong", "", `${say("alarm")} · ${words.kinds[alarm.kind] ?? alarm.kind}`),
        make("span", "what", alarm.name ?? `${alarm.device}/${alarm.point}`),
        make("span", "since", alarm.since ? clock(alarm.since) : ""),
        make("span", "since", words.page[`alarm-${standing}`] ?? ""),
      );
    }
  }
  if (serverAway) line("away", "⚠", say("server-away"));
  else if (state && !state.core.up) line("away", "⚠", say("core-away"));
  else if (state) {
    if (!state.eye.up) line("away", "⚠", `${say("eye-away")}${state.eye.error ? ` (${said(state.eye.error)})` : ""}`);
    if (!state.uplink) line("note", "ⓘ", say("uplink-away"));
  }
  replace($("banners"), lines);
}

// What says the same is left alone: a screen reader reads what is new, a click meets what it was meant for.
function replace(parent, children) {
  const made = document.createElement("div");
  made.append(...children);
  if (made.innerHTML === parent.dataset.shown) return;
  parent.dataset.shown = made.innerHTML;
  const at = [...parent.children].indexOf(document.activeElement);
  parent.replaceChildren(...children);
  if (at >= 0) parent.children[at]?.focus?.();
}

let events = null;
let heard = 0;

function listen() {
  events?.close();
  heard = performance.now();
  events = new EventSource("/api/state");
  events.onopen = () => { heard = performance.now(); };
  events.onmessage = (event) => {
    heard = performance.now();
    const back = serverAway;
    serverAway = false;
    state = JSON.parse(event.data);
    if (back) for (const tile of tiles.values()) tile.asked = 0;
    show();
  };
  events.onerror = () => {
    serverAway = true;
    banners();
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  };
}

// ---- the large picture

let current = null;
let role = "main";
const cameraOf = (id) => state?.cameras.find((camera) => camera.id === id);

const picture = new LivePicture($("video"), $("still"), (what, detail) => {
  $("live").dataset.picture = what;
  $("badge").hidden = what !== "playing";
  if (what === "playing") {
    $("badge").textContent = `● ${say(detail)}`;
    $("badge").className = detail;
    $("stage-word").textContent = "";
  } else if (what === "connecting") $("stage-word").textContent = say("connecting");
  else $("stage-word").textContent = say("again", { reason: said(detail) || say("lost") });
});

const ptz = new Ptz($("stage"), (move) => {
  const arrow = $("arrow");
  arrow.hidden = !move;
  if (!move) return;
  arrow.textContent = move.zoom ? (move.zoom > 0 ? "＋" : "－") : "➤";
  arrow.style.rotate = move.zoom ? "0rad" : `${Math.atan2(-move.tilt, move.pan)}rad`;
}, (text) => tell(say("failed", { reason: said(text) || say("no-answer") })));

function openLive(id) {
  const camera = cameraOf(id);
  if (!camera) return;
  current = id;
  tell("");
  if (!$("live").open) $("live").showModal();
  $("live").prepend($("banners"));  // an alarm must show over a live picture too
  $("presets").hidden = true;
  $("presets-open").setAttribute("aria-expanded", "false");
  liveHead();
  picture.open(id, role);
  $("stage").focus({ preventScroll: true });
}

function liveHead() {
  const camera = cameraOf(current);
  if (!camera) return;
  $("live").dataset.camera = camera.id;
  $("live").dataset.state = camera.state;
  $("live-name").textContent = camera.name;
  $("live-sign").textContent = SIGNS[camera.state];
  $("live-sign").className = `sign ${camera.state}`;
  $("live-state").textContent = [words.page[`state-${camera.state}`], ...camera.faults.map(faultText)].join(" · ");
  const moves = camera.ptz !== false;
  $("ptz").hidden = !moves;
  $("stage").classList.toggle("moves", moves);
  if (ptz.camera !== (moves ? camera.id : null)) ptz.use(moves ? camera.id : null);
  for (const one of $("live-roles").children) one.setAttribute("aria-pressed", one.dataset.role === role);
}

function closeLive() {
  ptz.use(null);
  picture.close();
  const tile = tiles.get(current);
  current = null;
  $("wall").before($("banners"));
  tile?.button.focus();
  refresh();
}

function step(by) {
  const shown = [...$("wall").children].map((one) => one.dataset.camera);
  const at = shown.indexOf(current);
  if (shown.length > 1) openLive(shown[(at + by + shown.length) % shown.length]);
}

function tell(text) {
  $("live-word").textContent = text;
}

let taking = false;

async function snapshot() {
  if (taking) return;
  taking = true;  // the button is not disabled: it would lose the focus, and the keys with it
  try {
    const result = await act("snapshot", { camera: current });
    tell(say("snapshot-done", { id: result?.evidence?.id ?? "" }));
  } catch (error) {
    tell(say("failed", { reason: said(error.text) || say("no-answer") }));
  } finally {
    taking = false;
  }
}

async function presets() {
  const list = $("presets");
  list.hidden = !list.hidden;
  $("presets-open").setAttribute("aria-expanded", String(!list.hidden));
  if (list.hidden) return;
  const camera = current;
  list.replaceChildren();
  try {
    const found = (await act("ptz", { camera, list: true }))?.presets ?? [];
    list.replaceChildren(...found.map((preset) => {
      const item = make("li");
      const button = make("button", "", preset.name || preset.token);
      button.type = "button";
      button.addEventListener("click", () =>
        act("ptz", { camera, goto: preset.token }).catch((error) =>
          tell(say("failed", { reason: said(error.text) || say("no-answer") }))));
      item.append(button);
      return item;
    }));
    if (!found.length) list.append(make("li", "", say("no-presets")));
  } catch (error) {
    list.hidden = true;
    tell(say("failed", { reason: said(error.text) || say("no-answer") }));
  }
}

// ---- hands

const KEYS = {
  ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
  "+": [0, 0, 1], "=": [0, 0, 1], "-": [0, 0, -1],
};

document.addEventListener("keydown", (event) => {
  if (!$("live").open || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "PageUp" || event.key === "PageDown") {
    event.preventDefault();
    step(event.key === "PageUp" ? -1 : 1);
  } else if (KEYS[event.key]) {
    event.preventDefault();
    if (event.repeat) return;
    if (ptz.camera) ptz.hold(...KEYS[event.key].map((part) => part * 0.6));
    else if (KEYS[event.key][0]) step(KEYS[event.key][0]);
  }
});
document.addEventListener("keyup", (event) => KEYS[event.key] && ptz.release());
$("live").addEventListener("close", closeLive);
$("live-close").addEventListener("click", () => $("live").close());
$("live-previous").addEventListener("click", () => step(-1));
$("live-next").addEventListener("click", () => step(1));
$("live-snapshot").addEventListener("click", snapshot);
$("presets-open").addEventListener("click", presets);
$("live-full").addEventListener("click", () =>
  document.fullscreenElement ? document.exitFullscreen() : $("stage").requestFullscreen?.());
for (const one of $("live-roles").children) {
  one.addEventListener("click", () => {
    role = one.dataset.role;
    openLive(current);
  });
}
for (const one of document.querySelectorAll("[data-move]")) {
  const move = one.dataset.move.split(",").map((part) => Number(part) * 0.6);
  one.addEventListener("pointerdown", (event) => { one.setPointerCapture(event.pointerId); ptz.hold(...move); });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) one.addEventListener(end, () => ptz.release());
  one.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    if (!event.repeat) ptz.hold(...move);
  });
  one.addEventListener("keyup", () => ptz.release());
}
$("search").addEventListener("input", show);
document.addEventListener("visibilitychange", refresh);

// Arrow keys walk over the wall.
$("wall").addEventListener("keydown", (event) => {
  const all = [...$("wall").children];
  const at = all.indexOf(document.activeElement);
  const columns = getComputedStyle($("wall")).gridTemplateColumns.split(" ").length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  if (at < 0 || !by) return;
  event.preventDefault();
  all[at + by]?.focus();
});

// ---- begin

async function speak(language) {
  await loadWords(language);
  $("languages").replaceChildren(...Object.entries(words.languages).map(([code, own]) => {
    const button = make("button", "", own);
    button.type = "button";
    button.lang = code;
    button.dataset.language = code;
    button.setAttribute("aria-pressed", code === words.language);
    button.addEventListener("click", () => speak(code));
    return button;
  }));
  show();
}

async function begin() {
  try {
    await speak("");
  } catch {
    setTimeout(begin, 2000);
    return;
  }
  listen();
  setInterval(() => {
    $("time").textContent = new Date().toLocaleTimeString(words.language, { hour12: false });
    if (performance.now() - heard > SILENT_MS) {
      serverAway = true;
      banners();
      listen();
    }
  }, 1000);
  setInterval(refresh, 2000);
}

begin();
