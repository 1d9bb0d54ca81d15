// Text, or Text + code: one switch at the top. In the address after a tilde (#late-law~code), else remembered.
(() => {
  const key = "reading-mode";
  const lines = document.querySelectorAll("details.code");
  const bar = document.querySelector(".article-header-buttons");
  if (!lines.length || !bar) return;

  const read = (hash) => { try { return decodeURIComponent(hash); } catch { return hash; } };  // "#%" is no code
  const address = () => read(location.hash.slice(1)).split("~");
  const remembered = () => { try { return localStorage.getItem(key); } catch { return null; } };
  const remember = (mode) => { try { localStorage.setItem(key, mode); } catch { /* private window */ } };
  const known = (mode) => (mode === "code" || mode === "text" ? mode : null);

  const box = document.createElement("fieldset");
  box.className = "reading-mode";
  box.setAttribute("aria-label", "What is shown");
  for (const [value, words] of [["text", "Text"], ["code", "Text + code"]]) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: key, value });
    const span = document.createElement("span");
    span.textContent = words;
    label.append(input, span);
    box.append(label);
    input.addEventListener("change", () => choose(value));
  }
  bar.prepend(box);

  function show(mode) {
    document.documentElement.dataset.read = mode;
    for (const input of box.querySelectorAll("input")) input.checked = input.value === mode;
    for (const line of lines) line.open = mode === "code";
  }

  // The line under the eye stays where it is.
  function choose(mode) {
    const eye = document.elementFromPoint(innerWidth / 2, 180);
    const before = eye?.getBoundingClientRect().top;
    show(mode);
    remember(mode);
    history.replaceState(null, "", `#${address()[0]}~${mode}`);
    if (eye?.checkVisibility()) scrollBy({ top: eye.getBoundingClientRect().top - before, behavior: "instant" });
  }

  function follow() {
    const [place, mode] = address();
    if (known(mode)) show(mode);
    const target = place && document.getElementById(place);
    for (let up = target; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
    if (target && (known(mode) || target.closest("details"))) target.scrollIntoView();
  }

  show(known(address()[1]) ?? known(remembered()) ?? "text");
  follow();
  addEventListener("hashchange", follow);
})();
