"use strict";
// Names come from strangers: everything is written as text, and no HTML is ever built from data.

const byId = (id) => document.getElementById(id);
const HISTORY = 300; // samples of a plot, one a second
const HISTORY_MIN = 60; // fewer of them leave room at the left

function el(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
function setClass(node, name) {
  if (node.className !== name) node.className = name;
}
function setAttr(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// ---- words and numbers ----

const count = (value) => Math.round(value).toLocaleString("en");
function size(bytes) {
  if (bytes == null) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (bytes >= (unit === 0 ? 1024 : 1023.95) && unit < units.length - 1) { bytes /= 1024; unit += 1; }
  return `${unit === 0 ? bytes.toFixed(0) : bytes.toFixed(1)} ${units[unit]}`;
}
const speed = (bytes) => `${size(bytes)}/s`;
function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}
// 100 % is shown only when nothing is missing.
function percent(done, all) {
  if (!all) return "";
  return done >= all ? "100 %" : `${Math.min(99.9, Math.floor((done / all) * 1000) / 10).toFixed(1)} %`;
}
const rate = (perSecond) => (perSecond == null ? "–" : perSecond < 10 ? perSecond.toFixed(1) : count(perSecond));
const TONES = { running: "busy", hashing: "busy", done: "good", waiting: "warn", stalled: "warn", failed: "bad", ended: "bad", paused: "" };
const toneOf = (state) => TONES[state] ?? "";
const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

// ---- figures, some with a plot of the last minutes ----

const figures = new Map();
function figure(key, label, text, unit, sample) {
  let known = figures.get(key);
  if (!known) {
    const [value, small] = [el("span"), el("small")];
    const box = el("div", "", el("dt", "", label), el("dd", "", value, " ", small));
    known = { value, small, samples: [] };
    if (sample !== undefined) {
      known.svg = byId("spark").content.firstElementChild.cloneNode(true);
      known.plot = known.svg.querySelector("polyline");
      box.append(known.svg);
    }
    figures.set(key, known);
    byId("figures").append(box);
  }
  setText(known.value, text);
  setText(known.small, unit ?? "");
  if (known.svg) plot(known, label, sample);
}
function plot(known, label, sample) {
  if (sample != null) known.samples.push(sample);
  if (known.samples.length > HISTORY) known.samples.shift();
  const top = Math.max(...known.samples, 1e-9);
  const step = HISTORY / Math.max(HISTORY_MIN, known.samples.length);
  const from = HISTORY - known.samples.length * step;
  const points = known.samples.map((value, at) => `${(from + at * step).toFixed(1)},${(26 - (value / top) * 24).toFixed(1)}`);
  setAttr(known.plot, "points", points.join(" "));
  const minutes = Math.max(1, Math.round(known.samples.length / 60));
  setAttr(known.svg, "aria-label", `${label} over the last ${plural(minutes, "minute", "minutes")}`);
}

// Increase of a total since the last snapshot, a second; null after a restart.
const totals = new Map();
function perSecond(key, value, timeMs) {
  const before = totals.get(key);
  totals.set(key, { value, timeMs });
  if (!before || timeMs <= before.timeMs || value < before.value) return null;
  return ((value - before.value) * 1000) / (timeMs - before.timeMs);
}

// ---- sections ----

const sections = new Map();
function section(key, title, empty) {
  let known = sections.get(key);
  if (!known) {
    const [head, amount, note] = [el("h2", "", title), el("span", "count"), el("p", "note")];
    const [body, nothing] = [el("div"), el("p", "empty", empty)];
    head.id = `head-${key}`;
    const node = el("section", "", el("div", "head", head, amount), body, nothing, note);
    setAttr(node, "aria-labelledby", head.id);
    byId("sections").append(node);
    known = { amount, note, body, nothing, rows: new Map() };
    sections.set(key, known);
  }
  return known;
}
function sectionText(known, shown, found, what) {
  setText(known.amount, found ? count(found) : "");
  known.body.hidden = shown === 0;
  known.nothing.hidden = shown > 0;
  const cut = found > shown ? `${count(shown)} of ${count(found)} are shown: ${what}.` : "";
  known.note.hidden = cut === "";
  setText(known.note, cut);
}

// Rows keep their elements, so that focus, selection and a screen reader's place stay.
function reconcile(parent, known, rows, keyOf, make, update) {
  const seen = new Set();
  let place = parent.firstElementChild;
  for (const row of rows) {
    const key = keyOf(row);
    if (seen.has(key)) continue;
    seen.add(key);
    let entry = known.get(key);
    if (!entry) { entry = make(row); known.set(key, entry); }
    if (entry.node === place) place = place.nextElementSibling;
    else parent.insertBefore(entry.node, place);
    update(entry, row);
  }
  for (const [key, entry] of known) {
    if (!seen.has(key)) { entry.node.remove(); known.delete(key); }
  }
}

function table(key, title, empty, columns, rows, found, what, keyOf) {
  const known = section(key, title, empty);
  if (!known.tbody) makeTable(known, title, columns);
  const { column, down } = known.sort ?? {};
  const by = column && ((a, b) => order(column.sort(a), column.sort(b)) * (down ? -1 : 1));
  const sorted = by ? [...rows].sort(by) : rows;
  reconcile(known.tbody, known.rows, sorted, keyOf, () => makeRow(columns), (entry, row) => {
    columns.forEach((each, at) => each.put(entry.cells[at], row));
  });
  sectionText(known, rows.length, Math.max(found, rows.length), what);
  known.again = () => table(key, title, empty, columns, rows, found, what, keyOf);
}
const order = (a, b) => (typeof a === "string" ? a.localeCompare(b) : (a ?? -1) - (b ?? -1));
function makeTable(known, title, columns) {
  const line = el("tr");
  setAttr(line, "role", "row");
  for (const column of columns) {
    const head = el("th", column.num ? "num" : "");
    setAttr(head, "scope", "col");
    setAttr(head, "role", "columnheader");
    column.head = head;
    if (column.sort) {
      const button = el("button", "", column.label);
      button.type = "button";
      button.addEventListener("click", () => sortBy(known, columns, column));
      head.append(button);
      if (column.first) {
        known.sort = { column, down: true };
        setAttr(head, "aria-sort", "descending");
      }
    } else head.append(column.label);
    line.append(head);
  }
  const [thead, tbody] = [el("thead", "", line), el("tbody")];
  const node = el("table", "", thead, tbody);
  for (const part of [thead, tbody]) setAttr(part, "role", "rowgroup");
  setAttr(node, "role", "table");
  setAttr(node, "aria-label", title);
  known.body.append(node);
  setClass(known.body, "box");
  known.tbody = tbody;
}
function sortBy(known, columns, column) {
  const again = known.sort?.column === column;
  known.sort = { column, down: again ? !known.sort.down : column.num === true };
  for (const each of columns) {
    if (each === column) setAttr(each.head, "aria-sort", known.sort.down ? "descending" : "ascending");
    else each.head.removeAttribute("aria-sort");
  }
  known.again();
}
function makeRow(columns) {
  const node = el("tr");
  setAttr(node, "role", "row");
  const cells = columns.map((column, at) => {
    const cell = el(at === 0 ? "th" : "td", [column.num && "num", column.wide && "wide", column.tight && "tight"].filter(Boolean).join(" "));
    setAttr(cell, "role", at === 0 ? "rowheader" : "cell");
    if (at === 0) setAttr(cell, "scope", "row");
    else setAttr(cell, "data-label", column.label);
    node.append(cell);
    return cell;
  });
  return { node, cells };
}

// ---- cells ----

const text = (get) => (cell, row) => setText(cell, get(row) ?? "");
function named(get, hash) {
  return (cell, row) => {
    if (!cell.firstElementChild) cell.append(el("span"), el("span", "hash"));
    const [name, small] = cell.children;
    setText(name, get(row) || "without a name");
    setText(small, hash(row) ?? "");
  };
}
function chip(get) {
  return (cell, row) => {
    const [word, tone] = get(row);
    const node = cell.firstElementChild ?? cell.appendChild(el("span"));
    setClass(node, `chip ${tone}`.trim());
    setText(node, word);
  };
}
function bar(get) {
  return (cell, row) => {
    const [done, all, tone, what] = get(row);
    if (!cell.firstElementChild) cell.append(el("div", "bar", el("progress"), el("span")));
    putBar(cell.firstElementChild, done, all, tone, what);
  };
}
function putBar(node, done, all, tone, what) {
  const [progress, shown] = node.children;
  progress.max = Math.max(1, all);
  progress.value = Math.min(done, progress.max);
  setClass(progress, tone);
  setAttr(progress, "aria-label", `progress of ${what}`);
  setText(shown, percent(done, all) || (done > 0 ? "" : "0.0 %"));
}

// ---- a tracker ----

const SHORT = (hash) => (hash ? `${hash.slice(0, 12)}…` : "");
const fileColumns = [
  { label: "File", put: named((f) => f.name, (f) => SHORT(f.info_hash)), sort: (f) => f.name ?? "" },
  { label: "Size", num: true, put: text((f) => size(f.length)), sort: (f) => f.length },
  { label: "Chunk", num: true, put: text((f) => size(f.chunk_size)) },
  { label: "Seeders", num: true, first: true, put: text((f) => count(f.seeders)), sort: (f) => f.seeders },
  { label: "Downloading", num: true, put: text((f) => count(f.downloaders)), sort: (f) => f.downloaders },
];
const downloadColumns = [
  { label: "File", put: named((d) => d.name, (d) => SHORT(d.info_hash)) },
  { label: "Downloader", tight: true, put: text((d) => d.endpoint), sort: (d) => d.endpoint },
  { label: "Progress", wide: true, put: bar((d) => [d.done, d.chunks, toneOf(d.state), `${d.name ?? ""} at ${d.endpoint}`]), sort: (d) => d.done / Math.max(1, d.chunks) },
  { label: "Rate", num: true, put: text((d) => (d.state === "running" ? speed(d.rate_bytes_s) : "")), sort: (d) => d.rate_bytes_s },
  { label: "Left", num: true, put: text(timeLeft) },
  { label: "State", put: chip((d) => [d.state, toneOf(d.state)]) },
  { label: "Reported", num: true, put: text((d) => `${span(d.age_s)} ago`) },
];
function timeLeft(d) {
  if (d.state !== "running" || !d.rate_bytes_s || !d.length || !d.chunks) return "";
  return span((d.length * (1 - d.done / d.chunks)) / d.rate_bytes_s);
}
const LAG_MAX_MS = 5000;
function syncState(peer) {
  if (!peer.linked) return [peer.id ? "not reachable" : "never reached", "bad"];
  if (!peer.in_sync) return ["taking its table", "warn"];
  return peer.lag_ms > LAG_MAX_MS ? ["behind", "warn"] : ["in sync", "good"];
}
const peerColumns = [
  { label: "Tracker", put: text((p) => p.name) },
  { label: "State", put: chip(syncState) },
  { label: "Lag", num: true, put: text((p) => (p.lag_ms == null ? "–" : `${(p.lag_ms / 1000).toFixed(1)} s`)) },
  { label: "Clock", num: true, put: text((p) => (p.skew_ms === 0 ? "right" : `${(Math.abs(p.skew_ms) / 1000).toFixed(1)} s ${p.skew_ms > 0 ? "ahead" : "behind"}`)) },
  { label: "Id", put: text((p) => p.id) },
];

// They come with those that have least first; here each row keeps its place while it moves on.
function byName(downloads) {
  return [...downloads].sort((a, b) => order(a.name ?? "", b.name ?? "") || order(a.endpoint, b.endpoint));
}

function showTracker(s) {
  const { totals: t, tracker } = s;
  setText(byId("about"), `${tracker.listen} · version ${tracker.version} · up ${span(tracker.uptime_s)} · id ${tracker.id}`);
  const requests = perSecond("requests", t.requests, s.time_ms);
  const refusals = perSecond("refusals", t.refusals, s.time_ms);
  figure("requests", "Requests", rate(requests), "a second", requests);
  figure("refusals", "Refused", rate(refusals), "a second", refusals);
  figure("downloads", "Downloading", count(s.downloads_found), "", s.downloads_found);
  figure("seeders", "Seeders", count(t.seeders), `of ${plural(t.files, "file", "files")}`, t.seeders);
  figure("connections", "Connections", count(t.connections), "", t.connections);
  figure("memory", "Table", size(t.table_bytes));
  table("downloads", "Downloads", "Nobody reports a download. Clients report from their first chunk on, unless they run with --no-report.",
    downloadColumns, byName(s.downloads), s.downloads_found, "those that have least", (d) => `${d.info_hash} ${d.endpoint}`);
  table("files", "Files", "No file is announced here yet.", fileColumns, s.files, s.files_found, "those with the most seeders", (f) => f.info_hash);
  table("peers", "Trackers in sync", "This tracker has no others to keep in sync with.", peerColumns, s.peers, s.peers.length, "", (p) => p.name);
}

// ---- a client ----

function showClient(s) {
  const { client } = s;
  setText(byId("about"), `${client.listen} · version ${client.version} · up ${span(client.uptime_s)}`);
  const live = s.downloads.filter((d) => d.state !== "done" && d.state !== "failed");
  const down = live.reduce((sum, d) => sum + (d.rate_bytes_s ?? 0), 0);
  const up = s.sending_bytes_s;
  figure("down", "Receiving", speed(down), "", down);
  figure("up", "Sending", up == null ? "–" : speed(up), "", up);
  figure("downloads", "Downloads", count(live.length), `of ${count(s.downloads_found)}`);
  figure("shares", "Shares", count(s.shares_found));
  cards(s, s.downloads);
  table("shares", "Shares", "Nothing is shared.", shareColumns, s.shares, s.shares_found, "the first", (share) => share.file);
  if (s.peers) table("peers", "Peers", "No peer is connected.", clientPeerColumns, s.peers, s.peers_found, "the fastest", (p) => `${p.direction} ${p.address} ${p.id ?? p.info_hash}`);
  if (s.trackers) table("trackers", "Trackers", "No tracker is in use.", trackerColumns, s.trackers, s.trackers.length, "", (t) => t.tracker);
}
const shareColumns = [
  { label: "File", put: named((share) => share.file, (share) => SHORT(share.info_hash)), sort: (share) => share.file },
  { label: "Size", num: true, put: text((share) => size(share.bytes)), sort: (share) => share.bytes },
  { label: "Sent", num: true, put: text((share) => size(share.sent_bytes)), sort: (share) => share.sent_bytes },
  { label: "Rate", num: true, put: text((share) => speed(share.rate_bytes_s)), sort: (share) => share.rate_bytes_s },
  { label: "Peers", num: true, put: text((share) => count(share.peers)), sort: (share) => share.peers },
  { label: "State", put: chip(shareState) },
];
function shareState(share) {
  if (share.why) return [share.why, "warn"];
  return share.trackers > 0 ? [`served, at ${plural(share.trackers, "tracker", "trackers")}`, "good"] : ["served, at no tracker yet", "warn"];
}
const moved = (p) => (p.direction === "down" ? p.received_bytes : p.sent_bytes);
const clientPeerColumns = [
  { label: "Peer", tight: true, put: text((p) => p.address), sort: (p) => p.address },
  { label: "Direction", tight: true, put: text((p) => (p.direction === "down" ? "sends to us" : "receives")) },
  { label: "File", put: text((p) => p.name ?? "none yet") },
  { label: "State", put: chip((p) => [p.why ? `${p.state}: ${p.why}` : p.state, { active: "busy", banned: "bad", paused: "warn", choked: "warn" }[p.state] ?? ""]) },
  { label: "Rate", num: true, first: true, put: text((p) => speed(p.rate_bytes_s)), sort: (p) => p.rate_bytes_s },
  { label: "Bytes", num: true, put: text((p) => size(moved(p))), sort: moved },
];
const trackerColumns = [
  { label: "Tracker", put: text((t) => t.tracker) },
  { label: "State", put: chip((t) => [t.why ? `${t.state}: ${t.why}` : t.state, { connected: "good", failed: "bad", trying: "warn" }[t.state] ?? ""]) },
  { label: "Answers in", num: true, put: text((t) => (t.latency_seconds == null ? "–" : `${(t.latency_seconds * 1000).toFixed(1)} ms`)) },
  { label: "Files", num: true, put: text((t) => count(t.files)) },
];

function cards(s, downloads) {
  const known = section("downloads", "Downloads", "Nothing is being downloaded.");
  if (!known.list) {
    known.list = el("ul", "cards");
    known.body.append(known.list);
  }
  const pieces = new Map((s.files ?? []).map((each) => [each.id, each]));
  reconcile(known.list, known.rows, downloads, (d) => String(d.id), makeCard, (card, d) => putCard(card, d, pieces.get(d.id)));
  sectionText(known, downloads.length, Math.max(s.downloads_found, downloads.length), "the latest");
}
function makeCard() {
  const part = { name: el("h3"), chip: el("span"), bar: el("div", "bar", el("progress"), el("span")), facts: el("p", "facts"), why: el("p", "why"), where: el("p", "where") };
  part.map = el("canvas", "map");
  setAttr(part.map, "role", "img");
  part.legend = el("div", "legend", el("span", "full", "verified"), el("span", "part", "partly"), el("span", "now", "arriving"), el("span", "", "missing"));
  part.node = el("li", "", el("div", "top", part.name, part.chip), part.bar, part.facts, part.why, part.where, part.map, part.legend);
  return part;
}
function putCard(card, d, pieces) {
  const over = d.state === "done" || d.state === "failed";
  setText(card.name, `#${d.id} ${d.name}`);
  setText(card.chip, d.state);
  setClass(card.chip, `chip ${toneOf(d.state)}`.trim());
  putBar(card.bar, d.done_bytes, d.bytes, toneOf(d.state), d.name);
  card.bar.hidden = d.state === "done";
  const facts = [`${size(d.done_bytes)} of ${size(d.bytes)}`];
  if (!over) {
    facts.push(speed(d.rate_bytes_s));
    if (d.rate_bytes_s > 0 && d.bytes > d.done_bytes) facts.push(`${span((d.bytes - d.done_bytes) / d.rate_bytes_s)} left`);
    facts.push(plural(d.peers, "peer", "peers"));
  } else facts.push(`${d.state === "done" ? "in" : "after"} ${span(d.seconds)}`);
  if (d.bad_chunks > 0) facts.push(plural(d.bad_chunks, "wrong chunk", "wrong chunks"));
  while (card.facts.children.length > facts.length) card.facts.lastChild.remove();
  facts.forEach((fact, at) => setText(card.facts.children[at] ?? card.facts.appendChild(el("span")), fact));
  const cause = over || d.why?.cause === "nothing" ? "" : d.why?.text;
  const why = d.error ?? d.waits_for ?? cause;
  card.why.hidden = !why;
  setText(card.why, why ? `Why: ${why}` : "");
  setText(card.where, d.dest ? `to ${d.dest}` : "discarded");
  const mapped = !over && pieces !== undefined;
  card.map.hidden = card.legend.hidden = !mapped;
  if (mapped) draw(card.map, pieces, d);
}

// A cell is a range of chunks: # all there, + some, > one arrives, . none, ! one that the disk cannot read.
const CELLS = { "#": "--cell-full", "+": "--cell-part", ">": "--cell-now", ".": "--cell-none", "!": "--bad" };
function draw(canvas, pieces, d) {
  const scale = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * scale));
  const height = Math.max(1, Math.round(canvas.clientHeight * scale));
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const style = getComputedStyle(document.documentElement);
  const colours = Object.fromEntries(Object.entries(CELLS).map(([cell, name]) => [cell, style.getPropertyValue(name).trim()]));
  const paint = canvas.getContext("2d");
  paint.clearRect(0, 0, width, height);
  const cells = pieces.map.length;
  const edge = (at) => Math.round((at * width) / cells);
  const gap = width / cells > 4 * scale ? Math.round(scale) : 0;
  for (let at = 0; at < cells; at += 1) {
    paint.fillStyle = colours[pieces.map[at]] ?? colours["."];
    paint.fillRect(edge(at), 0, Math.max(1, edge(at + 1) - edge(at) - gap), height);
  }
  setAttr(canvas, "aria-label", `Chunks of ${d.name}: ${count(pieces.done)} of ${count(pieces.chunks)} verified, ${count(pieces.in_flight)} arriving`);
}

// ---- the stream ----

let stream = null;
let heardAt = 0;
let isStale = null;

function show(snapshot) {
  if (snapshot.kind === "starting") {
    setClass(byId("live"), "chip warn");
    setText(byId("live"), "starting");
    isStale = null;
    return;
  }
  setText(byId("kind"), snapshot.kind);
  const host = location.host;
  const title = `mtorrent ${snapshot.kind} ${host}`;
  if (document.title !== title) document.title = title;
  if (snapshot.kind === "tracker") showTracker(snapshot);
  else showClient(snapshot);
}
function setStale(stale) {
  if (stale === isStale) return;
  isStale = stale;
  document.body.classList.toggle("is-stale", stale);
  byId("stale").hidden = !stale;
  setClass(byId("live"), stale ? "chip warn" : "chip good");
  setText(byId("live"), stale ? "stale" : "live");
}
function connect() {
  stream?.close();
  stream = new EventSource("events");
  stream.addEventListener("status", (event) => {
    heardAt = performance.now();
    let snapshot;
    try { snapshot = JSON.parse(event.data); } catch { return; }
    setStale(false);
    show(snapshot);
  });
}
let triedAt = performance.now();
setInterval(() => {
  const now = performance.now();
  if (now - heardAt > 4000 && (heardAt > 0 || now > 4000)) setStale(true);
  // The browser tries again by itself, except after an answer that is no stream, and slowly.
  if (isStale && now - triedAt > 2000) {
    triedAt = now;
    connect();
  }
}, 500);
connect();
