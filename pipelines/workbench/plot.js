// One signal's picture: bars of how many documents have which value, and its bounds as handles.

const BINS = 64;

// Where a value stands between the ends of the axis, 0 to 1; counts are drawn by their logarithm.
function scaleOf(signal) {
  const log = signal.axis === "log";
  const bend = log ? Math.log1p : (value) => value;
  const straighten = log ? Math.expm1 : (value) => value;
  const { low, high } = rangeOf(signal, log);
  const from = bend(low);
  const span = bend(high) - from || 1;
  return {
    low,
    high,
    log,
    at: (value) => (bend(Math.min(Math.max(value, low), high)) - from) / span,
    value: (place) => straighten(from + place * span),
    round: (value) => {
      const digits = log ? 10 ** Math.max(0, Math.floor(Math.log10(Math.max(value, 1))) - 1) : 0;
      if (log) return Math.round(value / digits) * digits;
      const step = 10 ** Math.floor(Math.log10(span / 150));
      return plain(Math.round(value / step) * step);
    },
    step: log ? null : 10 ** Math.floor(Math.log10(span / 150)),
  };
}

// The ends of the axis: nearly all documents, and every bound of every set that is not far off.
function rangeOf(signal, log) {
  const values = Float64Array.from(columns.get(signal.name)).filter((value) => !Number.isNaN(value)).sort();
  const at = (share) => values[Math.min(values.length - 1, Math.floor(share * values.length))] ?? 0;
  let low = at(0.002);
  let high = at(0.998);
  const now = limits.get(signal.name);
  for (const value of [now.min, now.max, ...usualLimits(signal.name)]) {
    if (value === null || value === undefined) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (log) return { low: Math.max(0, Math.floor(low * 0.8)), high: Math.max(low + 3, Math.ceil(high * 1.25)) };
  const room = (high - low) * 0.06 || 0.05;
  low = Math.max(0, low - room);
  high = Math.min(signal.ceiling ?? Infinity, high + room);
  return { low: low < (high - low) * 0.25 ? Math.min(low, 0) : low, high };
}

function usualLimits(name) {
  return [facts.begin, facts.standard].flatMap((set) => {
    const bound = facts.sets[set][name];
    return bound ? [bound.min, bound.max] : [];
  });
}

function sidesOf(signal) {
  const sides = new Set(signal.bad === "both" ? ["min", "max"] : [signal.bad === "low" ? "min" : "max"]);
  for (const set of Object.values(facts.sets)) {
    for (const side of ["min", "max"]) if ((set[signal.name]?.[side] ?? null) !== null) sides.add(side);
  }
  return ["min", "max"].filter((side) => sides.has(side));
}

// Bars as one path over 100 x 100, the height by the square root, so that the few at the edge can still be seen.
function bars(signal, scale) {
  const bins = new Uint32Array(BINS);
  for (const value of columns.get(signal.name)) {
    if (!Number.isNaN(value)) bins[Math.min(BINS - 1, Math.floor(scale.at(value) * BINS))] += 1;
  }
  const top = Math.sqrt(Math.max(...bins, 1));
  const width = 100 / BINS;
  let path = "";
  bins.forEach((number, place) => {
    if (!number) return;
    const height = Math.max(2, (94 * Math.sqrt(number)) / top);
    path += `M${(place * width + 0.12).toFixed(2)} 100v${(-height).toFixed(2)}h${(width - 0.24).toFixed(2)}v${height.toFixed(2)}z`;
  });
  return path;
}

function shown(signal, value) {
  if (value === null) return "no limit";
  if (signal.axis === "share") return `${plain(Number((100 * value).toPrecision(4)))} %`;
  return signal.axis === "log" ? count(value) : String(plain(Number(value.toPrecision(4))));
}

function plot(signal) {
  const box = el("div", { class: "plot" });
  const axis = el("div", { class: "axis", "aria-hidden": "true" });
  const handles = new Map();
  let scale;
  let kept;
  let shades;
  const draw = () => {
    scale = scaleOf(signal);
    const path = bars(signal, scale);
    const [clip, rest] = [`clip-${signal.name}`, `rest-${signal.name}`];
    kept = svg("rect", { y: 0, height: 100 });
    const side = () => [svg("rect", { class: "shade", y: 0, height: 100, x: 0 }), svg("rect", { y: 0, height: 100, x: 0 })];
    shades = { min: side(), max: side() }; // what is seen, and what clips the bars that are dropped
    const picture = svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("clipPath", { id: clip }, kept), svg("clipPath", { id: rest }, shades.min[1], shades.max[1]), shades.min[0], shades.max[0],
      svg("path", { class: "out", d: path, "clip-path": `url(#${rest})` }), svg("path", { class: "in", d: path, "clip-path": `url(#${clip})` }));
    box.replaceChildren(picture, ...handles.values());
    axis.replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((place) => {
      const value = scale.value(place);
      return el("span", {}, shown(signal, signal.axis === "log" ? Math.round(Number(value.toPrecision(2))) : Number(value.toPrecision(2))));
    }));
    move();
  };
  const move = () => {
    const { min, max } = limits.get(signal.name);
    const left = min === null ? 0 : 100 * scale.at(min);
    const right = max === null ? 100 : 100 * scale.at(max);
    put(kept, { x: left, width: Math.max(0, right - left) });
    for (const shade of shades.min) put(shade, { width: left });
    for (const shade of shades.max) put(shade, { x: right, width: 100 - right });
    for (const [side, handle] of handles) {
      const value = limits.get(signal.name)[side];
      handle.style.left = `${side === "min" ? left : right}%`;
      handle.classList.toggle("open", value === null);
      put(handle, { "aria-valuenow": value ?? (side === "min" ? scale.low : scale.high), "aria-valuetext": shown(signal, value) });
      put(handle, { "aria-valuemin": scale.low, "aria-valuemax": scale.high });
      handle.firstChild.textContent = value === null ? "" : shown(signal, value);
    }
  };
  for (const side of sidesOf(signal)) handles.set(side, handleOf(signal, side, box, () => scale));
  draw();
  const update = () => {
    const { min, max } = limits.get(signal.name);
    const outside = [min, max].some((value) => value !== null && (value < scale.low || value > scale.high));
    if (outside) draw();
    else move();
  };
  return { element: el("div", { class: "picture" }, box, axis), update };
}

function handleOf(signal, side, box, scale) {
  const handle = el("div", {
    class: `handle ${side}`, role: "slider", tabindex: 0, "data-side": side,
    "aria-label": `${signal.title}: ${side === "min" ? "at least" : "at most"}`,
    "aria-orientation": "horizontal",
  }, el("span", { class: "flag" }), el("i"));
  // The end of the axis means: no limit.
  const setPlace = (place) => {
    const open = side === "min" ? place <= 0 : place >= 1;
    const value = scale().round(scale().value(Math.min(Math.max(place, 0), 1)));
    setLimit(signal.name, side, open ? null : value);
  };
  const follow = (event) => {
    const { left, width } = box.getBoundingClientRect();
    setPlace((event.clientX - left) / width);
  };
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.focus({ preventScroll: true });
    handle.setPointerCapture(event.pointerId);
    handle.addEventListener("pointermove", follow);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    handle.addEventListener(end, () => handle.removeEventListener("pointermove", follow));
  }
  handle.addEventListener("pointerup", () => select(signal.name, side));
  handle.addEventListener("keydown", (event) => {
    const now = limits.get(signal.name)[side];
    const place = now === null ? (side === "min" ? 0 : 1) : scale().at(now);
    const step = (event.shiftKey ? 10 : 1) * { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10 }[event.key];
    if (event.key === "Delete" || event.key === "Backspace") setLimit(signal.name, side, null);
    else if (event.key === "Home") setPlace(side === "min" ? 0 : 0.001);
    else if (event.key === "End") setPlace(side === "min" ? 0.999 : 1);
    else if (!step) return;
    else if (scale().step && now !== null && place + step / 150 > 0 && place + step / 150 < 1) {
      setLimit(signal.name, side, scale().round(now + step * scale().step));
    } else setPlace(place + step / 150);
    event.preventDefault();
  });
  return handle;
}
