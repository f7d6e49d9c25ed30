// What people may want to type, below the search box: a listbox that the arrow keys walk through. An answer that comes
// late, for words that stand there no more, is thrown away; one without suggestions takes the list away.
"use strict";
(() => {
  const page = window.imgsearch;
  const WAIT = 120; // ms without a key before it asks
  const KEPT = 200; // answers
  const answers = new Map();
  const box = () => document.getElementById("q");
  const list = () => document.getElementById("suggestions");
  const options = () => [...(list()?.children ?? [])];
  let soon = 0;
  let under = null;
  let typed = ""; // before the arrow keys put a suggestion in its place

  function close() {
    clearTimeout(soon);
    under?.abort();
    list()?.remove();
    const input = box();
    if (!input) return;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function show(found) {
    close();
    const shown = found.filter((text) => text.trim().toLowerCase() !== typed.trim().toLowerCase());
    if (!shown.length || document.activeElement !== box()) return;
    const made = Object.assign(document.createElement("ul"), { id: "suggestions", className: "suggestions" });
    made.setAttribute("role", "listbox");
    made.setAttribute("aria-label", page.t("Suggestions"));
    made.dataset.own = "";
    shown.forEach((text, n) => {
      const row = Object.assign(document.createElement("li"), { id: `suggestion-${n}`, textContent: text, dir: "auto" });
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", "false");
      made.append(row);
    });
    box().closest(".box").append(made);
    box().setAttribute("aria-expanded", "true");
  }

  async function ask() {
    const words = typed.trim();
    under?.abort();
    if (!words) { close(); return; }
    const address = new URL(box().dataset.suggest, location.href); // another shop has another one
    address.searchParams.set("q", words.slice(0, 100));
    const known = address.href;
    if (answers.has(known)) { show(answers.get(known)); return; }
    const mine = (under = new AbortController());
    try {
      const answer = await fetch(address, { credentials: "same-origin", signal: mine.signal, headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      const { suggestions } = await answer.json();
      if (mine.signal.aborted) return;
      if (answers.size >= KEPT) answers.delete(answers.keys().next().value);
      answers.set(known, suggestions);
      if (words === typed.trim()) show(suggestions);
    } catch { /* nothing to suggest: people type on */ }
  }

  function choose(at) {
    const rows = options();
    rows.forEach((row, n) => row.setAttribute("aria-selected", String(n === at)));
    box().value = at < 0 ? typed : rows[at].textContent;
    if (at < 0) box().removeAttribute("aria-activedescendant");
    else box().setAttribute("aria-activedescendant", rows[at].id);
  }
  const chosen = () => options().findIndex((row) => row.getAttribute("aria-selected") === "true");

  page.arrangeSuggestions = () => {
    const input = box();
    if (!input?.dataset.suggest) return;
    for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-controls", "suggestions"], ["aria-expanded", String(Boolean(list()))]])
      input.setAttribute(name, value);
  };
  page.closeSuggestions = () => { const was = Boolean(list()); if (was && chosen() >= 0) box().value = typed; close(); return was; };

  document.addEventListener("input", (event) => {
    if (event.target.id !== "q" || !event.target.dataset.suggest || event.isComposing) return;
    typed = event.target.value;
    clearTimeout(soon);
    soon = setTimeout(ask, WAIT);
  });
  // Before the keys of the page (in the capture phase): with a list open, the arrows belong to it.
  document.addEventListener("keydown", (event) => {
    if (event.target.id !== "q" || !list() || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const many = options().length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      event.stopPropagation();
      const at = chosen() + (event.key === "ArrowDown" ? 1 : -1);
      choose(at >= many ? -1 : at < -1 ? many - 1 : at);
    } else if (event.key === "Enter" || event.key === "Tab") close();
  }, true);
  document.addEventListener("mousedown", (event) => { // before the box loses the focus
    const row = event.target.closest?.("#suggestions li");
    if (!row) return;
    event.preventDefault();
    box().value = row.textContent;
    close();
    page.submit(document.getElementById("ask"), 0);
  });
  document.addEventListener("focusout", (event) => { if (event.target.id === "q") close(); });
  document.addEventListener("submit", close, true);
})();
