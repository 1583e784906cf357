// Reading documents: on each side of a bound, by search, or those with a label.

const SHOWN = 12; // documents on each side of a bound
const FOUND = 50; // documents a search lists
const reading = { signal: null, side: null, mode: "edge", query: "" };
const closed = new Set(); // rows that are being shown; kept so that moving a bound does not close what is read
let showMode;

// Show the documents at a bound. `open` brings the reader up on a narrow screen.
function select(signal, side, open) {
  const { min, max } = limits.get(signal);
  if (!side && reading.signal === signal) side = reading.side;
  if (!side || limits.get(signal)[side] === null) side = max !== null ? "max" : min !== null ? "min" : sidesOf(signals.get(signal))[0];
  reading.signal = signal;
  reading.side = side;
  for (const [name, each] of cards) each.element.classList.toggle("chosen", name === signal);
  showMode(byId("mode-edge"), false);
  if (open) openReader();
}

function openReader() {
  document.body.classList.add("reading");
  if (getComputedStyle(byId("close-reader")).display !== "none") byId("close-reader").focus();
}

function closeReader() {
  document.body.classList.remove("reading");
  if (reading.signal) cards.get(reading.signal)?.element.querySelector(".read").focus();
}

// The documents nearest to a bound on either side; those that are whole in the page come before those cut short.
function nearest(signal, side) {
  const values = columns.get(signal);
  const limit = limits.get(signal)[side];
  const sides = { out: [], in: [] };
  for (let row = 0; row < facts.readable; row += 1) {
    const value = values[row];
    if (Number.isNaN(value)) continue;
    if (limit === null) sides.in.push(row);
    else {
      const fit = signals.get(signal).column.kind === "float32" ? Math.fround(limit) : limit;
      sides[(side === "min" ? value < fit : value > fit) ? "out" : "in"].push(row);
    }
  }
  const from = limit ?? (side === "min" ? -Infinity : Infinity);
  const far = (row) => (Number.isFinite(from) ? Math.abs(values[row] - from) : side === "min" ? values[row] : -values[row]);
  for (const name of ["out", "in"]) {
    const near = sides[name].sort((a, b) => far(a) - far(b) || a - b).slice(0, 20 * SHOWN);
    const chosen = near.filter((row) => wholePlace.has(row)).slice(0, SHOWN);
    for (const row of near) if (chosen.length < SHOWN && !wholePlace.has(row)) chosen.push(row);
    sides[name] = chosen.sort((a, b) => far(a) - far(b) || a - b);
  }
  return sides;
}

function host(url) {
  return /^[a-z]+:\/\/(?:www\.)?([^/?#]+)/i.exec(url)?.[1] || "(no address)";
}

const RIGHT_TO_LEFT = /[\p{sc=Arab}\p{sc=Hebr}\p{sc=Syrc}\p{sc=Thaa}\p{sc=Nkoo}\p{sc=Adlm}]/gu;
const LETTER = /\p{L}/gu;

// The direction of a paragraph. By its first letter, as "auto" has it, an Arabic sentence that begins with a Latin name
// would be set from the left: a third of its letters decides.
function direction(text) {
  const right = text.match(RIGHT_TO_LEFT)?.length || 0;
  return right && 3 * right >= text.match(LETTER).length ? "rtl" : "auto";
}

// A text paragraph by paragraph, each in its own direction.
function paragraphs(text) {
  return text.split("\n").filter((line) => line.trim()).map((line) => el("p", { dir: direction(line) }, line));
}

function signalTable(row) {
  const lines = [...signals.values()].filter((signal) => columns.has(signal.name)).map((signal) => {
    const value = columns.get(signal.name)[row];
    const bad = crossed.get(signal.name)?.[row];
    return el("tr", { class: bad ? "bad" : "" }, el("th", { scope: "row" }, signal.title),
      el("td", {}, Number.isNaN(value) ? "–" : shown(signal, value)), el("td", {}, bad ? "out of bounds" : ""));
  });
  return el("details", { class: "all-numbers" }, el("summary", {}, "All numbers of this document"), el("table", {}, el("tbody", {}, lines)));
}

function chips(row) {
  const failed = failedSignals(row);
  if (!failed.length) return el("p", { class: "chips" }, el("span", { class: "chip kept" }, "kept"));
  return el("p", { class: "chips" }, el("span", { class: "chip dropped" }, "dropped"),
    failed.map((name) => el("span", { class: "chip" }, signals.get(name).title)));
}

async function fill(body, row) {
  const text = await wholeText(row);
  const shownText = text ?? excerpts[row];
  const left = facts.lengths[row] - [...shownText].length;
  const cut = left > 0 && (text === null || left > 400)
    ? [el("p", { class: "quiet cut" }, `The first ${count([...shownText].length)} of ${count(facts.lengths[row])} characters; this file holds no more of this document.`)] : [];
  body.replaceChildren(chips(row), el("div", { class: "text", lang: facts.language.code, dir: direction(shownText) }, paragraphs(shownText)),
    ...cut, labelButtons(row), el("p", { class: "address" }, el("bdi", {}, urls[row] || "no address")), signalTable(row));
}

function entry(row, signal) {
  const value = signal ? el("span", { class: "value" }, shown(signal, columns.get(signal.name)[row])) : null;
  const body = el("div", { class: "document" });
  const item = el("details", { class: "entry", "data-row": row, "data-id": ids[row] },
    el("summary", {}, el("span", { class: "line" }, value, el("bdi", { class: "host" }, host(urls[row])), mark(row)),
      el("span", { class: "start", lang: facts.language.code, dir: direction(excerpts[row]) }, excerpts[row].replace(/\s+/g, " "))), body);
  const show = () => {
    if (item.open) {
      closed.add(row);
      if (!body.childElementCount) fill(body, row);
    } else closed.delete(row);
  };
  item.addEventListener("toggle", show);
  if (closed.has(row)) item.open = true;
  return item;
}

function mark(row) {
  const chip = el("span", { class: "chip mark", "data-row": row });
  showMark(chip);
  return chip;
}

function list(title, rows, signal, kind) {
  return el("section", { class: `side ${kind}` }, el("h3", {}, title),
    rows.length ? rows.map((row) => entry(row, signal)) : el("p", { class: "quiet" }, "None among the documents of this page."));
}

function showEdge(body) {
  if (!reading.signal) {
    body.replaceChildren(el("p", { class: "empty" }, "Choose “Read at this bound” at one of the pictures: the documents just inside and just outside appear here."));
    return;
  }
  const signal = signals.get(reading.signal);
  const limit = limits.get(signal.name)[reading.side];
  const sides = sidesOf(signal);
  const pick = sides.length > 1 ? el("div", { class: "ends-pick", role: "group", "aria-label": "Which end" }, sides.map((side) =>
    el("button", { type: "button", "aria-pressed": String(side === reading.side), onclick: () => select(signal.name, side) },
      side === "min" ? "lower end" : "upper end"))) : null;
  const found = nearest(signal.name, reading.side);
  const word = reading.side === "min" ? "at least" : "at most";
  const head = el("div", { class: "edge-head" }, el("h2", {}, signal.title),
    el("p", {}, limit === null ? "No limit on this end. These are the documents nearest to it." : `Kept: ${word} ${shown(signal, limit)}. The documents nearest to that, on either side:`), pick);
  body.replaceChildren(head, ...(limit === null ? [] : [list("Just dropped", found.out, signal, "out")]),
    list(limit === null ? "Nearest to this end" : "Just kept by this bound", found.in, signal, "in"));
}

async function search(query, results) {
  const wanted = query.trim().toLowerCase();
  if (wanted.length < 2) {
    results.replaceChildren(el("p", { class: "quiet" }, "Type at least two letters: a word, a phrase, or part of an address."));
    return;
  }
  const rows = [];
  let more = false;
  for (let row = 0; row < facts.readable && !more; row += 1) {
    let hit = excerpts[row].toLowerCase().includes(wanted) || urls[row].toLowerCase().includes(wanted);
    if (!hit && wholePlace.has(row)) hit = (await wholeText(row)).toLowerCase().includes(wanted);
    if (reading.query !== query) return; // another search began meanwhile
    if (hit && rows.length === FOUND) more = true;
    else if (hit) rows.push(row);
  }
  results.replaceChildren(el("p", { class: "quiet", role: "status" }, more ? `The first ${FOUND} documents:` : `${documents(rows.length)} found.`),
    ...rows.map((row) => entry(row, null)));
}

function showSearch(body) {
  const results = el("div", { class: "results" });
  let timer = 0;
  const input = el("input", { type: "search", id: "query", dir: "auto", lang: facts.language.code, placeholder: "a word, or part of an address", "aria-label": "Search the documents",
    oninput: () => {
      reading.query = input.value;
      clearTimeout(timer);
      timer = setTimeout(() => search(input.value, results), 200);
    } });
  input.value = reading.query;
  body.replaceChildren(el("div", { class: "search" }, input), results);
  search(reading.query, results);
}

function showLabelled(body) {
  const note = el("p", { class: "quiet", role: "status" });
  const load = el("input", { type: "file", accept: ".json,application/json", id: "load-labels", onchange: async () => {
    if (load.files.length) note.textContent = await loadLabels(load.files[0]);
  } });
  const rows = [...labels.keys()].map((id) => rowOf.get(id)).filter((row) => row !== undefined && row < facts.readable);
  body.replaceChildren(el("p", {}, labels.size ? `You have labelled ${documents(labels.size)}.` : "You have labelled no document yet."),
    el("label", { class: "file" }, "Go on from a labels file: ", load), note, ...rows.map((row) => entry(row, null)));
}

function showReader() {
  const body = byId("reader-body");
  const modes = { edge: showEdge, search: showSearch, labels: showLabelled };
  readExcerpts().then(() => modes[reading.mode](body));
}

function beginReader() {
  const buttons = ["edge", "search", "labels"].map((mode) => byId(`mode-${mode}`));
  showMode = tabs(buttons, (chosen) => {
    reading.mode = chosen.id.slice(5);
    showReader();
  });
  let timer = 0;
  listeners.push(() => {
    clearTimeout(timer);
    if (reading.mode === "edge" && reading.signal) timer = setTimeout(showReader, 120);
  });
  byId("close-reader").addEventListener("click", closeReader);
  byId("open-reader").addEventListener("click", () => {
    showReader();
    openReader();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && document.body.classList.contains("reading")) closeReader();
  });
}
