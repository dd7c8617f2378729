// The history of translations, kept in the browser.
import { byId, element } from "./dom.js";
import { recall, remember } from "./store.js";

const MOST_ENTRIES = 50;
/** A longer text is not kept: browsers store about five million characters in all. */
const MOST_CHARACTERS = 20000;

/** Milliseconds without a change before a translation is kept. */
const SETTLED = 1500;

/** The entry of the text that is being written; every change replaces it. */
let current = null;
/** A translation that is kept unless it changes soon. */
let offered = null;
let timer;
let onOpen = () => {};

const isOn = () => recall("keepHistory", true) === true;

function entries() {
  const found = recall("history", []);
  const fields = ["source", "target", "text", "translation"];
  const isEntry = (one) => one && fields.every((name) => typeof one[name] === "string");
  return Array.isArray(found) ? found.filter(isEntry) : [];
}

/** Keep a translation when it has settled: {source, target, text, translation}. */
export function offer(entry) {
  offered = entry;
  wait();
}

/** The text changes: wait again. */
export function wait() {
  clearTimeout(timer);
  timer = setTimeout(keep, SETTLED);
}

/** Keep the last translation now. */
export function keep() {
  clearTimeout(timer);
  const entry = offered;
  offered = null;
  if (!entry || !isOn() || entry.text.length > MOST_CHARACTERS) return;
  const same = (one) => one.text === entry.text && one.source === entry.source && one.target === entry.target;
  const others = entries().filter((one) => !same(one) && !(current && one.id === current));
  current = Date.now();
  remember("history", [{ id: current, ...entry }, ...others].slice(0, MOST_ENTRIES));
  showHistory();
}

/** The next text is another one and gets an entry of its own. */
export function beginEntry() {
  current = offered = null;
}

export function showHistory() {
  const found = entries();
  byId("keep-history").checked = isOn();
  byId("clear-history").disabled = !found.length;
  byId("history-about").textContent = found.length ? String(found.length) : "";
  byId("entries").replaceChildren(...found.map(row));
}

function row(entry) {
  const direction = element("span", { className: "aside" }, `${entry.source} → ${entry.target}`);
  const text = element("span", { dir: "auto" }, entry.text.slice(0, 200));
  const translation = element("span", { dir: "auto", className: "aside" }, entry.translation.slice(0, 200));
  const button = element("button", { type: "button", className: "entry" }, direction, text, translation);
  button.addEventListener("click", () => onOpen(entry));
  return element("li", {}, button);
}

/** `callback` is called with the entry that the user opens. */
export function startHistory(callback) {
  onOpen = callback;
  byId("keep-history").addEventListener("change", ({ target }) => remember("keepHistory", target.checked));
  byId("clear-history").addEventListener("click", () => {
    beginEntry();
    remember("history", []);
    showHistory();
    byId("history").querySelector("summary").focus();
  });
  showHistory();
}
