// The two panes: the sentences of the translation, the words that belong together, and other translations.
//
// A textarea cannot mark words. So behind the source text lies a mirror: the same text in the same place, transparent,
// whose words have elements. The mirror also makes the textarea as high as its text.
import { announce, byId, element } from "./dom.js";
import { chosen } from "./lines.js";

/** Sentences with a lower probability of being good are underlined. */
const DOUBTFUL = 0.5;

const source = byId("source");
const mirror = byId("mirror");
const translation = byId("translation");
const menu = byId("alternatives");

/** What is drawn of each line: {line, sentences, element, pairs}. */
let rows = [];
/** A sentence on both sides, by its elements: {row, number, sentence, source, sourceWords, target, targetWords}. */
const pairs = new WeakMap();
let marked = [];
/** What the keyboard has reached in the translation. */
let reached = { pair: null, word: 0 };

/** Called when the user has chosen another translation: gives the new sentences of a line, if it still knows it. */
let onChoice = (line, number, candidate) => undefined;
export const setOnChoice = (callback) => (onChoice = callback);

/** Draw a translation; a line without one keeps what it shows, in grey, until it has one. */
export function show(text, results) {
  unmark();
  const lines = text.split("\n");
  rows = results.map((sentences, number) => drawn(rows[number], sentences, lines[number]));
  rows.forEach(({ element }, number) => {
    const there = translation.children[number];
    if (!there) translation.append(element);
    else if (there !== element) there.replaceWith(element); // the others keep their focus
  });
  while (translation.children.length > rows.length) translation.lastChild.remove();
  const all = rows.flatMap((row) => row.pairs);
  all.forEach((pair, number) => (pair.target.tabIndex = number ? -1 : 0)); // one stop for Tab; arrows reach the others
  byId("doubtful").hidden = !all.some((pair) => isDoubtful(pair.sentence));
  showProblems(all);
  if (source.value === text) drawMirror(lines);
}

function drawn(row, sentences, line) {
  if (!sentences) row?.element.classList.add("old");
  if (row && (!sentences || row.sentences === sentences)) {
    if (sentences) row.element.classList.remove("old");
    return { ...row, line };
  }
  const made = { line, sentences, pairs: [], element: element("div", { className: "line", dir: "auto" }) };
  (sentences ?? []).forEach((sentence, place) => {
    const target = element("span", { className: "sentence", role: "button", tabIndex: -1, ariaHasPopup: "menu" });
    const [parts, targetWords] = withWords(chosen(sentence).text);
    target.append(...parts);
    if (isDoubtful(sentence)) {
      target.classList.add("doubtful");
      target.setAttribute("aria-describedby", "doubtful");
    }
    const pair = { row: made, number: place, sentence, target, targetWords, source: null, sourceWords: [] };
    pairs.set(target, pair);
    made.pairs.push(pair);
    made.element.append(sentence.space, target);
  });
  if (!made.pairs.length) made.element.append(element("br"));
  return made;
}

const isDoubtful = ({ confidence }) => confidence !== null && confidence < DOUBTFUL;

/** The parts of a text, with an element for each word, and these elements; the service counts words in the same way. */
function withWords(text) {
  const words = [];
  const parts = text.split(/(\s+)/).map((part) => {
    if (!part.trim()) return part;
    words.push(element("span", { className: "word" }, part));
    return words.at(-1);
  });
  return [parts, words];
}

/** What was asked for and is not met, such as a term of the glossary. */
function showProblems(all) {
  const problems = [...new Set(all.flatMap((pair) => pair.sentence.problems))];
  byId("problems").replaceChildren(...problems.map((problem) => element("li", {}, problem)));
}

/** The mirror of a text that is being typed: without words until its translation is there. */
export function drawPlainMirror() {
  unmark();
  mirror.replaceChildren(source.value + "\n");
}

function drawMirror(lines) {
  const parts = lines.flatMap((line, number) => {
    let place = 0;
    const inLine = rows[number].element.classList.contains("old") ? [] : rows[number].pairs;
    const made = inLine.flatMap((pair) => {
      const { start, end } = pair.sentence;
      const [words, sourceWords] = withWords(line.slice(start, end));
      const before = line.slice(place, start);
      place = end;
      pair.sourceWords = sourceWords;
      pair.source = element("span", { className: "sentence" }, ...words);
      pairs.set(pair.source, pair);
      return [before, pair.source];
    });
    return [...made, line.slice(place) + "\n"];
  });
  mirror.replaceChildren(...parts);
}

/** Show that the translation is not the one of the text. */
export function fade() {
  for (const row of rows) row.element.classList.add("old");
}

export function clear() {
  rows = [];
  translation.replaceChildren();
  byId("doubtful").hidden = true;
  byId("problems").replaceChildren();
  drawPlainMirror();
}

function unmark() {
  for (const one of marked) one.classList.remove("same", "match");
  marked = [];
}

/** Mark a sentence on both sides, and the word under the pointer or cursor with the words that it was aligned with. */
function mark(pair, word) {
  unmark();
  if (!pair) return;
  const sentences = [pair.source, pair.target].filter(Boolean);
  const words = word ? [word, ...counterparts(pair, word)] : [];
  for (const one of sentences) one.classList.add("same");
  for (const one of words) one.classList.add("match");
  marked = [...sentences, ...words];
}

/** The elements of the words on the other side. */
function counterparts(pair, word) {
  const inTarget = pair.targetWords.indexOf(word);
  const links = chosen(pair.sentence).alignment ?? []; // through a third language there is none
  return links
    .filter(([from, to]) => (inTarget < 0 ? from === pair.sourceWords.indexOf(word) : to === inTarget))
    .map(([from, to]) => (inTarget < 0 ? pair.targetWords[to] : pair.sourceWords[from]))
    .filter(Boolean);
}

function markAt(node) {
  const sentence = node?.closest?.(".sentence");
  mark(sentence && pairs.get(sentence), node?.closest?.(".word"));
}

translation.addEventListener("pointerover", (event) => markAt(event.target));
translation.addEventListener("pointerleave", unmark);
source.addEventListener("pointermove", ({ clientX, clientY }) => {
  const below = document.elementsFromPoint(clientX, clientY).filter((one) => mirror.contains(one));
  markAt(below[0]);
});
source.addEventListener("pointerleave", unmark);
source.addEventListener("blur", unmark);
source.addEventListener("keyup", ({ key }) => {
  if (/^(Arrow|Home|End|Page)/.test(key)) markAtCursor();
});

function markAtCursor() {
  const [sentence, place] = nodeAt(mirror, source.selectionStart);
  const pair = pairs.get(sentence);
  mark(pair, pair && nodeAt(sentence, place)[0]);
}

/** The element of a sentence or word at a place in the text of another one, and the place in it. */
function nodeAt(parent, place) {
  for (const node of parent.childNodes) {
    const { length } = node.textContent;
    if (node instanceof Element && place <= length) return [node, place];
    if (place < length) break; // between two sentences or words
    place -= length;
  }
  return [undefined, 0];
}

// Keyboard: Tab enters the translation, arrows move by word and sentence, Enter shows other translations.

translation.addEventListener("focusin", ({ target }) => {
  const pair = pairs.get(target);
  if (!pair) return;
  if (reached.pair !== pair) reached = { pair, word: 0 };
  for (const row of rows) for (const one of row.pairs) one.target.tabIndex = one === pair ? 0 : -1;
  mark(pair, pair.targetWords[reached.word]);
});
translation.addEventListener("focusout", unmark);
translation.addEventListener("keydown", (event) => {
  const pair = pairs.get(event.target);
  if (!pair || event.ctrlKey || event.altKey || event.metaKey) return;
  const rightToLeft = getComputedStyle(pair.row.element).direction === "rtl";
  const actions = {
    ArrowRight: () => moveByWord(pair, rightToLeft ? -1 : 1),
    ArrowLeft: () => moveByWord(pair, rightToLeft ? 1 : -1),
    ArrowDown: () => moveBySentence(pair, 1),
    ArrowUp: () => moveBySentence(pair, -1),
    Enter: () => openMenu(pair),
    " ": () => openMenu(pair),
    Escape: () => source.focus(),
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
});

function moveBySentence(pair, step, toLastWord = false) {
  const all = rows.flatMap((row) => row.pairs);
  const next = all[all.indexOf(pair) + step];
  if (!next) return;
  reached = { pair: next, word: toLastWord ? next.targetWords.length - 1 : 0 };
  next.target.focus();
}

function moveByWord(pair, step) {
  const word = reached.word + step;
  if (word < 0 || word >= pair.targetWords.length) {
    moveBySentence(pair, step, step < 0);
    return;
  }
  reached = { pair, word };
  const element = pair.targetWords[word];
  mark(pair, element);
  const others = counterparts(pair, element).map((one) => one.textContent);
  announce([element.textContent, ...others].join(", "));
}

// Other translations of a sentence

translation.addEventListener("click", ({ target }) => {
  const pair = pairs.get(target.closest(".sentence"));
  if (pair && getSelection().isCollapsed) openMenu(pair); // else the user selects text
});

function openMenu(pair) {
  const { sentence, target, row, number } = pair;
  const current = new Set(chosen(sentence).text.split(/\s+/));
  const items = sentence.candidates.map((candidate, place) => {
    const [parts, words] = withWords(candidate.text);
    for (const word of words) if (!current.has(word.textContent)) word.className = "different";
    const isChosen = place === sentence.chosen;
    const item = element("button", { type: "button", role: "menuitemradio", ariaChecked: isChosen, dir: "auto" });
    item.append(...parts);
    item.addEventListener("click", () => {
      menu.hidePopover();
      target.focus();
      if (!isChosen) redraw(pair, onChoice(row.line, number, place));
    });
    return item;
  });
  menu.lang = translation.lang;
  menu.replaceChildren(...items);
  menu.ontoggle = ({ newState }) => (target.ariaExpanded = newState === "open");
  menu.showPopover();
  placeBelow(target);
  items[sentence.chosen].focus();
}

/** Draw the lines with a sentence again after a choice, and focus on its new element. */
function redraw(pair, sentences) {
  if (!sentences) return; // another translation is on its way
  const place = rows.findIndex((row) => row.element === pair.row.element);
  const { line } = rows[place];
  show(
    rows.map((row) => row.line).join("\n"),
    rows.map((row) => (row.line === line ? sentences : row.sentences)),
  );
  rows[place].pairs[pair.number].target.focus();
}

/** Put the menu below the first line of a sentence, inside the window. */
function placeBelow(target) {
  const box = target.getBoundingClientRect();
  const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - menu.offsetWidth - 8));
  menu.style.left = `${left + scrollX}px`;
  menu.style.top = `${box.bottom + 6 + scrollY}px`;
  menu.scrollIntoView({ block: "nearest" });
}

menu.addEventListener("keydown", (event) => {
  const items = [...menu.children];
  const place = items.indexOf(document.activeElement);
  const next = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: items.length - 1 }[event.key];
  if (event.key === "Tab") menu.hidePopover();
  if (next === undefined) return;
  event.preventDefault();
  items[(next + items.length) % items.length].focus();
});
