// Make one piece of the page like another without putting new nodes in place of old ones: whoever types, scrolls or
// has the focus there keeps it. Nodes are the same by id or data-key, else by their order and kind.
"use strict";
(() => {
  const page = (window.imgsearch = {});
  const touched = new WeakMap(); // field → when somebody last changed it
  let clock = 0;
  const texts = JSON.parse(document.body?.dataset.words || "{}");
  page.t = (text) => texts[text] ?? text; // in the language of the page

  page.now = () => ++clock;
  page.isTouched = (field, since) => (touched.get(field) ?? 0) > since;
  for (const kind of ["input", "change"])
    document.addEventListener(kind, (event) => touched.set(event.target, ++clock), true);

  const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE && (node.id || node.dataset?.key)) || null;
  const kindOf = (node) => [node.nodeName, ...(keyOf(node) ? [keyOf(node)] : [node.classList?.[0], node.getAttribute?.("type")])].join(" ");
  const alike = (one, other) => kindOf(one) === kindOf(other);
  const isBlank = (node) => node.nodeType === Node.TEXT_NODE && !node.data.trim();

  function attributes(live, fresh) {
    const own = live.localName === "details" ? ["open"] : [];
    for (const { name } of [...live.attributes]) if (!fresh.hasAttribute(name) && !own.includes(name)) live.removeAttribute(name);
    for (const { name, value } of fresh.attributes)
      if (live.getAttribute(name) !== value && !own.includes(name)) live.setAttribute(name, value);
  }

  // Lists that people choose from stay in the order in which they stand; what is new comes last.
  function ordered(live, fresh) {
    const wanted = [...fresh.childNodes].filter((node) => !isBlank(node));
    if (live.dataset?.stay === undefined) return wanted;
    const place = new Map([...live.children].map((child, n) => [keyOf(child), n]));
    const at = (node) => place.get(keyOf(node)) ?? Infinity;
    return wanted.map((node, n) => [node, n]).sort(([a, n], [b, m]) => (at(a) === at(b) ? n - m : at(a) - at(b))).map(([node]) => node);
  }

  function children(live, fresh, since) {
    const wanted = ordered(live, fresh);
    const keys = new Set(wanted.map(keyOf));
    const keyed = new Map([...live.children].filter(keyOf).map((child) => [keyOf(child), child]));
    for (const child of [...live.childNodes]) if (isBlank(child) || (keyOf(child) && !keys.has(keyOf(child)))) child.remove();
    let at = live.firstChild;
    for (const node of wanted) {
      let found = keyOf(node) ? keyed.get(keyOf(node)) : at;
      if (!keyOf(node) && node.nodeType === Node.ELEMENT_NODE) while (found && !alike(found, node)) found = found.nextSibling;
      if (!found || !alike(found, node)) {
        live.insertBefore(document.importNode(node, true), at);
        continue;
      }
      while (at && at !== found && !keyOf(at)) { const gone = at; at = at.nextSibling; gone.remove(); }
      if (found === at) at = at.nextSibling;
      else live.insertBefore(found, at);
      one(found, node, since);
    }
    while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  }

  function field(live, fresh, since) {
    if (page.isTouched(live, since) || live.type === "file") return;
    if (live.type === "range") { live.value = fresh.getAttribute("value"); return; }
    if (live.type === "checkbox") live.checked = fresh.hasAttribute("checked");
    else if (live.name && live.type !== "hidden" && live.value !== (fresh.getAttribute("value") ?? "")) live.value = fresh.getAttribute("value") ?? "";
  }

  function one(live, fresh, since) {
    if (live.nodeType !== Node.ELEMENT_NODE) {
      if (live.data !== fresh.data) live.data = fresh.data;
      return;
    }
    attributes(live, fresh);
    if (live.localName === "input") field(live, fresh, since);
    if (live.dataset.own === undefined) children(live, fresh, since);
    if (live.localName === "select" && !page.isTouched(live, since)) live.value = fresh.querySelector("[selected]")?.value ?? "";
  }

  // `since`: what people changed later than this stays as they left it.
  page.morph = (live, fresh, since = clock) => {
    const held = document.activeElement;
    one(live, fresh, since);
    if (held !== document.activeElement && held?.isConnected) held.focus({ preventScroll: true });
  };
})();
