// Searches without leaving the page: the latest question wins, and what people had under their hands stays. Each place
// of the history knows how far it was scrolled; how many pages of a list it showed stands in its address.
"use strict";
(() => {
  const page = window.imgsearch;
  const home = document.getElementById("ask")?.action;
  const isHere = (address) => home && address.origin === location.origin && address.pathname === new URL(home).pathname;
  const stage = () => document.getElementById("stage");
  let under = null; // the request under way
  let asking = false; // and whether it still is
  let shown = location.href;

  page.busy = (is) => stage()?.setAttribute("aria-busy", String(is));
  page.complain = (text, where = document.getElementById("main")) => {
    where.querySelector(".notice.said")?.remove();
    const notice = Object.assign(document.createElement("div"), { className: "notice bad said" });
    notice.setAttribute("role", "alert");
    notice.append(Object.assign(document.createElement("p"), { textContent: text }));
    where.prepend(notice);
    notice.scrollIntoView({ block: "nearest" });
  };
  page.read = async (address, options = {}) => {
    const answer = await fetch(address, { credentials: "same-origin", ...options });
    return [answer, new DOMParser().parseFromString(await answer.text(), "text/html")];
  };

  const remember = () => history.replaceState({ ...history.state, y: window.scrollY }, "");

  // What lies over the page (a product, the sheet of filters) has a place of the history, so that Back closes it.
  let over = null; // how it is closed
  let base = null; // the search beneath it
  let spare = false; // its place is left over: the next search takes it
  page.cover = (shut, { address = location.href, product = false, push = true } = {}) => {
    if (over) { history.replaceState(history.state, "", address); return; }
    if (push) { remember(); history.pushState({ y: window.scrollY, product }, "", address); }
    over = shut;
    base = shown;
    spare = false;
  };
  page.uncover = () => {
    if (!over) return;
    over = null;
    if (asking) spare = true;
    else if (base === shown) history.back();
  };

  // history: push, replace or keep. to: the height to go to; null stays where people are.
  page.go = async (address, { history: how = "push", to = null, body = null } = {}) => {
    under?.abort();
    const mine = (under = new AbortController());
    const since = page.now();
    if (how === "push") remember();
    asking = true;
    page.busy(true);
    let answer, found;
    try {
      [answer, found] = await page.read(address, { signal: mine.signal, ...(body && { method: "POST", body }) });
    } catch (error) {
      if (mine.signal.aborted) return;
      asking = false;
      page.busy(false);
      page.complain(page.t("The server does not answer. Is it still running? Try again in a moment."));
      return;
    }
    if (mine.signal.aborted) return;
    asking = false;
    page.busy(false);
    if (!found.getElementById("ask")) { // not a search: a sign-in, or an error of its own
      if (answer.status === 401) location.assign(address);
      else page.complain(found.querySelector(".notice p, p")?.textContent || page.t("The server answered {status}.").replace("{status}", answer.status));
      return;
    }
    const isSearch = !body || answer.redirected;
    if (isSearch && how !== "keep") {
      const where = body ? answer.url : String(address);
      const push = how === "push" && !over && !spare && where !== location.href;
      history[push ? "pushState" : "replaceState"]({ y: to ?? window.scrollY }, "", where);
      spare = false;
    }
    if (isSearch) shown = location.href;
    show(found, since, to);
  };

  function show(found, since, to) {
    const held = document.activeElement;
    const chips = [...document.querySelectorAll("#chips a")].indexOf(held);
    document.title = found.title;
    page.keepChoices(found, since);
    page.morph(stage(), found.getElementById("stage"), since);
    page.arrange();
    if (chips >= 0 && !held.isConnected) {
      const left = document.querySelectorAll("#chips a[aria-label]");
      (left[Math.min(chips, left.length - 1)] || document.getElementById("q")).focus({ preventScroll: true });
    } else if (held?.id === "q" && to !== null && matchMedia("(pointer: coarse)").matches) held.blur(); // the keyboard covers the results
    else if (!held?.isConnected) document.getElementById("main")?.focus({ preventScroll: true });
    if (to !== null) window.scrollTo(0, to);
  }

  page.submit = (form, to = null) => {
    const given = new FormData(form);
    if (form.method === "post") return page.go(form.action, { body: given, to });
    const address = new URL(form.action);
    address.search = new URLSearchParams([...given].filter(([, value]) => typeof value === "string" && value.trim()));
    return page.go(address.href, { to });
  };

  function end(row) {
    const said = Object.assign(document.createElement("p"), { className: "count", textContent: page.t("The end of the list.") + " " });
    said.append(Object.assign(document.createElement("a"), { className: "plain", href: "#main", textContent: page.t("Back to the top") }));
    row.replaceChildren(said);
  }

  async function showMore(link) {
    const mine = under;
    link.setAttribute("aria-disabled", "true");
    page.busy(true);
    try {
      const [answer, found] = await page.read(link.dataset.next);
      if (answer.status === 401) { location.assign(link.href); return; }
      if (!answer.ok) throw new Error(answer.statusText); // no end of the list
      if (!link.isConnected || under !== mine) return; // another search took its place
      const fresh = [...found.querySelectorAll("#cards > li")];
      if (!fresh.length) { end(link.closest("li")); return; }
      const here = new URL(location.href);
      const pages = Number(here.searchParams.get("pages") || 1) + 1;
      here.searchParams.set("pages", pages);
      const last = link.closest("li");
      const nodes = fresh.map((node) => document.importNode(node, true));
      last.replaceWith(...nodes);
      here.hash = "";
      history.replaceState({ ...history.state, y: window.scrollY }, "", here.href.replace(/#$/, ""));
      shown = location.href;
      const onward = document.querySelector("#onward [data-next]");
      here.searchParams.set("pages", pages + 1);
      if (onward && pages < Number(document.getElementById("cards").dataset.most)) onward.href = here.href;
      else if (onward) { onward.href = onward.dataset.next; onward.removeAttribute("data-next"); onward.dataset.anew = ""; onward.textContent = page.t("Go on from here"); }
      const list = document.getElementById("cards");
      if (list.querySelectorAll(".card").length >= Number(list.dataset.matches)) end(document.getElementById("onward"));
      nodes[0].querySelector(".act")?.focus({ preventScroll: true });
    } catch {
      link.removeAttribute("aria-disabled");
      page.complain(page.t("The server does not answer. Is it still running? Try again in a moment."), link.closest("li"));
    } finally {
      page.busy(false);
    }
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (link.getAttribute("href").startsWith("#")) return;
    if (link.dataset.next) { event.preventDefault(); if (!link.hasAttribute("aria-disabled")) showMore(link); return; }
    if (!(stage()?.contains(link) || link.closest("#larger")) || !home || !isHere(new URL(link.href))) return;
    event.preventDefault();
    document.getElementById("larger")?.close();
    page.go(link.href, { to: link.closest(".filters, .chip") ? null : 0 });
  });
  document.addEventListener("submit", (event) => {
    if (!stage()?.contains(event.target) || !home || event.defaultPrevented) return;
    event.preventDefault();
    page.submit(event.target, document.activeElement?.closest(".filters") ? null : 0);
  });

  if (home) {
    history.scrollRestoration = "manual";
    let soon = 0;
    window.addEventListener("scroll", () => { clearTimeout(soon); soon = setTimeout(remember, 150); }, { passive: true });
    window.addEventListener("pagehide", remember);
    window.addEventListener("popstate", (event) => {
      clearTimeout(soon);
      const to = event.state?.y ?? 0;
      if (over) {
        const shut = over;
        over = null;
        shut();
        if (base !== shown) { history.pushState({ y: window.scrollY }, "", shown); return; } // filters that were chosen stay
      } else if (event.state?.product) { page.openProduct({ href: location.href }, { push: false }); return; }
      if (location.href.split("#")[0] === shown.split("#")[0]) { under?.abort(); asking = false; page.busy(false); window.scrollTo(0, to); return; }
      page.go(location.href, { history: "keep", to });
    });
    // Pictures have addresses for a while only; a page that stood open longer asks for new ones, at most once a minute.
    let renewed = 0;
    document.addEventListener("error", (event) => {
      if (event.target.localName !== "img" || !event.target.closest("#cards") || Date.now() - renewed < 60_000 || asking) return;
      renewed = Date.now();
      page.go(shown, { history: "keep" });
    }, true);
    if (history.state?.y) window.scrollTo(0, history.state.y);
  } else window.addEventListener("popstate", () => location.reload()); // a product's own page, behind which a search lies
})();
