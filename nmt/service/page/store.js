// What the browser remembers, and only the browser: languages, glossary, history, API key.

/** Values that the browser would not store (it forbids storage, or is full): they last as long as the page. */
const unstored = new Map();

/** A remembered value. Somebody may have changed it by hand, so whoever asks checks its parts. */
export function recall(name, otherwise) {
  if (unstored.has(name)) return unstored.get(name);
  try {
    return JSON.parse(localStorage.getItem(`nmt.${name}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`nmt.${name}`, JSON.stringify(value));
    unstored.delete(name);
  } catch {
    unstored.set(name, value);
  }
}
