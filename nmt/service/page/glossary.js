// The glossary: terms with their translations, for each direction apart, kept in the browser.
import { byId, element } from "./dom.js";
import { recall, remember } from "./store.js";

const list = byId("terms");
let direction = "";
let directionInWords = "";
let onChange = () => {};

/** The terms of a direction, as the service takes them. */
export function glossaryFor(source, target) {
  const terms = pairsOf(`${source}-${target}`).map((pair) => pair.map((part) => part.trim()));
  return Object.fromEntries(terms.filter(([term, translation]) => term && translation));
}

function pairsOf(direction) {
  const pairs = recall("glossary", {})[direction];
  const isPair = (pair) => Array.isArray(pair) && pair.length === 2 && pair.every((part) => typeof part === "string");
  return Array.isArray(pairs) ? pairs.filter(isPair) : [];
}

/** Show the terms of a direction; `about` is the direction in words. */
export function showGlossary(source, target, about) {
  const next = `${source}-${target}`;
  if (next !== direction) {
    direction = next;
    list.replaceChildren(...pairsOf(direction).map((pair) => row(...pair)));
  }
  directionInWords = about;
  showCount();
}

function showCount() {
  const count = pairsOf(direction).length;
  byId("glossary-about").textContent = directionInWords + (count ? ` (${count})` : "");
}

function row(term = "", translation = "") {
  const input = (value, label) => element("input", { value, ariaLabel: label, dir: "auto", autocomplete: "off" });
  const remove = element("button", { type: "button", className: "quiet", title: "Remove this term" }, "×");
  remove.ariaLabel = "Remove this term";
  const made = element("li", {}, input(term, "Term"), arrow(), input(translation, "Its translation"), remove);
  remove.addEventListener("click", () => {
    const next = made.nextElementSibling ?? made.previousElementSibling;
    made.remove();
    (next?.querySelector("input") ?? byId("add-term")).focus();
    save();
  });
  return made;
}

const arrow = () => element("span", { ariaHidden: "true" }, "→");

function save() {
  const pairs = [...list.children].map((one) => [...one.querySelectorAll("input")].map((input) => input.value));
  remember("glossary", { ...recall("glossary", {}), [direction]: pairs.filter((pair) => pair.some(Boolean)) });
  showCount();
  onChange();
}

export function startGlossary(callback) {
  onChange = callback;
  list.addEventListener("input", save);
  list.addEventListener("paste", paste);
  list.addEventListener("keydown", (event) => event.key === "Enter" && add());
  byId("add-term").addEventListener("click", add);
}

function add() {
  const made = row();
  list.append(made);
  made.querySelector("input").focus();
}

/** Two columns of a table (lines with a tab) become rows; anything else is pasted as usual. */
function paste(event) {
  const text = event.clipboardData.getData("text");
  const pairs = text.split(/\r?\n/).map((line) => line.split("\t")).filter((cells) => cells.length >= 2);
  if (!pairs.length) return;
  event.preventDefault();
  const here = event.target.closest("li");
  here.after(...pairs.map(([term, translation]) => row(term.trim(), translation.trim())));
  if ([...here.querySelectorAll("input")].every((input) => !input.value)) here.remove();
  save();
}
