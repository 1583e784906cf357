// What the page carries: `facts` (plain values), columns of numbers, and texts, unpacked when they are first read.

const facts = JSON.parse(byId("values").textContent);
const signals = new Map(facts.signals.map((signal) => [signal.name, signal]));
const size = facts.counted;
const columns = new Map(); // signal -> Float32Array or Float64Array (documents), NaN where there is no number
let ids = [];
let urls = [];
let excerpts = [];
const BLOCK = 64; // whole texts in one packed block

async function unpack(name) {
  const holder = byId(`data-${name}`);
  const letters = atob(holder.textContent);
  holder.remove();
  const packed = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at += 1) packed[at] = letters.charCodeAt(at);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

async function unpackJson(name) {
  return JSON.parse(new TextDecoder().decode(await unpack(name)));
}

// Columns lie one after the other: the different values, then the low and the high bytes of which one a document has.
async function unpackNumbers() {
  const buffer = await unpack("numbers");
  let at = 0;
  const stored = facts.signals.filter((signal) => signal.column).sort((a, b) => a.column.place - b.column.place);
  for (const { name, column } of stored) {
    const view = new DataView(buffer, at, 4 * column.different);
    const table = new Float64Array(column.different);
    const float = column.kind === "float32";
    for (let place = 0; place < table.length; place += 1) {
      table[place] = float ? view.getFloat32(4 * place, true) : view.getInt32(4 * place, true);
    }
    const low = new Uint8Array(buffer, at + 4 * column.different, size);
    const high = new Uint8Array(buffer, at + 4 * column.different + size, size);
    const values = new Float64Array(size);
    for (let row = 0; row < size; row += 1) {
      const rank = low[row] | (high[row] << 8);
      values[row] = rank === 0xffff ? NaN : table[rank];
    }
    columns.set(name, values);
    at += 4 * column.different + 2 * size;
  }
  ids = new TextDecoder().decode(new Uint8Array(buffer, at, facts.ids)).split("\n");
}

let excerptsReady = null;

function readExcerpts() {
  excerptsReady ??= unpackJson("excerpts").then((found) => {
    [urls, excerpts] = found;
  });
  return excerptsReady;
}

const wholePlace = new Map(facts.whole.map((row, place) => [row, place]));
const blocks = new Map(); // number of a block -> its texts, promised

// The whole text of a document, or null where only its beginning is in the page.
async function wholeText(row) {
  const place = wholePlace.get(row);
  if (place === undefined) return null;
  const number = Math.floor(place / BLOCK);
  if (!blocks.has(number)) blocks.set(number, unpackJson(`texts-${number}`));
  return (await blocks.get(number))[place % BLOCK];
}
