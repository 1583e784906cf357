// Making elements. Text is only ever set as text: nothing on this page reads HTML from data.

function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  put(made, attributes);
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  put(made, attributes);
  made.append(...children);
  return made;
}

function put(element, attributes) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
}

const byId = (id) => document.getElementById(id);

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function count(number) {
  return whole.format(number);
}

function documents(number) {
  return `${count(number)} ${number === 1 ? "document" : "documents"}`;
}

// A share as percent, with enough digits to differ from none and from all.
function percent(part, all) {
  if (!all) return "0 %";
  const value = (100 * part) / all;
  const digits = value === 0 || value === 100 ? 0 : value < 0.1 || value > 99.9 ? 2 : 1;
  return `${value.toFixed(digits)} %`;
}

// A number without the noise of binary fractions.
function plain(number) {
  return Number(number.toPrecision(12));
}

function bytes(number) {
  if (number < 1000) return `${number} bytes`;
  const units = ["kB", "MB", "GB", "TB"];
  let place = -1;
  let value = number;
  do {
    value /= 1000;
    place += 1;
  } while (value >= 999.5 && place < units.length - 1);
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ${units[place]}`;
}

// Save a text as a file of the reader's machine.
function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = el("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

// One of several buttons is chosen; arrow keys move between them.
function tabs(buttons, choose) {
  const show = (chosen, focus) => {
    for (const button of buttons) {
      button.setAttribute("aria-selected", String(button === chosen));
      button.tabIndex = button === chosen ? 0 : -1;
    }
    if (focus) chosen.focus();
    choose(chosen);
  };
  buttons.forEach((button, place) => {
    button.addEventListener("click", () => show(button, false));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      show(buttons[(place + step + buttons.length) % buttons.length], true);
    });
  });
  return show;
}

// Memory of this browser; some keep none for pages from a disk.
const memory = {
  read(key) {
    try {
      return JSON.parse(localStorage.getItem(key));
    } catch {
      return null;
    }
  },
  write(key, value) {
    try {
      localStorage.setItem(key, JSON.stringify(value));
      return true;
    } catch {
      return false;
    }
  },
};
