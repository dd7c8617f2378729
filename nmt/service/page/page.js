// The page: translates what is typed, and connects the parts.
import { announce, byId, complain, copy, element, hint } from "./dom.js";
import { startFiles } from "./files.js";
import { glossaryFor, showGlossary, startGlossary } from "./glossary.js";
import { beginEntry, keep, offer, startHistory, wait } from "./history.js";
import { choose, joined, translateLines } from "./lines.js";
import { ask, Away, Refused } from "./service.js";
import { recall, remember } from "./store.js";
import * as view from "./view.js";

/** Milliseconds without a key before the text is translated: short enough to feel immediate. */
const PAUSE = 300;
/** Number of characters by which the language of a text is detected. */
const DETECTED_BY = 2000;
/** The page changes the target language by itself only if the language is as certain as this, in per cent. */
const CERTAIN = 90;

const source = byId("source");
const sourceLanguage = byId("source-language");
const targetLanguage = byId("target-language");

/** [{code, name, targets}] */
let languages = [];
let settings = { charLimit: Infinity };
/** The language that was detected in the text, "" if none was. */
let detected = "";
/** The request in progress; a newer one ends it, so that an older answer never replaces a newer one. */
let running = new AbortController();
/** {text, results, source, target} of the last complete translation. */
let latest = null;
let typingTimer, retryTimer;

const nameOf = (code) => languages.find((one) => one.code === code)?.name ?? code;
/** The languages into which one is translated, without itself. */
const targetsOf = (code) => (languages.find((one) => one.code === code)?.targets ?? []).filter((one) => one !== code);

// Languages

async function start() {
  try {
    const [first, second] = await Promise.all([ask("languages"), ask("frontend/settings")]);
    [languages, settings] = [await first.json(), await second.json()];
  } catch (error) {
    if (!(error instanceof Away)) throw error;
    waitForService(start);
    return;
  }
  const option = (code) => element("option", { value: code }, nameOf(code));
  const sources = languages.map((one) => one.code).filter((code) => targetsOf(code).length);
  sourceLanguage.replaceChildren(element("option", { value: "auto" }, "Detect language"), ...sources.map(option));
  const targets = new Set(sources.flatMap(targetsOf));
  targetLanguage.replaceChildren(...[...targets].map(option));
  const known = (select, code) => [...select.options].some((one) => one.value === code);
  sourceLanguage.value = known(sourceLanguage, recall("source")) ? recall("source") : "auto";
  const wished = [recall("target"), settings.language.target.code].find((code) => known(targetLanguage, code));
  if (wished) targetLanguage.value = wished;
  if (settings.keyRequired && !recall("key")) askForKey();
  startFiles(settings, () => {
    const [source, target] = [sourceLanguage.value, targetLanguage.value];
    return { source, target, glossary: glossaryFor(sourceCode(), target) };
  });
  fitTarget();
  translate();
}

/** The language of the text, or the most likely one as long as it is not known. */
function sourceCode() {
  if (sourceLanguage.value !== "auto") return sourceLanguage.value;
  if (targetsOf(detected).includes(targetLanguage.value)) return detected;
  return languages.find((one) => targetsOf(one.code).includes(targetLanguage.value))?.code ?? "";
}

/** Choose a target language into which the source is translated, and show what follows from the languages. */
function fitTarget() {
  const from = sourceLanguage.value;
  if (from !== "auto" && !targetsOf(from).includes(targetLanguage.value)) {
    targetLanguage.value = targetsOf(from)[0];
  }
  const [first, target] = [sourceCode(), targetLanguage.value];
  byId("switch").disabled = !targetsOf(target).includes(first);
  source.lang = first;
  byId("translation").lang = target;
  remember("source", from);
  remember("target", target);
  sourceLanguage.options[0].textContent =
    from === "auto" && detected ? `${nameOf(detected)} (detected)` : "Detect language";
  showGlossary(first, target, `${nameOf(first)} → ${nameOf(target)}`);
}

/**
 * Find the language of the text if that is wished. If it is the target language, the target changes, but only for a
 * text that is being written (`mayChange`): not for somebody who has just chosen this target language.
 */
async function detect(text, mayChange, signal) {
  if (sourceLanguage.value !== "auto") return;
  const answer = await ask("detect", { q: text.slice(0, DETECTED_BY) }, signal);
  const [{ language, confidence }] = await answer.json();
  if (signal.aborted) return;
  if (confidence > 0) detected = language;
  if (detected === targetLanguage.value) {
    const last = latest && targetsOf(detected).includes(latest.source) ? latest.source : targetsOf(detected)[0];
    if (mayChange && confidence >= CERTAIN && last) {
      targetLanguage.value = last;
      hint(`The text is in ${nameOf(detected)}, so it is translated into ${nameOf(last)}.`);
    } else {
      hint(`The text seems to be in ${nameOf(detected)} already.`);
    }
  }
  fitTarget();
}

// Translation

/** Translate the text. */
async function translate({ typed = false } = {}) {
  clearTimeout(typingTimer);
  clearTimeout(retryTimer);
  running.abort();
  const { signal } = (running = new AbortController());
  const text = source.value;
  if (!languages.length) return; // the page starts, and translates then
  if (!text.trim()) {
    showNothing();
    return;
  }
  if (length(text) > settings.charLimit) {
    view.fade();
    complain(`The text is too long: this service takes ${number(settings.charLimit)} characters at a time.`);
    return;
  }
  byId("result").ariaBusy = true;
  try {
    if (typed) hint();
    await detect(text, typed, signal);
    if (signal.aborted) return;
    const [from, target] = [sourceCode(), targetLanguage.value];
    const wishes = { source: from, target, glossary: glossaryFor(from, target), candidates: settings.candidates ?? 1 };
    let results;
    await translateLines(text, wishes, signal, (found) => {
      if (signal.aborted) return;
      results = found;
      showResults(text, results);
    });
    if (signal.aborted) return;
    complain();
    finish({ text, results, source: from, target });
  } catch (error) {
    if (!signal.aborted) explain(error);
  } finally {
    if (!signal.aborted) byId("result").ariaBusy = false;
  }
}

function showNothing() {
  latest = null;
  detected = "";
  view.clear();
  complain();
  hint();
  beginEntry();
  byId("result").ariaBusy = false;
  byId("placeholder").hidden = false;
  byId("copy").hidden = true;
  fitTarget();
}

function showResults(text, results) {
  byId("placeholder").hidden = true;
  view.show(text, results);
}

function finish(translation) {
  latest = translation;
  byId("copy").hidden = false;
  const inWords = joined(translation.results);
  announce(inWords.length < 300 ? inWords : `The translation is there: ${number(inWords.length)} characters.`);
  const { source, target, text } = translation;
  offer({ source, target, text, translation: inWords });
}

/** Say what went wrong, and try again if that can help. */
function explain(error) {
  view.fade();
  if (error instanceof Away) {
    waitForService(translate, running.signal);
  } else if (error instanceof Refused) {
    if (error.needsKey) askForKey();
    const again = error.status === 429 ? ` The page tries again in ${error.seconds || 1} s.` : "";
    if (again) retryTimer = setTimeout(translate, 1000 * (error.seconds || 1));
    complain(error.sentence + again);
  } else {
    complain("The page has a fault. Load it again, please.");
    throw error;
  }
}

/** Ask again and again whether the service is back, and then go on, unless `signal` says that somebody else does. */
async function waitForService(goOn, signal) {
  complain("The translation service cannot be reached. Your text stays here; the page tries again by itself.");
  for (let seconds = 1; !signal?.aborted; seconds = Math.min(10, seconds * 1.5)) {
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    try {
      await ask("health");
      break;
    } catch (error) {
      if (!(error instanceof Away)) throw error;
    }
  }
  if (signal?.aborted) return; // a newer request is on its way, or waits as well
  complain();
  goOn();
}

function askForKey() {
  byId("key-form").hidden = false;
}

// What people do

function typed() {
  document.querySelector(".panes").classList.toggle("long", source.value.length > 400);
  byId("clear").hidden = !source.value;
  byId("count").textContent = source.value && `${number(length(source.value))} / ${number(settings.charLimit)}`;
  view.drawPlainMirror();
  clearTimeout(typingTimer);
  wait();
  if (source.value.trim()) typingTimer = setTimeout(translate, PAUSE, { typed: true });
  else translate();
}

/** Replace the text, as if it was typed in a moment. */
function write(text) {
  source.value = text;
  typed();
  translate();
}

function switchLanguages() {
  const [from, target] = [sourceCode(), targetLanguage.value];
  if (byId("switch").disabled) return;
  const text = latest?.text === source.value ? joined(latest.results) : source.value;
  keep();
  beginEntry();
  sourceLanguage.value = target;
  targetLanguage.value = from;
  fitTarget();
  write(text);
}

async function copyTranslation() {
  if (!latest) return;
  const label = byId("copy-label");
  try {
    await copy(joined(latest.results));
    label.textContent = "Copied";
    announce("Copied");
  } catch {
    complain("The browser does not let the page copy. Select the translation and copy it with Ctrl+C.");
  }
  setTimeout(() => (label.textContent = "Copy"), 2000);
}

const number = (value) => value.toLocaleString("en");
/** Characters as the service counts them: one with two code units, such as an emoji, is one. */
const length = (text) => [...text].length;

source.addEventListener("input", typed);
source.addEventListener("paste", () => setTimeout(translate, 0, { typed: true })); // after the text is there
for (const select of [sourceLanguage, targetLanguage]) {
  select.addEventListener("change", () => {
    hint();
    fitTarget();
    translate();
  });
}
byId("switch").addEventListener("click", switchLanguages);
byId("copy").addEventListener("click", copyTranslation);
byId("clear").addEventListener("click", () => {
  keep();
  write("");
  source.focus();
});
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  remember("key", byId("key").value.trim());
  byId("key-form").hidden = true;
  translate();
});
view.setOnChoice((line, sentence, candidate) => {
  const sentences = choose(line, sentence, candidate);
  if (sentences && latest) {
    const lines = latest.text.split("\n");
    finish({ ...latest, results: latest.results.map((old, number) => (lines[number] === line ? sentences : old)) });
  }
  return sentences;
});
startGlossary(() => {
  clearTimeout(typingTimer);
  typingTimer = setTimeout(translate, 2 * PAUSE);
});
startHistory((entry) => {
  keep();
  beginEntry();
  sourceLanguage.value = entry.source;
  targetLanguage.value = entry.target;
  fitTarget();
  write(entry.text);
  source.focus();
});
addEventListener("pagehide", keep);

document.addEventListener("keydown", (event) => {
  const withControl = event.ctrlKey || event.metaKey;
  if (withControl && event.key === "Enter") {
    event.preventDefault();
    translate({ typed: true });
  }
  // the code, because Alt changes what a key writes on a Mac; AltGr, which writes signs, comes as Alt with Control
  if (!event.altKey || withControl || event.shiftKey) return;
  const action = {
    KeyX: switchLanguages,
    KeyC: copyTranslation,
    KeyO: () => byId("open").click(),
    KeyT: () => byId("translation").querySelector("[tabindex='0']")?.focus(),
  }[event.code];
  if (!action) return;
  event.preventDefault();
  action();
});

typed(); // the browser may have kept the text of the last visit
start();
