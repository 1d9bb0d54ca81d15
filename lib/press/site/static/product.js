// A product of matrices and what learns it: the reader chooses a case, a column (arrows, Home, End, a pointer) and a time.
for (const product of document.querySelectorAll(".product")) {
  const { cases, times } = JSON.parse(product.querySelector("script").textContent);
  const one = (selector) => product.querySelector(selector);
  const all = (selector) => [...product.querySelectorAll(selector)];
  const columns = all("input[name=product-column]");
  const [slider, button, clock] = ["input[type=range]", "button", ".clock"].map(one);
  const marks = all("text.mark");
  const last = times.length - 1;
  let shown = cases[0], column = columns.findIndex((input) => input.checked), time = last, timer;

  // A text of levels, one a cell, column by column; a column has as many cells as the case has rows.
  function paint(name, levels) {
    for (const matrix of all(`[data-name=${name}]`)) {
      const rows = levels.length / matrix.children.length;
      [...matrix.children].forEach((cells, place) => {
        while (cells.childElementCount > rows) cells.lastElementChild.remove();
        while (cells.childElementCount < rows) cells.append(document.createElement("i"));
        [...cells.children].forEach((cell, row) => {
          cell.style.setProperty("--v", (parseInt(levels[place * rows + row], 36) / 34).toFixed(2));
        });
      });
    }
  }

  // A curve is a line from point to point: its places are per cents, so that it takes any shape that its picture has.
  function draw(name) {
    const points = shown[name].trim().split(" ").map((point) => point.split(","));
    all(`.${name} line`).forEach((line, place) => {
      const [[x1, y1], [x2, y2]] = points.slice(place, place + 2);
      for (const [end, value] of Object.entries({ x1, y1, x2, y2 })) line.setAttribute(end, `${value}%`);
    });
  }

  function light(name, lit) {
    for (const matrix of all(`[data-name=${name}]`))
      [...matrix.children].forEach((cells, place) => cells.classList.toggle("on", lit.includes(place)));
  }

  function showColumn() {
    light("B", shown.told.reads[column]);
    for (const name of ["C", "Y", "learned", "answer"]) light(name, [column]);
    columns[column].checked = true;
    one(".tell").textContent = shown.told.says[column];
  }

  function showTime() {
    paint("learned", shown.learned[time]);
    paint("answer", shown.answer[time]);
    const [x, y] = shown.path.trim().split(" ")[time].split(",");
    one("circle").setAttribute("cx", `${x}%`);
    one("circle").setAttribute("cy", `${y}%`);
    slider.value = time;
    slider.setAttribute("aria-valuetext", `${times[time]}, ${shown.told.found[time]}`);
    clock.textContent = times[time];
    one(".found").textContent = shown.told.found[time];
    one(".gives").textContent = shown.told.gives[time];
  }

  function showCase() {
    for (const name of ["A", "C", "Y"]) paint(name, shown[name]);
    for (const name of ["A", "C"]) one(`[data-of=${name}]`).textContent = shown.told.of[name];
    product.style.setProperty("--weight", `"${shown.told.weight}"`);
    draw("path");
    draw("law");
    shown.told.marks.forEach(([x, y, anchor, text], place) => {
      for (const [name, value] of Object.entries({ x: `${x}%`, y: `${y}%`, "text-anchor": anchor })) marks[place].setAttribute(name, value);
      marks[place].textContent = text;
    });
    showColumn();
    showTime();
  }

  const choose = (place) => {
    if (place === column) return;
    column = place;
    showColumn();
  };
  const stop = () => { clearInterval(timer); timer = undefined; button.textContent = "Play"; };
  const play = () => {
    const stills = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (time === last) time = 0;
    showTime();
    button.textContent = "Stop";
    timer = setInterval(() => {
      time = Math.min(time + (stills ? Math.ceil(last / 4) : 1), last);
      showTime();
      if (time === last) stop();
    }, stills ? 1200 : 120);
  };

  all("input[name=product-case]").forEach((input, place) => {
    if (input.checked) shown = cases[place];  // the browser may have kept a choice
    input.addEventListener("change", () => { shown = cases[place]; showCase(); });
  });
  columns.forEach((input, place) => {
    input.addEventListener("change", () => choose(place));
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Home" && event.key !== "End") return;
      event.preventDefault();
      choose(event.key === "Home" ? 0 : columns.length - 1);
      columns[column].focus();
    });
  });
  for (const matrix of all(".matrix:is(.C, .Y), .choose"))
    for (const kind of ["pointerdown", "pointermove"])
      matrix.addEventListener(kind, (event) => {
        const { left, width } = matrix.getBoundingClientRect();
        choose(Math.max(0, Math.min(columns.length - 1, Math.floor(((event.clientX - left) / width) * columns.length))));
      });
  slider.addEventListener("input", () => { stop(); time = Number(slider.value); showTime(); });
  button.addEventListener("click", () => (timer ? stop() : play()));
  for (const control of all("fieldset")) control.disabled = false;
  product.classList.add("live");
  showCase();
}
