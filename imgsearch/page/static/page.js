// What HTML alone cannot do: photos by drop and paste, filters that apply at once, copying. All of it has another way.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js-on");
  const phone = window.matchMedia("(max-width: 820px)");
  const unfolded = new Map(); // which <details> people opened or closed, kept across answers
  let preview = null; // a small copy of the photo just chosen; the server keeps none

  const busy = (is) => document.getElementById("stage")?.setAttribute("aria-busy", String(is));

  function arrange() {
    const filters = document.getElementById("filters");
    if (filters && !unfolded.has("filters")) filters.open = !phone.matches;
    for (const [id, open] of unfolded) {
      const found = document.getElementById(id);
      if (found) found.open = open;
    }
    const chip = document.querySelector("img[data-photo]");
    if (chip) {
      try {
        if (preview) sessionStorage.setItem("imgsearch " + chip.dataset.photo, preview);
        preview = null;
        const kept = sessionStorage.getItem("imgsearch " + chip.dataset.photo);
        if (kept) { chip.src = kept; chip.hidden = false; }
      } catch { /* no storage: the stand-in stays */ }
    }
  }

  async function shrink(file) {
    try {
      const bitmap = await createImageBitmap(file);
      const side = Math.min(bitmap.width, bitmap.height);
      const canvas = Object.assign(document.createElement("canvas"), { width: 96, height: 96 });
      canvas.getContext("2d").drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, 96, 96);
      return canvas.toDataURL("image/jpeg", 0.8);
    } catch { return null; } // not a picture: the server says why
  }

  function complain(text) {
    const main = document.getElementById("main");
    main.querySelector(".notice")?.remove();
    const notice = Object.assign(document.createElement("div"), { className: "notice bad" });
    notice.setAttribute("role", "alert");
    notice.append(Object.assign(document.createElement("p"), { textContent: text }));
    main.prepend(notice);
  }

  function tooLarge(files) {
    const largest = Number(document.body.dataset.largest);
    const size = [...files].reduce((sum, file) => sum + file.size, 0);
    if (size <= largest) return false;
    complain(`This is ${(size / 1048576).toFixed(1)} MB; at most ${(largest / 1048576).toFixed(1)} MB fit into one go. Choose a smaller picture.`);
    return true;
  }

  async function ask(files) {
    const form = document.getElementById("by-photo");
    const input = document.getElementById("photo");
    if (!form || !files.length) return;
    if (tooLarge(files)) { input.value = ""; return; }
    if (input.files !== files) {
      const one = new DataTransfer();
      one.items.add(files[0]);
      input.files = one.files;
    }
    busy(true);
    preview = await shrink(files[0]);
    form.requestSubmit();
  }

  const pictures = (transfer) => [...(transfer?.files || [])].slice(0, 1);

  document.addEventListener("change", (event) => {
    const input = event.target;
    if (input.id === "photo") ask(input.files);
    else if (input.dataset.watch !== undefined) tooLarge(input.files) && (input.value = "");
    else if (input.getAttribute("form") === "ask") {
      if (input.dataset.only !== undefined && input.checked)
        for (const other of document.getElementsByName(input.name)) if (other !== input) other.checked = false;
      document.getElementById("ask").requestSubmit();
    }
  });
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const text = document.getElementById(copy.dataset.copy).textContent;
      try { await navigator.clipboard.writeText(text); copy.textContent = "Copied"; }
      catch { getSelection().selectAllChildren(document.getElementById(copy.dataset.copy)); copy.textContent = "Selected"; }
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    }
    const unfold = event.target.closest(".unfold");
    if (unfold) {
      const all = unfold.parentElement.classList.toggle("all");
      unfold.setAttribute("aria-expanded", String(all));
      unfold.textContent = all ? "Show fewer" : `Show all ${unfold.parentElement.querySelectorAll("li").length}`;
    }
    const summary = event.target.closest("summary");
    if (summary) unfolded.set(summary.parentElement.id, !summary.parentElement.open);
  });
  document.addEventListener("paste", (event) => {
    const found = pictures(event.clipboardData);
    if (found.length && document.getElementById("by-photo")) { event.preventDefault(); ask(found); }
  });
  const drop = document.getElementById("drop");
  const carriesFiles = (event) => drop && [...(event.dataTransfer?.types || [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (carriesFiles(event)) { event.preventDefault(); drop.hidden = false; }
  });
  document.addEventListener("dragleave", (event) => { if (drop && !event.relatedTarget) drop.hidden = true; });
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    drop.hidden = true;
    ask(pictures(event.dataTransfer));
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      document.getElementById("q")?.focus();
    }
  });
  document.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.target.id === "stage") busy(true); });
  document.addEventListener("htmx:afterRequest", () => busy(false));
  document.addEventListener("htmx:sendError", () => complain("The server does not answer. Is it still running? Try again in a moment."));
  document.addEventListener("htmx:afterSwap", arrange);
  window.addEventListener("pageshow", () => { busy(false); arrange(); });
  arrange();
  busy(false);
})();
