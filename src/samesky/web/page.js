// What a page does beside being shown: it keeps its ages and its moving parts up to date, and copies commands.
// Without this file everything can still be read; the page then loads itself again every while.
"use strict";

const SILENT_MS = 30000;
const RETRY_MS = 5000;
const SPANS = [[86400, "days"], [3600, "h"], [60, "min"]];

// The same words as describe_span in core/spans.py.
function describeSpan(seconds) {
  for (const [size, unit] of SPANS) {
    if (seconds >= 2 * size || (unit === "min" && seconds >= 100)) return `${Math.round(seconds / size)} ${unit}`;
  }
  return `${Math.round(Math.max(0, seconds))} s`;
}

// The same as describe_ago there.
function describeAgo(seconds) {
  return seconds < -5 ? `in ${describeSpan(-seconds)}` : `${describeSpan(seconds)} ago`;
}

// The server's clock may be another than this machine's: ages are those of the server.
let clockAheadMs = 0;

function updateAges() {
  const now = Date.now() + clockAheadMs;
  for (const each of document.querySelectorAll("time[data-ago]")) {
    const moment = Date.parse(each.dateTime);
    if (Number.isNaN(moment)) continue;
    const words = describeAgo((now - moment) / 1000);
    if (each.textContent !== words) each.textContent = words;
  }
}

function addCopyButtons(within) {
  if (!navigator.clipboard) return; // only pages of this machine, or over HTTPS, may write there
  for (const each of within.querySelectorAll("code[data-copy]")) {
    if (each.nextElementSibling?.classList.contains("copy")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${each.textContent}`);
    each.after(button);
  }
}

async function copyCommand(button) {
  try {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not copied";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

// Where the reader is inside of what is replaced: the same link or button is chosen again, open details stay open.
function keepPlace(element, replace) {
  const choosable = "a[href], button, input, select, summary, [tabindex]";
  const chosen = element.contains(document.activeElement) ? document.activeElement : null;
  const place = chosen ? [...element.querySelectorAll(choosable)].indexOf(chosen) : -1;
  const open = [...element.querySelectorAll("details")].map((each) => each.open);
  replace();
  element.querySelectorAll("details").forEach((each, number) => { if (open[number]) each.open = true; });
  addCopyButtons(element);
  if (place >= 0) element.querySelectorAll(choosable)[place]?.focus({ preventScroll: true });
}

// A live region is announced when its text changes, not when it is replaced: elements stay, what is in them doesn't.
function replacePart(name, html) {
  const element = document.querySelector(`[data-part="${CSS.escape(name)}"]`);
  const template = document.createElement("template");
  template.innerHTML = html;
  const made = template.content.firstElementChild;
  if (!element || !made) return;
  for (const each of [...element.attributes]) if (!made.hasAttribute(each.name)) element.removeAttribute(each.name);
  for (const each of made.attributes) {
    if (element.getAttribute(each.name) !== each.value) element.setAttribute(each.name, each.value);
  }
  keepPlace(element, () => element.replaceChildren(...made.childNodes));
}

let waiting = []; // what came while something was marked with the mouse, which would be lost

function isMarking() {
  const marked = document.getSelection();
  return marked !== null && !marked.isCollapsed && document.getElementById("main").contains(marked.anchorNode);
}

function whenNotMarking(change) {
  if (!isMarking()) return change();
  waiting.push(change);
  if (waiting.length > 500) waiting = [reloadPage];
}

async function reloadPage() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
  if (answer.status === 401) return location.reload();
  const made = new DOMParser().parseFromString(await answer.text(), "text/html");
  const main = document.getElementById("main");
  document.title = made.title;
  keepPlace(main, () => main.replaceChildren(...made.getElementById("main").childNodes));
  updateAges();
}

function tellConnection(words) {
  const element = document.getElementById("connection");
  if (element.textContent !== words) element.textContent = words;
}

function tellLive() {
  const element = document.getElementById("pulse");
  if (!element || element.classList.contains("live")) return;
  element.classList.add("live");
  element.textContent = "Live";
}

// EventSource comes back by itself where the network failed, and gives up where the server said no: then, and when
// nothing was heard for long (a laptop that slept), it is made anew, and the page is loaded again once.
function follow(address) {
  let source = null;
  let heardAt = Date.now();
  let lost = false;

  function note(event) {
    const told = JSON.parse(event.data);
    heardAt = Date.now();
    lost = false;
    clockAheadMs = told.at * 1000 - heardAt;
    tellConnection("");
    tellLive();
    return told;
  }

  function tellLost() {
    if (!lost) tellConnection(`No connection to samesky since ${new Date().toLocaleTimeString()}: what is shown is old.`);
    lost = true;
  }

  function connect() {
    source?.close();
    source = new EventSource(address);
    heardAt = Date.now();
    source.addEventListener("beat", note);
    source.addEventListener("page", (event) => { note(event); whenNotMarking(() => { reloadPage().catch(tellLost); }); });
    source.addEventListener("parts", (event) => {
      const told = note(event);
      whenNotMarking(() => {
        document.title = told.title;
        for (const [name, html] of Object.entries(told.parts)) replacePart(name, html);
      });
    });
    source.addEventListener("error", () => {
      tellLost();
      if (source.readyState === EventSource.CLOSED && !document.hidden) setTimeout(comeBack, RETRY_MS);
    });
  }

  async function comeBack() {
    try { await reloadPage(); } catch { tellLost(); }
    if (!document.hidden) connect();
  }

  // A browser has six connections to a server for all its tabs together. A tab that nobody sees needs none: its title
  // is looked at now and then.
  async function lookWhileHidden() {
    heardAt = Date.now();
    try { await reloadPage(); tellConnection(""); lost = false; } catch { tellLost(); }
  }

  function update() {
    updateAges();
    if (waiting.length && !isMarking()) waiting.splice(0).forEach((change) => change());
    if (Date.now() - heardAt <= SILENT_MS) return;
    if (document.hidden) lookWhileHidden();
    else if (source.readyState !== EventSource.CLOSED) { tellLost(); comeBack(); }
  }

  connect();
  setInterval(update, 1000);
  document.addEventListener("visibilitychange", () => { if (document.hidden) source.close(); else comeBack(); });
  // A connection that is held while the page is left keeps it from being shown again at once by "back".
  window.addEventListener("pagehide", () => source.close());
  window.addEventListener("pageshow", (event) => { if (event.persisted) comeBack(); });
}

document.addEventListener("click", (event) => {
  if (event.target.classList?.contains("copy")) copyCommand(event.target);
});
addCopyButtons(document);
updateAges();
if (document.documentElement.dataset.events) follow(document.documentElement.dataset.events);
