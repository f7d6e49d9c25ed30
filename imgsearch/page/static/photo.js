// Photos to search by (chosen, dropped, pasted), and the files of the form that adds pictures, looked at before they are sent.
"use strict";
(() => {
  const page = window.imgsearch;
  let preview = null; // a small copy of the photo just chosen; the server keeps none
  const megabytes = (bytes) => `${(bytes / 1048576).toFixed(1)} MB`;
  const largest = () => Number(document.body.dataset.largest);
  const small = (files) => {
    const size = [...files].reduce((sum, file) => sum + file.size, 0);
    return size <= largest() ? null : page.t("This is {size}; at most {most} fit into one go. Choose a smaller picture.").replace("{size}", megabytes(size)).replace("{most}", megabytes(largest()));
  };

  page.arrangePhoto = () => {
    const chip = document.querySelector("img[data-photo]");
    if (!chip) return;
    try {
      if (preview) sessionStorage.setItem("imgsearch " + chip.dataset.photo, preview);
      preview = null;
      const kept = sessionStorage.getItem("imgsearch " + chip.dataset.photo);
      if (kept) { chip.src = kept; chip.hidden = false; }
    } catch { /* no storage: the stand-in stays */ }
  };

  async function shrink(file) {
    try {
      const bitmap = await createImageBitmap(file);
      const side = Math.min(bitmap.width, bitmap.height);
      const canvas = Object.assign(document.createElement("canvas"), { width: 96, height: 96 });
      canvas.getContext("2d").drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, 96, 96);
      return canvas.toDataURL("image/jpeg", 0.8);
    } catch { return null; } // not a picture: the server says why
  }

  async function ask(files) {
    const form = document.getElementById("by-photo");
    const input = document.getElementById("photo");
    if (!form || !files.length) return;
    const wrong = small(files);
    if (wrong) { input.value = ""; page.complain(wrong); return; }
    if (input.files !== files) {
      const one = new DataTransfer();
      one.items.add(files[0]);
      input.files = one.files;
    }
    page.busy(true);
    preview = await shrink(files[0]);
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
