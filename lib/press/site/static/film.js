// A film of stills: a slider, and Play, which jumps between stills where less motion is asked for.
for (const film of document.querySelectorAll(".film")) {
  const frames = film.querySelectorAll("img");
  const controls = film.querySelector(".controls");
  const slider = controls.querySelector("input");
  const button = controls.querySelector("button");
  const label = controls.querySelector("output");
  let timer;

  const show = (number) => {
    frames.forEach((frame, place) => { frame.hidden = place !== number; });
    slider.value = number;
    slider.setAttribute("aria-valuetext", frames[number].dataset.label);
    label.textContent = frames[number].dataset.label;
  };
  const stop = () => { clearInterval(timer); timer = undefined; button.textContent = "Play"; };
  const play = () => {
    const stills = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const step = stills ? Math.max(1, Math.ceil(frames.length / 4)) : 1;
    if (Number(slider.value) === frames.length - 1) show(0);
    button.textContent = "Stop";
    timer = setInterval(() => {
      const next = Math.min(Number(slider.value) + step, frames.length - 1);
      show(next);
      if (next === frames.length - 1) stop();
    }, stills ? 1200 : 160);
  };

  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  button.addEventListener("click", () => (timer ? stop() : play()));
  controls.hidden = false;
  show(frames.length - 1);
}
