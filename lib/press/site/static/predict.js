// A reader's prediction, checked: right within a band, a likely mistake by its value, or the side on which it lies.
for (const form of document.querySelectorAll("form.predict")) {
  const { answer, within } = form.dataset;
  const near = (guess, value) => Math.abs(guess - value) <= Math.abs(value) * Number(within);
  const said = (guess) => {
    if (!Number.isFinite(guess)) return "Enter a number, such as 10000 or 1e4.";
    for (const known of form.querySelectorAll("data")) if (near(guess, Number(known.value))) return known;
    const ratio = guess / Number(answer);
    if (near(Math.abs(Math.log10(Math.abs(ratio))), 2)) return "A factor of 100 off: what is one per cent of what?";
    return guess < Number(answer) ? "Too small. The solution says why." : "Too large. The solution says why.";
  };
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = form.querySelector("input").value.trim().replace(/[\s,]/g, "").replace("−", "-");
    const told = said(text ? Number(text) : NaN);
    form.querySelector("output").replaceChildren(...(told.cloneNode ? told.cloneNode(true).childNodes : [told]));
  });
}
