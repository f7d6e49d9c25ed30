// What HTML alone cannot do: filters that apply at once, copying, looking again. All of it has another way.
"use strict";
(() => {
  const page = window.imgsearch;

  page.arrange = () => {
    page.arrangePhoto();
    page.arrangeSheet();
    page.arrangeChoices();
    page.arrangeSlider();
    page.arrangeSuggestions();
  };

  document.addEventListener("change", (event) => {
    const input = event.target;
    if (input.getAttribute("form") !== "ask" || input.type === "file" || !document.getElementById("stage")) return;
    if (input.dataset.only !== undefined && input.checked)
      for (const other of document.getElementsByName(input.name)) if (other !== input) other.checked = false;
    page.submit(document.getElementById("ask"));
  });
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const text = document.getElementById(copy.dataset.copy).textContent;
      try { await navigator.clipboard.writeText(text); copy.textContent = "Copied"; }
      catch { getSelection().selectAllChildren(document.getElementById(copy.dataset.copy)); copy.textContent = "Selected"; }
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    }
    const engineer = event.target.closest("#engineer");
    if (engineer) {
      const is = document.documentElement.classList.toggle("how-on");
      engineer.setAttribute("aria-pressed", String(is));
      try { localStorage.setItem("imgsearch how", is ? "on" : "off"); } catch { /* no storage: until the next page */ }
    }
    const into = event.target.closest("[data-into]");
    if (into && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      const place = document.getElementById(into.dataset.into);
      try {
        const [, found] = await page.read(into.href);
        place.replaceChildren(...document.importNode(found.getElementById(into.dataset.into) || found.querySelector(".notice"), true).childNodes);
      } catch { location.assign(into.href); }
    }
  });

  // Pictures that are not searchable yet: look again until they are.
  function again() {
    const watch = document.querySelector("[data-again]");
    if (!watch) return;
    setTimeout(async () => {
      try {
        const [, found] = await page.read(watch.dataset.again);
        const fresh = found.getElementById("watch");
        if (fresh) page.morph(watch, fresh);
      } catch { /* the server is away for a moment: look again */ }
      again();
    }, 400);
  }

  window.addEventListener("pageshow", () => { page.busy(false); page.arrange(); });
  // The engineer's panel: as it was left in this browser, else as the shop has it.
  function engineer() {
    const button = document.getElementById("engineer");
    let kept = null;
    try { kept = localStorage.getItem("imgsearch how"); } catch { /* no storage */ }
    if (!button || !kept) return;
    document.documentElement.classList.toggle("how-on", kept === "on");
    button.setAttribute("aria-pressed", String(kept === "on"));
  }

  engineer();
  page.fold();
  page.arrange();
  again();
})();
