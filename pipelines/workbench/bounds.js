// The bounds, and judging by them exactly as the filter stage does: both ends are allowed values, a document without a
// number passes, shares are compared as 32-bit floats and counts as they are.

const limits = new Map(); // signal -> {min, max}; null is no limit
const crossed = new Map(); // signal -> Uint8Array (documents): dropped by this bound
const alone = new Map(); // signal -> how many
const failures = new Uint8Array(size); // of each document: by how many bounds it is dropped
let dropped = 0; // by all bounds together
let firstFailures = null; // which documents the first bounds drop
const listeners = [];
const memoryKey = `roots.bounds.${facts.language.code}.${facts.key}`;

function setOf(name) {
  const found = new Map();
  for (const name of signals.keys()) found.set(name, { min: null, max: null });
  for (const [signal, bound] of Object.entries(facts.sets[name])) {
    found.set(signal, { min: bound.min, max: bound.max });
  }
  return found;
}

let firstSet = facts.begin;

function first(signal) {
  const bound = facts.sets[firstSet][signal] || {};
  return { min: bound.min ?? null, max: bound.max ?? null };
}

function isChanged(signal) {
  const now = limits.get(signal);
  const then = first(signal);
  return now.min !== then.min || now.max !== then.max;
}

function drops(signal, value) {
  const { min, max } = limits.get(signal);
  const fit = signals.get(signal).column?.kind === "float32" ? Math.fround : (number) => number;
  return (min !== null && value < fit(min)) || (max !== null && value > fit(max));
}

function judge(signal) {
  const values = columns.get(signal);
  if (!values) return;
  if (!crossed.has(signal)) crossed.set(signal, new Uint8Array(size));
  const marks = crossed.get(signal);
  const { min, max } = limits.get(signal);
  const fit = signals.get(signal).column.kind === "float32" ? Math.fround : (number) => number;
  const low = min === null ? -Infinity : fit(min);
  const high = max === null ? Infinity : fit(max);
  let hits = 0;
  for (let row = 0; row < size; row += 1) {
    const value = values[row];
    const mark = value < low || value > high ? 1 : 0;
    hits += mark;
    if (mark !== marks[row]) {
      const before = failures[row];
      failures[row] = mark ? before + 1 : before - 1;
      if (before === 0) dropped += 1;
      else if (failures[row] === 0) dropped -= 1;
      marks[row] = mark;
    }
  }
  alone.set(signal, hits);
}

// Documents that only this bound drops: what would come back without it.
function onlyBy(signal) {
  const marks = crossed.get(signal);
  let hits = 0;
  for (let row = 0; row < size; row += 1) hits += marks[row] & (failures[row] === 1 ? 1 : 0);
  return hits;
}

function failedSignals(row) {
  return [...crossed].filter(([, marks]) => marks[row]).map(([signal]) => signal);
}

function setLimit(signal, side, value) {
  const bound = limits.get(signal);
  const other = side === "min" ? bound.max : bound.min;
  if (value !== null && other !== null) value = side === "min" ? Math.min(value, other) : Math.max(value, other);
  if (bound[side] === value) return;
  bound[side] = value;
  changed([signal]);
}

let waiting = null;

// Several moves between two pictures are judged once.
function changed(names) {
  if (!waiting) {
    waiting = new Set();
    requestAnimationFrame(settle);
  }
  for (const name of names) waiting.add(name);
}

function settle() {
  const names = [...(waiting || [])];
  waiting = null;
  for (const name of names) judge(name);
  for (const listener of listeners) listener(names);
  const kept = [...limits].filter(([signal]) => isChanged(signal));
  memory.write(memoryKey, { set: firstSet, limits: kept });
}

function loadSet(name) {
  firstSet = name;
  for (const [signal, bound] of setOf(name)) limits.set(signal, bound);
  changed([...signals.keys()]);
}

function beginBounds() {
  for (const [signal, bound] of setOf(facts.begin)) limits.set(signal, bound);
  for (const signal of signals.keys()) judge(signal);
  firstFailures = failures.map((number) => (number ? 1 : 0));
  const kept = memory.read(memoryKey);
  if (!kept || !facts.sets[kept.set] || !Array.isArray(kept.limits)) return;
  firstSet = kept.set;
  for (const [signal, bound] of setOf(firstSet)) limits.set(signal, bound);
  for (const [signal, bound] of kept.limits) {
    if (limits.has(signal)) limits.set(signal, { min: number(bound?.min), max: number(bound?.max) });
  }
  for (const signal of signals.keys()) judge(signal);
}

function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

// A TOML string: JSON's escapes are TOML's, but for U+007F.
function quoted(text) {
  return JSON.stringify(text).replaceAll("\u007f", "\\u007f");
}

// The bounds as a file. It lies over the standard set, so whatever that set limits is said here too.
function toml() {
  const { code, name } = facts.language;
  const sample = facts.total === size ? "" : `, a sample of the ${facts.total} there are`;
  const lines = [
    `# Bounds of ${name} (${code}), set in the threshold workbench, from the set "${firstSet}".`,
    `# Of ${size} documents${sample}, they drop ${dropped}.`,
    `# To judge by them: roots judge WORK --lang ${code} --bounds ${fileName()}`,
    "",
  ];
  const standard = facts.sets[facts.standard];
  for (const [signal, bound] of limits) {
    if (bound.min === null && bound.max === null && !standard[signal]) continue;
    lines.push(`[bounds.${signal}]`);
    lines.push(`min = ${bound.min === null ? '"none"' : bound.min}`);
    lines.push(`max = ${bound.max === null ? '"none"' : bound.max}`);
    lines.push(`source = ${quoted(source(signal))}`, "");
  }
  return lines.join("\n");
}

function fileName() {
  return `bounds-${facts.language.code}.toml`;
}

function source(signal) {
  const given = facts.sets[firstSet][signal]?.source || `set "${firstSet}"`;
  if (!isChanged(signal)) return given;
  const { min, max } = first(signal);
  const before = min === null && max === null ? "no limit" : `${min ?? "none"} to ${max ?? "none"}`;
  return `set by hand in the workbench, drops ${alone.get(signal) ?? 0} of ${size} documents alone; before: ${before}`;
}
