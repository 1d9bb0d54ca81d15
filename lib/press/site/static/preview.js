// What a link leads to, in place: on hover after a moment, at once on focus, on tap at the foot of the screen.
(() => {
  const templates = new Map([...document.querySelectorAll("template.preview")].map((t) => [t.dataset.for, t]));
  const links = [...document.querySelectorAll("article a[href]")].filter((a) => templates.has(a.getAttribute("href")) && !a.classList.contains("headerlink"));
  if (!links.length) return;
  const make = (name, given, ...children) => {
    const element = Object.assign(document.createElement(name), given);
    element.append(...children);
    return element;
  };
  const told = make("div", { id: "preview-told" });
  const there = make("a", { className: "there", textContent: "Go there" });
  const end = make("button", { type: "button", className: "end", textContent: "×", ariaLabel: "Close" });
  const box = make("div", { className: "preview-box", hidden: true, role: "dialog", ariaLabel: "Preview" }, end, told, there);
  document.body.append(box);
  let link, timer, touched, quiet;

  for (const one of links) { one.classList.add("previewed"); one.removeAttribute("title"); }

  function place() {
    box.style.cssText = "";
    if (box.classList.contains("sheet")) return;
    const at = link.getClientRects()[0];
    const left = Math.max(8, Math.min(at.left, document.documentElement.clientWidth - box.offsetWidth - 8));
    const below = at.bottom + 6 + box.offsetHeight < innerHeight || at.top < box.offsetHeight + 60;
    box.style.left = `${left + scrollX}px`;
    box.style.top = `${scrollY + (below ? at.bottom + 6 : at.top - 6 - box.offsetHeight)}px`;
  }
  function open(one, sheet) {
    clearTimeout(timer);
    if (!box.hidden && link === one) return;
    close();
    link = one;
    told.replaceChildren(templates.get(one.getAttribute("href")).content.cloneNode(true));
    there.href = one.href;
    box.classList.toggle("sheet", sheet);
    box.hidden = false;
    one.setAttribute("aria-describedby", told.id);
    place();
    if (sheet) end.focus({ preventScroll: true });
  }
  function close(back) {
    clearTimeout(timer);
    if (box.hidden) return;
    const within = box.contains(document.activeElement);
    box.hidden = true;
    link.removeAttribute("aria-describedby");
    if (back && within) { quiet = true; link.focus({ preventScroll: true }); quiet = false; }
  }
  const later = (act, wait) => { clearTimeout(timer); timer = setTimeout(act, wait); };
  const leave = () => { if (!box.classList.contains("sheet")) later(() => close(), 250); };

  for (const one of links) {
    one.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") later(() => open(one, false), 180); });
    one.addEventListener("pointerleave", leave);
    one.addEventListener("pointerdown", (event) => { touched = event.pointerType !== "mouse"; });
    one.addEventListener("focus", () => { if (!quiet && one.matches(":focus-visible")) open(one, false); });
    one.addEventListener("blur", leave);
    one.addEventListener("click", (event) => {
      if (touched) { event.preventDefault(); open(one, true); } else close();
      touched = false;
    });
  }
  box.addEventListener("pointerenter", () => clearTimeout(timer));
  box.addEventListener("pointerleave", leave);
  box.addEventListener("focusin", () => clearTimeout(timer));
  there.addEventListener("click", () => close());
  end.addEventListener("click", () => close(true));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") close(true); });
  document.addEventListener("pointerdown", (event) => { if (!box.contains(event.target)) close(); });
})();
