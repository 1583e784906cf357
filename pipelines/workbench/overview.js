// The corpus as a whole: what each stage dropped, the languages, the sites, and how the signals go together.

function table(caption, heads, rows) {
  return el("div", { class: "scroll" }, el("table", {}, el("caption", {}, caption),
    el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col", class: head ? null : "wide" }, head)))), el("tbody", {}, rows)));
}

function bar(part, all, kind) {
  const fill = el("i", { class: kind });
  fill.style.width = `${all ? (100 * part) / all : 0}%`;
  return el("span", { class: "bar", "aria-hidden": "true" }, fill);
}

function stagesPart() {
  const most = Math.max(...facts.stages.map((stage) => stage.rows), 1);
  const rows = facts.stages.flatMap((stage) => [
    el("tr", { class: "stage" }, el("th", { scope: "row" }, stage.stage, el("small", {}, stage.what)),
      el("td", {}, count(stage.rows)), el("td", {}, count(stage.kept)), el("td", {}, count(stage.rows - stage.kept)),
      el("td", { class: "wide" }, bar(stage.kept, most, "kept"))),
    ...stage.drops.map((drop) => el("tr", { class: "reason" }, el("th", { scope: "row" }, drop.what, " ", el("code", {}, drop.reason)),
      el("td", {}), el("td", {}), el("td", {}, count(drop.rows)), el("td", { class: "wide" }, bar(drop.rows, most, "dropped")))),
  ]);
  const lost = facts.stages.filter((stage) => stage.rows !== stage.kept + stage.drops.reduce((sum, drop) => sum + drop.rows, 0));
  const gaps = facts.stages.slice(1).filter((stage, place) => stage.rows !== facts.stages[place].kept);
  const sound = lost.length || gaps.length
    ? el("p", { class: "notice" }, `The counts do not add up at: ${[...lost, ...gaps].map((stage) => stage.stage).join(", ")}. The stages come from different runs.`)
    : el("p", { class: "quiet" }, "Every document is accounted for: each stage was given what the stage before kept, and kept plus dropped is what it was given.");
  return el("section", {}, el("h2", {}, "From web pages to corpus"), sound,
    table("What each step was given, kept and dropped", ["Step", "Given", "Kept", "Dropped", ""], rows));
}

function languagesPart() {
  const rows = facts.languages.map((each) => el("tr", { class: each.code === facts.language.code ? "this" : "" },
    el("th", { scope: "row" }, each.name, " ", el("code", {}, each.code)), el("td", {}, count(each.pages)), el("td", {}, count(each.extracted)),
    el("td", {}, count(each.documents)), el("td", {}, each.bytes ? bytes(each.bytes) : "–")));
  return el("section", {}, el("h2", {}, "Languages"), table("Languages of this work folder",
    ["Language", "Pages looked at", "In the language", "Kept so far", "Text in the dataset"], rows));
}

const STEPS = ["extract", "filter", "dedup", "redact"];

function sourceRow(source) {
  const head = el("th", { scope: "row" }, source.name, el("small", {}, [source.license, source.custodian].join(", ")));
  if (source.kill) return el("tr", { class: "stage" }, head, el("td", { colspan: STEPS.length + 3, class: "killed" }, `Not read: ${source.kill}`));
  let last = null;
  const cells = STEPS.map((name) => {
    const step = source.steps[name];
    if (!step) return el("td", {}, "–");
    const less = last && last.bytes !== null ? el("small", {}, bytes(last.bytes - step.bytes)) : null;
    last = step;
    return el("td", {}, count(step.rows - step.kept), less);
  });
  return el("tr", { class: "stage" }, head, el("td", {}, source.steps.index ? count(source.steps.index.rows) : "–"), cells,
    el("td", {}, last ? count(last.kept) : "–"), el("td", {}, last ? bytes(last.bytes) : "–"));
}

function exampleItem(example) {
  return el("li", {}, el("code", {}, example.reason), example.before ? el("blockquote", { class: "before", dir: "auto" }, example.before) : null,
    example.after ? el("blockquote", { class: "after", dir: "auto" }, example.after) : null);
}

function sourcesPart() {
  if (!facts.sources.length) return el("section", {});
  const rows = facts.sources.flatMap((source) => [sourceRow(source), source.examples.length
    ? el("tr", { class: "reason" }, el("td", { colspan: STEPS.length + 4, class: "examples" }, el("details", {},
      el("summary", {}, `Examples of ${source.name} (${source.examples.length})`), el("ul", {}, source.examples.map(exampleItem)))))
    : null]).filter(Boolean);
  return el("section", { class: "sources" }, el("h2", {}, "Sources"),
    el("p", { class: "quiet" }, "What each step removed of each source of the catalogue: documents, and below them the bytes of their text. Redact also counts the lines that dedup removed, and what was replaced."),
    table("Sources of the catalogue", ["Source", "Records", ...STEPS.map((name) => `Removed by ${name}`), "Kept", "Text kept"], rows));
}

function domainsPart() {
  const most = Math.max(...facts.domains.map((each) => each.documents), 1);
  const rows = facts.domains.map((each) => el("tr", {}, el("th", { scope: "row" }, el("bdi", {}, each.domain)),
    el("td", {}, count(each.documents)), el("td", {}, percent(each.documents, facts.total)), el("td", {}, percent(each.dropped, each.documents)),
    el("td", { class: "wide" }, bar(each.documents, most, "kept"))));
  return el("section", { class: "sites" }, el("h2", {}, "Where the documents come from"),
    el("p", { class: "quiet" }, "The sites with most documents, before filtering, and how many of theirs the filter dropped."),
    table("Sites with most documents", ["Site", "Documents", "Of all", "Dropped by the filter", ""], rows));
}

function correlationPart() {
  const { names, rows } = facts.correlation;
  if (names.length < 2) return el("section", {});
  const close = [];
  names.forEach((name, row) => names.slice(0, row).forEach((other, column) => {
    if (Math.abs(rows[row][column]) >= 0.9) close.push([rows[row][column], signals.get(other).title, signals.get(name).title]);
  }));
  close.sort((a, b) => Math.abs(b[0]) - Math.abs(a[0]));
  const body = names.map((name, row) => el("tr", {}, el("th", { scope: "row" }, signals.get(name).title), names.map((other, column) => {
    const value = rows[row][column];
    const cell = el("td", { title: `${signals.get(name).title} and ${signals.get(other).title}: ${value.toFixed(2)}` }, el("span", { class: "hidden" }, value.toFixed(2)));
    cell.style.setProperty("--strength", Math.abs(value).toFixed(2));
    cell.className = value < 0 ? "against" : "with";
    return cell;
  })));
  const heads = el("tr", {}, el("td", {}), names.map((name) => el("th", { scope: "col" }, el("span", {}, signals.get(name).title))));
  return el("section", {}, el("h2", {}, "Which measures say the same"),
    el("p", { class: "quiet" }, "Rank correlation of every pair of measures over the documents of this page. Strong colour: one rises as the other rises ",
      el("span", { class: "key with" }), " or falls ", el("span", { class: "key against" }), ". Two measures that say the same need only one bound."),
    el("div", { class: "scroll" }, el("table", { class: "heat" }, el("caption", { class: "hidden" }, "Correlation of measures"), el("thead", {}, heads), el("tbody", {}, body))),
    close.length ? el("details", {}, el("summary", {}, `Pairs that say nearly the same (${close.length})`),
      el("ul", {}, close.slice(0, 60).map(([value, one, two]) => el("li", {}, `${one} and ${two}: ${value.toFixed(2)}`)))) : null);
}

function showOverview() {
  const place = byId("view-overview");
  if (!place.childElementCount) place.append(stagesPart(), languagesPart(), sourcesPart(), domainsPart(), correlationPart());
}
