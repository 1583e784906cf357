// The cards: one a signal, with its picture, its bounds to type, and what it drops.

const cards = new Map(); // signal -> {element, update}

// A bound as a person types it: shares in percent.
function typed(signal, value) {
  if (value === null) return "";
  return String(signal.axis === "share" ? plain(100 * value) : value);
}

function field(signal, side) {
  const input = el("input", {
    type: "number", step: "any", inputmode: "decimal", placeholder: "no limit",
    "aria-label": `${signal.title}: ${side === "min" ? "at least" : "at most"}`,
    onchange: () => {
      const value = input.value.trim() === "" ? null : Number(input.value);
      if (value !== null && !Number.isFinite(value)) return;
      setLimit(signal.name, side, value === null || signal.axis !== "share" ? value : plain(value / 100));
      input.value = typed(signal, limits.get(signal.name)[side]);
    },
  });
  const unit = signal.axis === "share" ? el("span", { class: "unit" }, "%") : null;
  const label = el("label", { class: "field" }, side === "min" ? "at least" : "at most", el("span", { class: "box" }, input, unit));
  return { label, update: () => { if (document.activeElement !== input) input.value = typed(signal, limits.get(signal.name)[side]); } };
}

function card(signal) {
  const picture = plot(signal);
  const fields = sidesOf(signal).map((side) => field(signal, side));
  const figures = el("p", { class: "figures" });
  const back = el("button", { type: "button", class: "link back", onclick: () => {
    limits.set(signal.name, first(signal.name));
    changed([signal.name]);
  } }, "undo");
  const read = el("button", { type: "button", class: "read", onclick: () => select(signal.name, null, true) }, "Read at this bound");
  const ends = el("div", { class: "ends" },
    el("p", { class: signal.bad === "high" ? "" : "bad" }, signal.low && el("b", {}, "◂ low "), signal.low),
    el("p", { class: signal.bad === "low" ? "" : "bad" }, signal.high && el("b", {}, "high ▸ "), signal.high));
  const element = el("article", { class: "card", "data-signal": signal.name },
    el("header", {}, el("h3", {}, signal.title), el("code", {}, signal.name)),
    el("p", { class: "what" }, signal.what),
    picture.element, ends,
    el("div", { class: "row" }, fields.map((each) => each.label), read), el("div", { class: "foot" }, figures, back));
  const update = () => {
    picture.update();
    for (const each of fields) each.update();
    const { min, max } = limits.get(signal.name);
    const bound = min !== null || max !== null;
    element.classList.toggle("bounded", bound);
    back.hidden = !isChanged(signal.name);
    const hits = alone.get(signal.name);
    figures.dataset.dropped = hits;
    figures.replaceChildren(...(bound
      ? [el("b", { class: hits ? "drop" : "" }, percent(hits, size)), ` dropped by this bound alone (${count(hits)})`,
        hits ? el("span", { class: "quiet" }, `, ${count(onlyBy(signal.name))} by no other`) : ""]
      : [el("span", { class: "quiet" }, "No bound yet: drag the handle in from the edge to set one.")]));
  };
  return { element, update };
}

function makeCards() {
  const inUse = (signal) => {
    const { min, max } = limits.get(signal.name);
    return min !== null || max !== null || Boolean(facts.sets[facts.begin][signal.name]);
  };
  const known = [...signals.values()].filter((signal) => signal.column);
  const place = byId("cards");
  const section = (title, note, members) => {
    if (!members.length) return;
    const groups = Object.keys(facts.groups);
    members.sort((a, b) => groups.indexOf(a.group) - groups.indexOf(b.group));
    const grid = el("div", { class: "grid" });
    let group = "";
    for (const signal of members) {
      if (signal.group !== group) grid.append(el("h3", { class: "group" }, facts.groups[signal.group]));
      group = signal.group;
      const made = card(signal);
      cards.set(signal.name, made);
      grid.append(made.element);
      made.update();
    }
    return [el("h2", {}, title, " ", el("small", {}, String(members.length))), el("p", { class: "quiet" }, note), grid];
  };
  const used = section("Bounds in use", "These decide which documents are kept.", known.filter(inUse));
  if (used) place.append(...used);
  // The rest is made when it is first opened: thirty pictures that most people never look at.
  const rest = known.filter((signal) => !inUse(signal));
  const more = el("details", { class: "more" }, el("summary", {}, `Other measures without a bound (${rest.length})`));
  more.addEventListener("toggle", () => {
    if (more.open && more.childElementCount === 1) {
      more.append(...(section("Measured, not used", "They were measured too. Drag a handle in from the edge to use one.", rest) || []));
    }
  });
  if (rest.length) place.append(more);
  const absent = [...signals.values()].filter((signal) => !signal.column).map((signal) => signal.title);
  if (absent.length) place.append(el("p", { class: "quiet" }, `Not measured in this language: ${absent.join(", ")}.`));
  listeners.push((names) => {
    if (names.length > 1 && rest.some((signal) => inUse(signal))) more.open = true;
    for (const [, each] of cards) each.update();
    tally();
  });
}

function tally() {
  const kept = size - dropped;
  byId("kept-share").textContent = percent(kept, size);
  byId("kept-share").dataset.dropped = dropped;
  byId("meter-kept").style.width = `${(100 * kept) / size}%`;
  let more = 0;
  let fewer = 0;
  for (let row = 0; row < size; row += 1) {
    if (failures[row] && !firstFailures[row]) more += 1;
    if (!failures[row] && firstFailures[row]) fewer += 1;
  }
  const error = 196 * Math.sqrt((kept / size) * (dropped / size) / size);
  const about = facts.total > size ? `, give or take ${error.toFixed(error < 0.1 ? 2 : 1)} % for all ${count(facts.total)}` : "";
  const change = more || fewer ? ` Now also dropped: ${count(more)}; now kept: ${count(fewer)}.` : "";
  byId("kept-detail").textContent =
    `${count(kept)} of ${documents(size)} kept, ${percent(dropped, size)} (${count(dropped)}) dropped by all bounds together${about}.${change}`;
  byId("reset").disabled = ![...limits.keys()].some((signal) => isChanged(signal)) && firstSet === facts.begin;
}
