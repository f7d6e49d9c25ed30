// A part of the photo: proposed for one tap, or marked with a box that fingers, a mouse and arrow keys move.
"use strict";
(() => {
  const page = window.imgsearch;
  const LEAST = 0.04; // of a side
  const STEP = 0.02;
  const at = (id) => document.getElementById(id);
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const numbers = (text) => (text || "").split(",").map(Number);
  let box = [0.2, 0.2, 0.6, 0.6]; // x, y, w, h in shares
  let token = null;
  let drag = null;

  // The row above the results: what stands out of the photo, and the button that opens the dialog.
  page.arrangeParts = async (photo, copy) => {
    const row = at("parts");
    if (!row) return;
    token = photo;
    row.hidden = !copy;
    if (!copy) return;
    const places = JSON.parse(row.dataset.boxes);
    const made = await Promise.all(places.slice(0, 5).map(async (place, n) => {
      const shown = await page.cut(copy, place, 112);
      if (!shown) return null;
      const button = Object.assign(document.createElement("button"), { type: "button", className: "proposed" });
      button.dataset.place = place.join(",");
      button.setAttribute("aria-label", page.t("Search by part {n} of your photo").replace("{n}", n + 1));
      button.setAttribute("aria-pressed", String(alike(place, numbers(row.dataset.region))));
      button.append(Object.assign(document.createElement("img"), { src: shown, alt: "", width: 56, height: 56 }));
      return button;
    }));
    if (row.isConnected) at("proposed").replaceChildren(...made.filter(Boolean));
  };
  const alike = (one, other) => other.length === 4 && one.every((number, n) => Math.abs(number - other[n]) < 0.001);

  function set([x, y, w, h]) {
    w = clamp(w, LEAST, 1);
    h = clamp(h, LEAST, 1);
    box = [clamp(x, 0, 1 - w), clamp(y, 0, 1 - h), w, h];
    const frame = at("part-box");
    ["left", "top", "width", "height"].forEach((side, n) => { frame.style[side] = `${box[n] * 100}%`; });
    const percent = (share) => Math.round(share * 100);
    at("part-said").textContent = page.t("{w} % wide and {h} % high, {x} % from the left and {y} % from the top")
      .replace("{w}", percent(box[2])).replace("{h}", percent(box[3])).replace("{x}", percent(box[0])).replace("{y}", percent(box[1]));
  }

  // Two corners that need not be in order; the one that stands still comes first.
  const span = (x0, y0, x1, y1) => set([Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0)]);
  function corner(which, x, y) {
    const [left, top, right, low] = [box[0], box[1], box[0] + box[2], box[1] + box[3]];
    const west = which.includes("w"), north = which.includes("n");
    const across = west ? [clamp(x, 0, right - LEAST), right] : [left, clamp(x, left + LEAST, 1)];
    const down = north ? [clamp(y, 0, low - LEAST), low] : [top, clamp(y, top + LEAST, 1)];
    set([across[0], down[0], across[1] - across[0], down[1] - down[0]]);
  }
  const cornerAt = (which) => [which.includes("w") ? box[0] : box[0] + box[2], which.includes("n") ? box[1] : box[1] + box[3]];

  function open() {
    const row = at("parts");
    const copy = row && sessionStorage.getItem("imgsearch " + token);
    if (!copy) return;
    const places = JSON.parse(row.dataset.boxes);
    const now = numbers(row.dataset.region);
    at("part-photo").src = copy;
    const stage = at("part-stage");
    for (const spot of stage.querySelectorAll(".spot")) spot.remove();
    places.forEach((place, n) => {
      const spot = Object.assign(document.createElement("button"), { type: "button", className: "spot" });
      spot.dataset.place = place.join(",");
      spot.setAttribute("aria-label", page.t("Mark part {n}").replace("{n}", n + 1));
      spot.style.left = `${(place[0] + place[2] / 2) * 100}%`;
      spot.style.top = `${(place[1] + place[3] / 2) * 100}%`;
      stage.append(spot);
    });
    at("part").showModal();
    page.cover(() => at("part").close());
    set(now.length === 4 && Math.max(...now) <= 1 ? now : places[0] || [0.2, 0.2, 0.6, 0.6]);
    at("part-box").focus();
  }

  function search() {
    at("part").close();
    page.askPart(token, box);
  }

  document.addEventListener("click", (event) => {
    const found = event.target.closest?.("#mark, .proposed, .spot, #part-search, #part-close");
    if (!found) { if (event.target.id === "part") at("part").close(); return; }
    if (found.id === "mark") open();
    else if (found.className === "proposed") page.askPart(token, numbers(found.dataset.place));
    else if (found.className === "spot") { set(numbers(found.dataset.place)); at("part-box").focus(); }
    else if (found.id === "part-search") search();
    else at("part").close();
  });

  document.addEventListener("close", (event) => { if (event.target.id === "part") page.uncover(); }, true);

  const place = (event) => {
    const field = at("part-stage").getBoundingClientRect();
    return [clamp((event.clientX - field.left) / field.width, 0, 1), clamp((event.clientY - field.top) / field.height, 0, 1)];
  };
  document.addEventListener("pointerdown", (event) => {
    const stage = event.target.closest?.("#part-stage");
    if (!stage || event.button || event.target.closest(".spot")) return;
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    const [x, y] = place(event);
    const handle = event.target.closest(".handle");
    const inside = event.target.closest("#part-box");
    drag = handle ? { which: handle.dataset.corner } : inside ? { dx: x - box[0], dy: y - box[1] } : { x, y };
    (handle || at("part-box")).focus({ preventScroll: true });
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [x, y] = place(event);
    if (drag.which) corner(drag.which, x, y);
    else if (drag.x === undefined) set([x - drag.dx, y - drag.dy, box[2], box[3]]);
    else if (Math.max(Math.abs(x - drag.x), Math.abs(y - drag.y)) > LEAST) span(drag.x, drag.y, x, y);
  });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { drag = null; });

  document.addEventListener("keydown", (event) => {
    const on = event.target.closest?.("#part-box");
    if (!on || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && event.target === on) { event.preventDefault(); search(); return; }
    const [dx, dy] = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key] || [0, 0];
    if (!dx && !dy) return;
    event.preventDefault();
    const handle = event.target.closest(".handle");
    const which = handle ? handle.dataset.corner : event.shiftKey ? "se" : null;
    if (which) { const [x, y] = cornerAt(which); corner(which, x + dx, y + dy); }
    else set([box[0] + dx, box[1] + dy, box[2], box[3]]);
  });
})();
