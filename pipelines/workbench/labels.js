// A speaker's labels: document id -> "fine" or "junk". Kept in this browser, saved as the file that `roots derive` reads.

const labelKey = `roots.labels.${facts.language.code}`;
const labels = new Map(Object.entries(memory.read(labelKey) || {}).filter(([, label]) => label === "fine" || label === "junk"));
const rowOf = new Map(); // id -> row
let labelsKept = true;

function label(row, verdict) {
  const id = ids[row];
  if (labels.get(id) === verdict) labels.delete(id);
  else labels.set(id, verdict);
  labelsChanged();
}

function labelsChanged() {
  labelsKept = memory.write(labelKey, Object.fromEntries(labels));
  showLabels();
}

function labelFile() {
  const sorted = [...labels].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return JSON.stringify({ language: facts.language.code, labels: Object.fromEntries(sorted) }, null, 1) + "\n";
}

function labelButtons(row) {
  const buttons = [["fine", "This one is fine"], ["junk", "This one is junk"]].map(([verdict, text]) =>
    el("button", { type: "button", class: `verdict ${verdict}`, "data-label": verdict, onclick: () => label(row, verdict) }, text));
  const group = el("div", { class: "verdicts", role: "group", "aria-label": "Your label", "data-row": row }, buttons);
  markButtons(group);
  return group;
}

function markButtons(group) {
  const now = labels.get(ids[Number(group.dataset.row)]);
  for (const button of group.children) button.setAttribute("aria-pressed", String(button.dataset.label === now));
}

function showMark(chip) {
  const verdict = labels.get(ids[Number(chip.dataset.row)]);
  chip.hidden = !verdict;
  chip.textContent = verdict || "";
  chip.classList.toggle("fine", verdict === "fine");
  chip.classList.toggle("junk", verdict === "junk");
}

// Everything that shows labels: the buttons, the count, and what the bounds do to the labelled documents.
function showLabels() {
  for (const group of document.querySelectorAll(".verdicts")) markButtons(group);
  for (const chip of document.querySelectorAll(".mark")) showMark(chip);
  byId("label-count").textContent = String(labels.size);
  byId("download-labels").disabled = labels.size === 0;
  const found = { fine: [0, 0], junk: [0, 0] };
  for (const [id, verdict] of labels) {
    const row = rowOf.get(id);
    if (row === undefined) continue;
    found[verdict][0] += 1;
    if (failures[row]) found[verdict][1] += 1;
  }
  const { fine, junk } = found;
  const parts = [];
  if (junk[0]) parts.push(`${junk[1]} of your ${junk[0]} junk documents are dropped`);
  if (fine[0]) parts.push(`${fine[0] - fine[1]} of your ${fine[0]} fine ones are kept`);
  if (!labelsKept) parts.push("this browser keeps no memory for files: download your labels before you close the page");
  byId("judged").textContent = parts.length ? `By these bounds, ${parts.join("; ")}.` : "";
}

// Go on from a file that was saved before.
async function loadLabels(file) {
  let read;
  try {
    read = JSON.parse(await file.text());
  } catch {
    return `${file.name} is no file of labels.`;
  }
  const found = Object.entries(read?.labels || {}).filter(([, verdict]) => verdict === "fine" || verdict === "junk");
  for (const [id, verdict] of found) labels.set(id, verdict);
  labelsChanged();
  return `${count(found.length)} labels read from ${file.name}.`;
}

function beginLabels() {
  ids.forEach((id, row) => rowOf.set(id, row));
  byId("download-labels").addEventListener("click", () => save(`labels-${facts.language.code}.json`, "application/json", labelFile()));
  listeners.push(showLabels);
  showLabels();
}
