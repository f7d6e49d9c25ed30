// The keyboard, and the sheet of filters on a phone.
"use strict";
(() => {
  const page = window.imgsearch;
  const phone = window.matchMedia("(max-width: 820px)");
  const filters = () => document.getElementById("filters");
  const first = () => document.querySelector("#cards .act");
  const isSheet = () => phone.matches && filters()?.open && document.documentElement.classList.contains("js-on");

  page.arrangeSheet = () => {
    const is = Boolean(isSheet());
    document.documentElement.classList.toggle("sheet-open", is);
    for (const part of document.querySelectorAll(".top, .ask, #main, body > .skip")) part.inert = is;
    const sheet = document.querySelector("#filters .sheet");
    if (!sheet) return;
    if (is) { sheet.setAttribute("role", "dialog"); sheet.setAttribute("aria-label", page.t("Filters")); sheet.setAttribute("aria-modal", "true"); }
    else for (const name of ["role", "aria-label", "aria-modal"]) sheet.removeAttribute(name);
  };
  page.fold = () => { if (filters()) filters().open = !phone.matches; document.documentElement.classList.add("folded"); page.arrangeSheet(); };
  phone.addEventListener("change", () => { page.uncover(); page.fold(); });
  document.addEventListener("toggle", (event) => {
    if (event.target.id !== "filters") return;
    page.arrangeSheet();
    if (!isSheet()) { page.uncover(); return; }
    page.cover(() => { filters().open = false; });
    document.querySelector("#filters .sheet").querySelector("a, input, button")?.focus({ preventScroll: true });
  }, true);

  function close() {
    const drop = document.getElementById("drop");
    const how = document.getElementById("how");
    const within = document.activeElement?.closest?.(".within");
    if (page.closeSuggestions()) return true;
    if (drop && !drop.hidden) { drop.hidden = true; return true; }
    if (within) {
      const set = within.closest("fieldset");
      const input = within.querySelector("input");
      if (input.value) { input.value = ""; input.dispatchEvent(new Event("input", { bubbles: true })); return true; }
      const link = set.querySelector("a.every");
      link.click();
      link.focus();
      return true;
    }
    if (isSheet()) { filters().open = false; filters().querySelector("summary").focus(); return true; }
    if (how?.open) { how.open = false; how.querySelector("summary").focus(); return true; }
    return false;
  }

  // From card to card: left and right along the list, up and down by rows.
  function step(from, key) {
    const cards = [...document.querySelectorAll("#cards .card")];
    const at = cards.indexOf(from.closest(".card"));
    const top = cards[0].offsetTop;
    const columns = cards.findIndex((card) => card.offsetTop > top);
    const wide = columns < 0 ? cards.length : columns;
    const to = at + { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -wide, ArrowDown: wide }[key];
    if (to < 0 && key === "ArrowUp") { document.getElementById("q").focus(); return; }
    const acts = [...from.closest(".card").querySelectorAll(".act")];
    const next = cards[to]?.querySelectorAll(".act");
    if (next?.length) (next[acts.indexOf(from)] || next[0]).focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && event.target.type !== "checkbox";
    if (document.getElementById("larger")?.open) return; // keys are the dialog's; the browser closes it with Escape
    if (event.key === "Escape") { if (close()) event.preventDefault(); }
    else if (event.key === "/" && !typing && document.getElementById("q")) { event.preventDefault(); document.getElementById("q").focus(); document.getElementById("q").select(); }
    else if (event.key === "ArrowDown" && event.target.id === "q" && first()) { event.preventDefault(); first().focus(); }
    else if (event.key.startsWith("Arrow") && event.target.classList?.contains("act")) { event.preventDefault(); step(event.target, event.key); }
  });
  document.addEventListener("click", (event) => {
    const jump = event.target.closest?.("a[href^='#']");
    if (jump) { // no place of the history of its own
      event.preventDefault();
      const to = document.querySelector(jump.hash) || document.getElementById("main");
      ((jump.hash === "#cards" && first()) || to)?.focus({ preventScroll: jump.hash === "#main" });
      if (jump.hash === "#main") window.scrollTo(0, 0);
    }
    const shut = event.target.closest?.("[data-close]");
    if (shut) { document.getElementById(shut.dataset.close).open = false; document.querySelector("#filters summary").focus(); window.scrollTo(0, 0); }
  });
})();
