// Putting it together.

function purpose() {
  const { name } = facts.language;
  byId("language").textContent = name;
  byId("tag").textContent = facts.language.tag;
  byId("purpose").textContent =
    `These are web pages in ${name}, collected to teach a language model. Many are junk: menus, spam, lists, broken text. ` +
    "Every page was measured in a few simple ways, and a page whose numbers are out of bounds is dropped. " +
    "If you read the language, you can see where these bounds should be better than any program can.";
  const sample = facts.total > size ? `Counts are of ${documents(size)}, a random sample of all ${count(facts.total)}. ` : `Counts are of all ${documents(size)}. `;
  byId("facts").textContent = sample +
    `${documents(facts.readable)} can be searched and read, ${count(facts.whole.length)} of them whole. ` +
    (facts.redacted ? "Personal data such as e-mail addresses were replaced by tags. " : "Personal data were not removed: do not pass this file on. ") +
    "Heights in the pictures are square roots, so that rare values can be seen. This page loads nothing and sends nothing; your work stays in this browser until you download it.";
}

function fillSets() {
  const names = { "as filtered": "as it was filtered", default: "our standard bounds", roots: "ROOTS (2022)", fineweb2: "FineWeb-2", fineweb: "FineWeb", gopher: "Gopher", c4: "C4", madlad: "MADLAD-400" };
  const sets = byId("sets");
  for (const name of Object.keys(facts.sets)) {
    sets.append(el("option", { value: name }, names[name] || name.split("/").pop(), name === facts.begin ? " (now)" : ""));
  }
  sets.value = firstSet;
  sets.addEventListener("change", () => loadSet(sets.value));
  byId("reset").addEventListener("click", () => {
    sets.value = facts.begin;
    loadSet(facts.begin);
  });
}

async function begin() {
  purpose();
  await unpackNumbers();
  beginBounds();
  fillSets();
  makeCards();
  beginReader();
  beginLabels();
  tally();
  tabs([byId("tab-bounds"), byId("tab-overview")], (chosen) => {
    const overview = chosen.id === "tab-overview";
    byId("view-bounds").hidden = overview;
    byId("view-overview").hidden = !overview;
    document.body.classList.toggle("overview", overview);
    if (overview) showOverview();
    scrollTo(0, 0);
  });
  byId("download-toml").addEventListener("click", () => save(fileName(), "application/toml", toml()));
  // What sticks below the tally stays below it when it grows by a line.
  new ResizeObserver(([box]) => {
    document.documentElement.style.setProperty("--tally", `${box.target.offsetHeight}px`);
  }).observe(document.querySelector(".tally"));
  document.documentElement.dataset.ready = String(Math.round(performance.now())); // milliseconds since it was opened
  await readExcerpts();
  const most = [...alone].filter(([name]) => cards.has(name)).sort((a, b) => b[1] - a[1])[0];
  if (most && !reading.signal) select(most[0], null, false);
}

begin().catch((error) => {
  const trouble = byId("trouble");
  trouble.hidden = false;
  trouble.textContent = typeof DecompressionStream === "undefined"
    ? "This browser is too old for this page: it needs one of 2023 or later."
    : `The page could not be set up: ${error.message}`;
});
