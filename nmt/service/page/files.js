// Translation of files: chosen or dropped, one after the other, with progress and a link to the result.
import { announce, byId, complain, element } from "./dom.js";
import { Away, events, Refused, send } from "./service.js";
import { recall } from "./store.js";

let settings = { filesTranslation: false, supportedFilesFormat: [] };
let wishes = () => ({ source: "auto", target: "", glossary: {} });
/** The translation of the last file; the next one begins when it has ended. */
let queue = Promise.resolve();

/**
 * @param about the settings of the service
 * @param current gives the source and the target language that are chosen, and the glossary
 */
export function startFiles(about, current) {
  [settings, wishes] = [about, current];
  byId("open").hidden = byId("open-key").hidden = !settings.filesTranslation;
  if (settings.filesTranslation) byId("source").placeholder = "Type or paste text, or drop a file";
  byId("file").accept = settings.supportedFilesFormat.join(",");
}

function add(file) {
  const wished = wishes(); // as they are now: the user may change them while the file waits
  const stop = new AbortController();
  const progress = element("progress", { ariaLabel: `Progress of ${file.name}` });
  const status = element("span", { className: "aside" }, "waits");
  const button = element("button", { type: "button" }, "Cancel");
  const name = element("span", { className: "name", dir: "auto" }, file.name);
  const item = element("li", {}, name, progress, status, button);
  byId("files").append(item);
  button.addEventListener("click", () => {
    stop.abort();
    item.remove();
  });
  const end = (text, ...more) => {
    progress.remove();
    status.textContent = text;
    button.textContent = "Remove";
    button.before(...more);
    announce(`${file.name}: ${text}`);
  };
  queue = queue.then(async () => {
    if (stop.signal.aborted) return;
    status.textContent = "is being translated";
    try {
      const address = await translate(file, wished, stop.signal, (done, total) => {
        progress.max = total;
        progress.value = done;
        status.textContent = `${Math.floor((100 * done) / total)} %`;
      });
      end("translated", element("a", { href: address, download: translatedName(file.name, wished.target) }, "Download"));
    } catch (error) {
      if (error instanceof Away) end("The service cannot be reached. Try again later.");
      else if (error instanceof Refused) end(error.sentence);
      else if (error.name !== "AbortError") throw error;
    }
  });
}

/** Translate a file; returns the address of the result. `report` is called with the number of texts done and of all. */
async function translate(file, { source, target, glossary }, signal, report) {
  const body = new FormData();
  body.set("source", source);
  body.set("target", target);
  body.set("glossary", JSON.stringify(glossary));
  if (recall("key")) body.set("api_key", recall("key"));
  body.set("file", file);
  const answer = await send("translate_file", { method: "POST", headers: { Accept: "text/event-stream" }, body, signal });
  for await (const [name, data] of events(answer)) {
    if (name === "progress") report(data.done, data.total);
    if (name === "error") throw new Refused(400, data.error);
    // only the path: behind a proxy the service does not know the address by which it is reached
    if (name === "done") return new URL(data.translatedFileUrl, location.href).pathname.split("/").slice(-2).join("/");
  }
  throw new Away();
}

const translatedName = (name, target) => name.replace(/(\.[^.]*)?$/, `.${target}$1`);

byId("open").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", ({ target }) => {
  [...target.files].forEach(add);
  target.value = ""; // so that the same file can be chosen again
});

// Files are dropped anywhere on the page; text is dropped into the field as usual.
const hasFiles = (event) => event.dataTransfer.types.includes("Files");
const cover = byId("drop");
addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault(); // else the browser would open the file in place of the page
  cover.hidden = !settings.filesTranslation;
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) cover.hidden = true; // the pointer has left the window
});
addEventListener("drop", (event) => {
  cover.hidden = true;
  if (!hasFiles(event)) return;
  event.preventDefault();
  if (settings.filesTranslation) [...event.dataTransfer.files].forEach(add);
  else complain("This service does not translate files.");
});
