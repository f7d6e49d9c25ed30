// A product's pictures: another one under the pointer, and all of them large in a dialog with the arrow keys.
"use strict";
(() => {
  const page = window.imgsearch;
  const dialog = () => document.getElementById("larger");
  let from = null; // who opened it, and gets the focus back
  let under = null;

  const strip = () => [...dialog().querySelectorAll(".strip a")];
  const at = () => strip().findIndex((link) => link.hasAttribute("aria-current"));

  // Shows a picture of the strip: its thumbnail at once, the large one as soon as it is there.
  function show(place) {
    const links = strip();
    if (!links.length) return;
    const link = links[(place + links.length) % links.length];
    for (const one of links) one.toggleAttribute("aria-current", false);
    link.setAttribute("aria-current", "true");
    link.scrollIntoView({ block: "nearest", inline: "nearest" });
    const image = dialog().querySelector("#shown img");
    image.alt = link.querySelector("img").alt;
    const ahead = new Image();
    image.src = link.dataset.thumbnail;
    image.classList.add("waits");
    ahead.addEventListener("load", () => { if (link.hasAttribute("aria-current")) { image.src = ahead.src; image.classList.remove("waits"); } });
    ahead.src = link.dataset.larger;
  }

  async function open(link, { push = true } = {}) {
    under?.abort();
    const mine = (under = new AbortController());
    try {
      const [answer, found] = await page.read(link.href, { signal: mine.signal });
      const product = found.getElementById("product");
      if (answer.status === 401 || !product) { location.assign(link.href); return; }
      const close = Object.assign(document.createElement("button"), { type: "button", className: "close", textContent: "×" });
      close.setAttribute("aria-label", page.t("Close"));
      dialog().replaceChildren(close, document.importNode(product, true));
      dialog().querySelector(".back")?.remove();
      dialog().setAttribute("aria-label", product.dataset.title);
      if (!dialog().open) { from = link; dialog().showModal(); }
      page.cover(() => dialog().close(), { address: link.href, product: true, push });
    } catch {
      if (!mine.signal.aborted) location.assign(link.href);
    }
  }

  page.openProduct = open;

  document.addEventListener("click", (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || !dialog()) return;
    const link = event.target.closest?.("a[data-open]");
    if (link) { event.preventDefault(); open(link); return; }
    if (!dialog().contains(event.target)) return;
    const turn = event.target.closest(".turn");
    const one = event.target.closest(".strip a");
    if (turn) { event.preventDefault(); show(at() + (turn.rel === "prev" ? -1 : 1)); }
    else if (one) { event.preventDefault(); show(strip().indexOf(one)); }
    else if (event.target === dialog() || event.target.closest(".close")) dialog().close();
  });
  document.addEventListener("keydown", (event) => {
    if (!dialog()?.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && strip().length) { event.preventDefault(); show(at() + step); }
    else if (event.key === "Home" || event.key === "End") { event.preventDefault(); show(event.key === "Home" ? 0 : -1); }
  });
  document.addEventListener("close", (event) => {
    if (event.target !== dialog()) return;
    dialog().replaceChildren();
    page.uncover();
    if (from?.isConnected) (from.tabIndex < 0 ? from.closest(".card").querySelector("h2 a") : from).focus({ preventScroll: true });
    from = null;
  }, true);

  // The picture under the pointer, or under the focus, takes the large place of its card for that long.
  function swap(link, is) {
    const image = link.closest(".card").querySelector(".picture img");
    if (is) { image.dataset.kept ??= image.getAttribute("src"); image.src = link.dataset.swap; }
    else if (image.dataset.kept) { image.src = image.dataset.kept; delete image.dataset.kept; }
  }
  for (const [name, is] of [["mouseover", true], ["mouseout", false], ["focusin", true], ["focusout", false]])
    document.addEventListener(name, (event) => {
      const link = event.target.closest?.("[data-swap]");
      if (link) swap(link, is);
    });
})();
