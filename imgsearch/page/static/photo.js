// Photos to search by (chosen, dropped, pasted), and the files of the form that adds pictures, looked at before they are sent.
"use strict";
(() => {
  const page = window.imgsearch;
  const SIDE = 1024; // px of the copy that stays in this browser, to be shown and marked; the server keeps none
  const KEPT = 8; // files and copies at most
  let pending = null; // the photo just sent: its file, its copy
  const files = new Map(); // token → file, while this page stays open
  const megabytes = (bytes) => `${(bytes / 1048576).toFixed(1)} MB`;
  const largest = () => Number(document.body.dataset.largest);
  const small = (files) => {
    const size = [...files].reduce((sum, file) => sum + file.size, 0);
    return size <= largest() ? null : page.t("This is {size}; at most {most} fit into one go. Choose a smaller picture.").replace("{size}", megabytes(size)).replace("{most}", megabytes(largest()));
  };

  const name = (token) => "imgsearch " + token;
  function keep(token, copy) {
    for (const most of [KEPT - 1, 0])
      try {
        const older = Object.keys(sessionStorage).filter((key) => key.startsWith("imgsearch ") && key !== name(token));
        for (const key of older.slice(0, Math.max(0, older.length - most))) sessionStorage.removeItem(key);
        sessionStorage.setItem(name(token), copy);
        return;
      } catch { /* full, or none: with fewer, else the stand-in stays */ }
  }
  const copyOf = (token) => { try { return sessionStorage.getItem(name(token)); } catch { return null; } };

  page.arrangePhoto = async () => {
    const chip = document.querySelector("img[data-photo]");
    const token = chip?.dataset.photo;
    if (token && pending) {
      files.delete(token);
      files.set(token, pending.file);
      if (files.size > KEPT) files.delete(files.keys().next().value);
      if (pending.copy) keep(token, pending.copy);
    }
    pending = null;
    const copy = token && copyOf(token);
    if (copy) {
      chip.src = (chip.dataset.region && await page.cut(copy, chip.dataset.region.split(",").map(Number), 96)) || copy;
      chip.hidden = false;
    }
    page.arrangeParts?.(token, copy);
  };

  function drawn(source, [x, y, w, h], most) {
    const scale = Math.min(1, most / Math.max(w, h));
    const canvas = Object.assign(document.createElement("canvas"), { width: Math.max(1, Math.round(w * scale)), height: Math.max(1, Math.round(h * scale)) });
    canvas.getContext("2d").drawImage(source, x, y, w, h, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL("image/jpeg", 0.85);
  }

  // A part of a copy (x, y, w, h; shares of its sides, or pixels of the photo it is a copy of) as a picture.
  page.cut = async (copy, [x, y, w, h], most) => {
    try {
      const image = Object.assign(new Image(), { src: copy });
      await image.decode();
      if (Math.max(x, y, w, h) > 1) return null;
      return drawn(image, [x * image.naturalWidth, y * image.naturalHeight, w * image.naturalWidth, h * image.naturalHeight], most);
    } catch { return null; }
  };

  async function shrink(file) {
    try {
      const bitmap = await createImageBitmap(file);
      return drawn(bitmap, [0, 0, bitmap.width, bitmap.height], SIDE);
    } catch { return null; } // not a picture, or one that this browser cannot show: the server says why
  }

  // Search by a part of the photo: of its file while the page stays open, later of its copy.
  page.askPart = async (token, region) => {
    const form = document.getElementById("by-photo");
    const copy = copyOf(token);
    let file = files.get(token);
    if (!file) {
      const bytes = Uint8Array.from(atob(copy.split(",")[1]), (one) => one.charCodeAt(0));
      file = new File([bytes], "photo.jpg", { type: "image/jpeg" });
    }
    pending = { file, copy };
    page.busy(true);
    const given = new FormData(form);
    given.set("photo", file);
    given.set("region", region.map((number) => number.toFixed(4)).join(","));
    await page.go(form.action, { body: given, to: 0 });
  };

  async function ask(chosen) {
    const form = document.getElementById("by-photo");
    const input = document.getElementById("photo");
    if (!form || !chosen.length) return;
    const wrong = small(chosen);
    if (wrong) { input.value = ""; page.complain(wrong); return; }
    if (input.files !== chosen) {
      const one = new DataTransfer();
      one.items.add(chosen[0]);
      input.files = one.files;
    }
    page.busy(true);
    pending = { file: chosen[0], copy: await shrink(chosen[0]) };
    const sent = page.submit(form, 0);
    input.value = ""; // the same photo may be chosen again
    await sent;
  }

  // The form that adds pictures: what is wrong is said beside each file, and the choice stays.
  function list(input) {
    const shown = document.getElementById("chosen");
    const known = (input.accept || "").split(",").map((one) => one.trim().toLowerCase());
    const fits = (file) => known.some((one) => (one.endsWith("/*") ? file.type.startsWith(one.slice(0, -1)) : one === file.type || (one.startsWith(".") && file.name.toLowerCase().endsWith(one))));
    let wrong = "";
    const rows = [...input.files].map((file) => {
      const row = document.createElement("li");
      const said = fits(file) ? "" : page.t("not a picture");
      row.append(Object.assign(document.createElement("span"), { className: "name", textContent: file.name }), Object.assign(document.createElement("span"), { className: said ? "wrong" : "count", textContent: said || megabytes(file.size) }));
      if (said) wrong ||= page.t("{name} is not a picture that can be added; choose again without it.").replace("{name}", file.name);
      return row;
    });
    wrong ||= small(input.files) || "";
    shown.replaceChildren(...rows);
    const box = document.getElementById("wrong-pictures");
    box.textContent = wrong;
    box.hidden = !wrong;
    input.toggleAttribute("aria-invalid", Boolean(wrong));
    return wrong;
  }

  async function send(form) {
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const [answer, found] = await page.read(form.action, { method: "POST", body: new FormData(form) });
      if (answer.redirected) { location.assign(answer.url); return; }
      const main = found.getElementById("main");
      if (main?.querySelector("form.stack[enctype]")) page.morph(document.getElementById("main"), main);
      else page.complain(found.querySelector(".notice p")?.textContent || page.t("The server answered {status}.").replace("{status}", answer.status));
      document.querySelector(".notice")?.scrollIntoView({ block: "nearest" });
    } catch {
      page.complain(page.t("The server does not answer. Is it still running? Your choice is kept; try again in a moment."));
    } finally {
      button.disabled = false;
    }
  }

  document.addEventListener("change", (event) => {
    if (event.target.id === "photo") ask(event.target.files);
    else if (event.target.dataset.watch !== undefined) list(event.target);
  });
  document.addEventListener("submit", (event) => {
    const input = event.target.querySelector?.("[data-watch]");
    if (!input) return;
    event.preventDefault();
    if (list(input)) input.focus();
    else send(event.target);
  });
  const pictures = (transfer) => [...(transfer?.files || [])].slice(0, 1);
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
})();
