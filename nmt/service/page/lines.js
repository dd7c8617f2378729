// Which lines of a text need translation, and the sentences that the service sends for them.
//
// The service translates each line of a text for itself. So the page sends only the lines that it does not know yet,
// and a change in a long text costs no more than the line that has changed.
import { ask, events, Refused } from "./service.js";

/** Number of translations of a sentence that are asked for. */
const CANDIDATES = 5;
/** Lines to remember before the page begins again with none. */
const MOST_LINES = 5000;

/** Translated lines of one direction with one glossary. */
let memory = { key: "", lines: new Map() };
/** The translations that the user chose for sentences, which last when the rest of the line changes. */
const choices = new Map();

/** The memory for these settings; other settings begin with an empty one. */
function memoryFor(settings) {
  const key = JSON.stringify(settings);
  if (memory.key !== key || memory.lines.size > MOST_LINES) memory = { key, lines: new Map() };
  return memory.lines;
}

/**
 * Translate a text, line by line. `show` is called with the sentences of each line whenever there are more of them:
 * an array for each line, empty for one without words, undefined for one that is not translated yet.
 *
 * @param settings {source, target, glossary}, and `candidates`, the most that the service gives
 */
export async function translateLines(text, { candidates, ...settings }, signal, show) {
  const known = memoryFor(settings);
  const lines = text.split("\n");
  for (const line of lines) if (!line.trim()) known.set(line, []);
  const missing = [...new Set(lines)].filter((line) => !known.has(line));
  const results = (partial) => lines.map((line) => known.get(line) ?? partial?.get(line));
  show(results());
  if (!missing.length) return;
  const fields = {
    text: missing.join("\n"),
    ...settings,
    n_best: Math.min(CANDIDATES, candidates),
    alignment: true,
    stream: true,
  };
  const collected = new Collected(missing, `${settings.source}-${settings.target}`);
  let drawn = 0;
  let complete = 0;
  try {
    for await (const [name, data] of events(await ask("api/translate", fields, signal))) {
      if (name === "error") throw new Refused(500, data.error);
      if (name === "segment") collected.add(data);
      if (name === "segment" && performance.now() - drawn > 100) {
        // not for each sentence: a long text would be drawn hundreds of times
        show(results(collected.sentences));
        drawn = performance.now();
      }
      complete = name === "done" ? missing.length : collected.number;
    }
  } finally {
    // who types on during a long text ends this request; its complete lines are kept
    for (const line of missing.slice(0, complete)) known.set(line, collected.sentences.get(line) ?? []);
  }
  show(results());
}

/** The sentences that arrive, by line. */
class Collected {
  constructor(lines, direction) {
    this.lines = lines;
    this.direction = direction;
    this.sentences = new Map();
    this.number = 0; // of the line that arrives
    this.place = 0; // in this line
  }

  /** Add a segment of the service; the white space before it says whether it begins a line. */
  add({ source_space, source, space, text, confidence, alignment, problems, n_best }) {
    const before = source_space.split("\n");
    if (before.length > 1) this.place = 0;
    this.number += before.length - 1;
    const start = this.place + before.at(-1).length;
    this.place = start + source.length;
    if (!source) return; // the white space at the end of the text
    const line = this.lines[this.number];
    const candidates = n_best ?? [{ text, alignment }];
    const key = `${this.direction} ${source}`;
    const chosen = Math.max(0, candidates.findIndex((one) => one.text === choices.get(key)));
    const sentence = {
      ...{ source, start, end: this.place, space: space.split("\n").at(-1) },
      ...{ candidates, chosen, key, confidence, problems },
    };
    // a new array each time: the view draws a line again if it got another one
    this.sentences.set(line, [...(this.sentences.get(line) ?? []), sentence]);
  }
}

/** Choose another translation of a sentence of a line; returns the new sentences, undefined if the line is unknown. */
export function choose(line, number, candidate) {
  const sentences = memory.lines.get(line)?.slice();
  if (!sentences) return undefined;
  const sentence = sentences[number];
  sentences[number] = { ...sentence, chosen: candidate };
  choices.set(sentence.key, sentence.candidates[candidate].text);
  memory.lines.set(line, sentences);
  return sentences;
}

/** The translation of a sentence that is shown. */
export const chosen = (sentence) => sentence.candidates[sentence.chosen];

/** The translation of lines. */
export function joined(results) {
  return results
    .map((sentences) => (sentences ?? []).map((sentence) => sentence.space + chosen(sentence).text).join(""))
    .join("\n");
}
