// Small helpers for the elements of the page.

/** The element of the page with this id. */
export const byId = (id) => document.getElementById(id);

/**
 * A new element. Everything that comes from a user or the service goes through here or through `textContent`: as a
 * text node, it can never become markup.
 */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Tell something to people who use a screen reader, when they have finished what they are listening to. */
export function announce(text) {
  byId("announcement").textContent = text;
}

/** Show an error below the panes, until there is another one or none. */
export function complain(text = "") {
  showNote(byId("message"), text);
}

/** Show something that is worth knowing below the panes. */
export function hint(text = "") {
  showNote(byId("hint"), text);
}

function showNote(box, text) {
  box.hidden = !text;
  if (box.textContent !== text) box.textContent = text; // the same text again would be read out again
}

export async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Without HTTPS (a server in the local network) browsers offer only this old way.
  const field = element("textarea", { value: text });
  const focused = document.activeElement;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
  focused?.focus();
}
