#!/usr/bin/env node
// 区级接收程序示例：存储、去重、校验哈希链、补齐缺口、发送回执。
// A district's consumer: stores events, de-duplicates them, checks each chain, asks for gaps, sends receipts.
//
//   npm ci
//   node consumer.mjs mqtt://mq.example.cn:1883 370812/sy-primary events.jsonl
//   (name and password: MQTT_USERNAME, MQTT_PASSWORD; own CA: NODE_EXTRA_CA_CERTS)

import { createHash, randomUUID } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import mqtt from "mqtt";

const [url, site, file = "events.jsonl"] = process.argv.slice(2);
const root = `campus/v1/${site}`;
const TAIL = /(,"correctedtime":"[^"]*")?,"hash":"[0-9a-f]{64}","late":(true|false)}$/;
const PATIENCE_MS = 5000; // lanes overtake each other: a gap that stays this long is asked for

class Chain {
  // One journal of the school: its hashes by seq, and what we hold as closed ranges.
  constructor(journal) {
    Object.assign(this, { journal, runs: [], hashes: new Map(), events: new Map(), receipt: "", asked: Date.now() });
  }
  add(first, last) {
    const touches = (run) => run[1] >= first - 1 && run[0] <= last + 1;
    const joined = this.runs.filter(touches);
    const run = [Math.min(first, ...joined.map((r) => r[0])), Math.max(last, ...joined.map((r) => r[1]))];
    this.runs = [...this.runs.filter((r) => !touches(r)), run].sort((a, b) => a[0] - b[0]);
  }
  asReceipt() {
    const held = this.runs.length && this.runs[0][0] === 1 ? this.runs[0][1] : 0;
    const also = this.runs.filter((run) => run[0] > held + 1).slice(0, 1000);
    return JSON.stringify({ journal: this.journal, seq: held, hash: this.hashes.get(held) ?? "0".repeat(64), also });
  }
  gap(head) {
    let next = 1;
    for (const [first, last] of [...this.runs, [head + 1, head + 1]]) {
      if (first > next) return [next, first - 1];
      next = last + 1;
    }
    return null;
  }
}

const chains = new Map();
const chainOf = (journal) => chains.get(journal) ?? chains.set(journal, new Chain(journal)).get(journal);
let head = null;

// Take one event; return whether it is new. `store` makes it durable before anything else hears of it.
function take(text, store) {
  const event = JSON.parse(text);
  const { journal, seq, hash, prevhash, type, data } = event;
  const body = text.replace(TAIL, "}"); // the members outside the hash always stand last
  if (createHash("sha256").update(body).digest("hex") !== hash) return console.log(`ALTERED ${journal} ${seq}`);
  const chain = chainOf(journal);
  const known = chain.events.get(seq);
  if (known) {
    chain.receipt = ""; // a repetition: the school may have missed our receipt
    return known.id === event.id ? undefined : console.log(`FORKED ${journal} ${seq}`);
  }
  store();
  chain.events.set(seq, { id: event.id, prevhash });
  chain.hashes.set(seq, hash);
  if (type === "campus.lost" && "from" in data) {
    chain.hashes.set(data.to, data.hash);
    chain.add(data.from, data.to);
    console.log(`LOST ${journal} ${data.from}-${data.to}: ${data.reason}`);
  }
  const before = chain.hashes.get(seq - 1);
  const after = chain.events.get(seq + 1);
  if ((before && before !== prevhash) || (after && after.prevhash !== hash)) console.log(`BROKEN ${journal} ${seq}`);
  chain.add(seq, seq);
  return event;
}

if (existsSync(file)) {
  const lines = readFileSync(file, "utf8").split("\n");
  if (lines.pop() !== "") throw new Error(`${file}: the last line is cut off; remove it and start again`);
  for (const line of lines) take(line, () => {});
}
const out = openSync(file, "a");

const client = mqtt.connect(url, {
  protocolVersion: 5,
  clientId: process.env.MQTT_CLIENT_ID ?? "district-consumer-js",
  clean: false,
  properties: { sessionExpiryInterval: 86400 },
  username: process.env.MQTT_USERNAME,
  password: process.env.MQTT_PASSWORD,
});
client.on("connect", () => client.subscribe([`${root}/event/#`, `${root}/status`], { qos: 1 }));
client.on("error", (error) => console.log(`OFFLINE ${error.message}`));
client.on("message", (topic, payload) => {
  const text = payload.toString("utf8");
  if (topic === `${root}/status`) {
    head = JSON.parse(text);
    chainOf(head.journal);
    return;
  }
  const event = take(text, () => {
    writeSync(out, text + "\n");
    fsyncSync(out);
  });
  if (event) console.log(`${event.time} ${event.type} ${event.source} #${event.seq}`);
});

// Send a receipt when something has changed, and ask for a gap that stays.
setInterval(() => {
  for (const chain of chains.values()) {
    const receipt = chain.asReceipt();
    if (receipt !== chain.receipt && chain.runs.length) {
      client.publish(`${root}/receipt`, receipt, { qos: 1 });
      Object.assign(chain, { receipt, asked: Date.now() });
    }
    const gap = head?.journal === chain.journal ? chain.gap(head.seq) : null;
    if (gap && Date.now() - chain.asked > PATIENCE_MS) {
      chain.asked = Date.now();
      const args = { from: gap[0], to: Math.min(gap[1], gap[0] + 999) };
      client.publish(`${root}/command/replay`, JSON.stringify({ id: `replay-${randomUUID()}`, args }), { qos: 1 });
      console.log(`GAP ${chain.journal} ${gap[0]}-${gap[1]}`);
    }
  }
}, 200);

process.on("SIGTERM", () => client.end(false, {}, () => (closeSync(out), process.exit(0))));
