// Two handles for the price. They write into the two fields beside them, which people can type into as well.
"use strict";
(() => {
  const page = window.imgsearch;
  const STEPS = 10; // of each band, as in slider.py
  const slider = () => document.getElementById("slider");
  const edges = () => slider().dataset.edges.split(" ").map(Number);
  const money = (price) => {
    const { currency } = document.body.dataset;
    const places = { maximumFractionDigits: Number.isInteger(price) ? 0 : 2 };
    try { return new Intl.NumberFormat(document.documentElement.lang, currency ? { style: "currency", currency, ...places, minimumFractionDigits: 0 } : places).format(price); }
    catch { return String(price); }
  };

  // The price at a place: straight lines between the edges, in steps that people would choose.
  function price(place) {
    const all = edges();
    const band = Math.min(Math.floor(place / STEPS), all.length - 2);
    const exact = all[band] + ((all[band + 1] - all[band]) * (place - band * STEPS)) / STEPS;
    return exact >= 20 ? Math.round(exact) : Math.round(exact * 100) / 100;
  }

  function draw() {
    const [low, high] = ["slide-low", "slide-high"].map((id) => document.getElementById(id));
    const share = (input) => (100 * Number(input.value)) / Number(input.max);
    const part = slider().querySelector(".part");
    part.setAttribute("x", `${share(low)}%`);
    part.setAttribute("width", `${share(high) - share(low)}%`);
    low.style.zIndex = share(low) > 50 ? 2 : 1; // where both stand at one end, the one that can move lies on top
  }

  document.addEventListener("input", (event) => {
    const input = event.target;
    if (!input.dataset?.field || !slider()) return;
    const isLow = input.dataset.field === "min_price";
    const other = document.getElementById(isLow ? "slide-high" : "slide-low");
    if (isLow ? Number(input.value) > Number(other.value) : Number(input.value) < Number(other.value)) input.value = other.value;
    const isOpen = Number(input.value) === (isLow ? 0 : Number(input.max));
    const found = price(Number(input.value));
    document.getElementById(input.dataset.field).value = isOpen ? "" : String(found);
    input.setAttribute("aria-valuetext", isOpen && !isLow ? slider().dataset.open : money(found));
    draw();
  });
  document.addEventListener("change", (event) => {
    const field = event.target.dataset?.field && document.getElementById(event.target.dataset.field);
    if (field) field.dispatchEvent(new Event("change", { bubbles: true }));
  });
  page.arrangeSlider = () => { if (slider()) draw(); };
})();
