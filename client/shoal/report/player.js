// Plays the steps over the parts of a stage. Without it a page shows how each engine ended.
//
// root: the element that has the parts. options.keys: the element whose keys lead through the steps, the root itself
// unless told; options.play: whether to begin at once. Returns null where there is nothing to play.
const shoalPlay = (root, options = {}) => {
  const steps = JSON.parse(root.querySelector(".steps").textContent);
  if (steps.length === 0) return null;
  const controls = root.querySelector(".controls");
  const [slider, speed, said] = ["input", "select", "output"].map((name) => controls.querySelector(name));
  const button = controls.querySelector("[data-go=play]");
  const panels = [...root.querySelectorAll(".panel")].map((figure) => ({
    state: figure.querySelector(".state"),
    svg: figure.querySelector(".plot"),
    steps: steps.filter((step) => step.engine === figure.dataset.engine),
  }));
  let place = options.play ? 0 : (options.begin ?? steps.length - 1);
  let timer = null;

  // Where each centroid that is left has been, by the steps so far.
  const trailsOf = (seen, step) =>
    step.trails ??
    step.colours.map((colour) =>
      seen
        .flatMap(({ colours, centroids }) => (colours.includes(colour) ? [centroids[colours.indexOf(colour)]] : []))
        .filter((spot, row, all) => row === 0 || String(spot) !== String(all[row - 1])),
    );

  const drawPanel = (panel, number) => {
    const seen = panel.steps.filter((step) => step.number <= number);
    const step = seen.at(-1);
    const labels = seen.findLast((earlier) => earlier.labels !== null)?.labels ?? null;
    const figures = seen.findLast((earlier) => earlier.figures !== null)?.figures ?? "not assigned yet";
    panel.state.textContent = step ? `step ${step.number} · ${figures}` : "has not begun";
    shoalPanel.draw(panel.svg, step ? { ...step, labels, trails: trailsOf(seen, step) } : null);
  };

  const light = (selector, isLit, current) =>
    root.querySelectorAll(selector).forEach((element) => {
      const lit = isLit(element.dataset);
      element.classList.toggle("lit", lit);
      if (current && lit) element.setAttribute("aria-current", "step");
      if (current && !lit) element.removeAttribute("aria-current");
    });

  // What is lit is scrolled to within its own part, and the page stays where it is.
  const follow = () =>
    root.querySelectorAll(".scroll").forEach((outer) => {
      const lit = outer.querySelector(".lit");
      if (!lit) return;
      const [around, its] = [outer.getBoundingClientRect(), lit.getBoundingClientRect()];
      const head = outer.querySelector("thead")?.offsetHeight ?? 0;
      const first = outer.querySelector("tbody th")?.offsetWidth ?? 0;
      if (its.top < around.top + head || its.bottom > around.bottom) outer.scrollTop += its.top - around.top - head;
      if (lit.matches("th") && (its.left < around.left + first || its.right > around.right))
        outer.scrollLeft += its.left - around.left - first;
    });

  const show = (wanted) => {
    place = Math.max(0, Math.min(steps.length - 1, wanted));
    const step = steps[place];
    panels.forEach((panel) => drawPanel(panel, step.number));
    light("[data-step]", (its) => Number(its.step) === step.number, true);
    light("[data-stage]", (its) => step.lit.includes(its.stage), true);
    light("[data-line]", (its) => step.lines.includes(Number(its.line)));
    light("[data-moment]", (its) => Number(its.moment) === step.moment);
    slider.value = place + 1;
    said.textContent = `Step ${step.number} of ${steps.length}. ${step.says}`;
    follow();
  };

  const name = (label, isPlaying) => {
    button.setAttribute("aria-label", label);
    button.title = `${label} (space)`;
    button.classList.toggle("playing", isPlaying);
  };
  const pause = () => {
    clearInterval(timer);
    timer = null;
    name("Play", false);
  };
  const tick = () => {
    if (!root.isConnected) return pause();
    show(place + 1);
    if (place === steps.length - 1) pause();
  };
  const play = () => {
    if (place === steps.length - 1) show(0);
    timer = setInterval(tick, 1000 * Number(speed.value));
    name("Pause", true);
  };
  const go = {
    first: () => show(0),
    back: () => show(place - 1),
    forward: () => show(place + 1),
    last: () => show(steps.length - 1),
  };
  const act = (what) => {
    const playing = timer !== null;
    pause();
    if (what !== "play") go[what]();
    else if (!playing) play();
  };

  controls.addEventListener("click", ({ target }) => {
    const pressed = target.closest("[data-go]");
    if (pressed) act(pressed.dataset.go);
  });
  slider.addEventListener("input", () => {
    pause();
    show(Number(slider.value) - 1);
  });
  speed.addEventListener("change", () => {
    if (timer === null) return;
    pause();
    play();
  });
  (options.keys ?? root).addEventListener("keydown", (event) => {
    const what = { ArrowLeft: "back", ArrowRight: "forward", Home: "first", End: "last", " ": "play" }[event.key];
    if (!root.isConnected || !what || event.ctrlKey || event.metaKey || event.altKey) return;
    // Where these keys mean something else already.
    if (event.target.closest("input, select, textarea, [role=combobox], [role=listbox]")) return;
    if (event.key === " " && event.target.closest("button, a, summary")) return;
    event.preventDefault();
    act(what);
  });
  controls.hidden = false;
  show(place);
  if (options.play) play();
  return { pause };
};
