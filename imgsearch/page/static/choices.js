// All values of a facet within the panel: the list of its own page is fetched, and searched in, in place.
"use strict";
(() => {
  const page = window.imgsearch;
  const opened = new Map(); // id of a facet → { text, under }

  function checked(row) {
    const copy = row.cloneNode(true);
    copy.querySelector("input").setAttribute("checked", "");
    return copy;
  }

  async function load(id) {
    const set = document.getElementById(id);
    const link = set?.querySelector("a.every");
    const state = opened.get(id);
    if (!link || !state) return;
    state.under?.abort();
    const mine = (state.under = new AbortController());
    const since = page.now();
    const address = new URL(link.href);
    const asked = [...new FormData(document.getElementById("ask"))].filter(([, value]) => typeof value === "string" && value.trim());
    address.search = new URLSearchParams([...asked, ["facet", address.searchParams.get("facet")]]);
    if (state.text) address.searchParams.set("contains", state.text);
    try {
      const [answer, found] = await page.read(address, { signal: mine.signal });
      const fresh = found.querySelector("#ask > ul");
      if (!answer.ok || !fresh || mine.signal.aborted) return;
      const list = set.querySelector("ul");
      const listed = new Set([...fresh.children].map((row) => row.dataset.key));
      for (const row of list.children) // chosen, but not what is looked for: it stays chosen
        if (row.querySelector("input").checked && !listed.has(row.dataset.key)) fresh.prepend(checked(row));
      fresh.removeAttribute("data-stay"); // in the order of its page
      list.removeAttribute("data-own");
      page.morph(list, fresh, since);
      list.dataset.own = "";
      set.querySelector(".different").textContent = found.getElementById("different").textContent;
    } catch { /* the short list stays, and the link leads to the page of all */ }
  }

  function arrange(id) {
    const set = document.getElementById(id);
    const link = set?.querySelector("a.every");
    if (!link) return;
    const state = opened.get(id);
    link.textContent = page.t(state ? "Show fewer" : "Show all");
    link.setAttribute("aria-expanded", String(Boolean(state)));
    set.classList.toggle("all", Boolean(state));
    let find = set.querySelector(".within");
    if (!state) { find?.remove(); return; }
    if (!find) {
      const title = set.querySelector("legend").textContent;
      find = Object.assign(document.createElement("div"), { className: "within" });
      const input = Object.assign(document.createElement("input"), { type: "search", placeholder: page.t("Find"), maxLength: 200, value: state.text, autocomplete: "off" });
      input.setAttribute("aria-label", page.t("Find in {title}").replace("{title}", title));
      const said = Object.assign(document.createElement("p"), { className: "different count" });
      said.setAttribute("role", "status");
      find.append(input, said);
      set.querySelector("ul").before(find);
    }
  }

  // The panel was made anew: what was unfolded stays so, and is counted under the new filters.
  page.arrangeChoices = () => {
    for (const id of opened.keys()) {
      arrange(id);
      load(id);
    }
  };
  // A morph must neither shorten an unfolded list nor take its field away; it says what is chosen.
  page.keepChoices = (fresh, since) => {
    for (const id of opened.keys()) {
      const live = document.getElementById(id);
      const list = live?.querySelector("ul");
      const other = fresh.querySelector(`#${CSS.escape(id)}`);
      if (!list || !other) continue;
      list.dataset.own = "";
      const chosen = new Set([...other.querySelectorAll("input[checked]")].map((input) => input.value));
      for (const input of list.querySelectorAll("input"))
        if (!page.isTouched(input, since)) input.checked = chosen.has(input.value);
      const find = live.querySelector(".within");
      if (find) other.querySelector("ul").before(document.importNode(find, true));
      other.querySelector("ul").dataset.own = "";
    }
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("#facets a.every");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const { id } = link.closest("fieldset");
    if (opened.delete(id)) {
      const list = link.closest("fieldset").querySelector("ul");
      list.removeAttribute("data-own");
      list.setAttribute("data-stay", "");
      arrange(id);
      page.go(location.href, { history: "keep" });
      return;
    }
    opened.set(id, { text: "", under: null });
    arrange(id);
    load(id);
    if (matchMedia("(pointer: fine)").matches) link.closest("fieldset").querySelector(".within input").focus();
  });
  document.addEventListener("input", (event) => {
    const set = event.target.closest?.(".within")?.closest("fieldset");
    const state = set && opened.get(set.id);
    if (!state) return;
    state.text = event.target.value.trim();
    clearTimeout(state.soon);
    state.soon = setTimeout(() => load(set.id), 150);
  });
})();
