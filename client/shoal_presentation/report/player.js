// Plays the steps over the parts of a stage. Without it a page shows how each engine ended.
//
// root: the element that has the parts. options.keys: the element whose keys lead through the steps, the root itself
// unless told; options.play: whether to begin at once. Returns what stops it for good; null where there is nothing to play.
const shoalPlay = (root, options = {}) => {
  const steps = JSON.parse(root.querySelector(".steps").textContent);
  if (steps.length === 0) return null;
  const controls = root.querySelector(".controls");
  const [slider, speed, said] = ["input", "select", "output"].map((name) => controls.querySelector(name));
  const button = controls.querySelector("[data-go=play]");
  const panels = [...root.querySelectorAll(".panel")].map((figure) => ({
    library: figure.querySelector("b").textContent,
    state: figure.querySelector(".state"),
    svg: figure.querySelector(".plot"),
    steps: steps.filter((step) => step.engine === figure.dataset.engine),
  }));
  const engines = [...root.querySelectorAll(".panel")].map((figure) => figure.dataset.engine);
  let index = options.play ? 0 : (options.begin ?? steps.length - 1);
  let timer = null;
  const ended = new AbortController();
  const { signal } = ended;

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
    panel.svg.setAttribute("aria-label", `${panel.library}, ${panel.state.textContent}`);
    shoalPanel.draw(panel.svg, step ? { ...step, labels, trails: trailsOf(seen, step) } : null);
  };

  const light = (selector, isLit, current) =>
    root.querySelectorAll(selector).forEach((element) => {
      const lit = isLit(element.dataset);
      element.classList.toggle("lit", lit);
      if (current && lit) element.setAttribute("aria-current", "step");
      if (current && !lit) element.removeAttribute("aria-current");
    });

  // Scrolls within an element, and not the page, as little as shows a mark from its begin to its end.
  const reveal = (outer, first, last, head, side) => {
    const around = outer.getBoundingClientRect();
    const below = last.getBoundingClientRect().bottom - around.bottom;
    if (below > 0) outer.scrollTop += below;
    const above = first.getBoundingClientRect().top - around.top - head;
    if (above < 0) outer.scrollTop += above;
    const right = last.getBoundingClientRect().right - around.right;
    if (right > 0) outer.scrollLeft += right;
    const left = first.getBoundingClientRect().left - around.left - side;
    if (left < 0) outer.scrollLeft += left;
  };

  // Shows what is lit of each part: of the tables the cells of the engine whose step it is.
  const follow = (step) =>
    root.querySelectorAll(".scroll").forEach((outer) => {
      const lit = [...outer.querySelectorAll(".lit")];
      if (lit.length === 0) return;
      const engine = Math.max(engines.indexOf(step.engine), 0);
      const row = outer.querySelector("tr.lit");
      const column = lit.filter((mark) => mark.matches("td"));
      const head = outer.querySelector("thead")?.offsetHeight ?? 0;
      const side = outer.querySelector("tbody th")?.offsetWidth ?? 0;
      if (row) reveal(outer, row.children[2 + 2 * engine], row.children[3 + 2 * engine], head, side);
      else if (column.length > 0) reveal(outer, column[2 * engine], column[2 * engine + 1], head, side);
      else if (outer.matches("pre")) reveal(outer, lit[0], lit.at(-1), 0, Infinity);
    });

  const show = (wanted) => {
    index = Math.max(0, Math.min(steps.length - 1, wanted));
    const step = steps[index];
    panels.forEach((panel) => drawPanel(panel, step.number));
    light("[data-step]", (its) => Number(its.step) === step.number, true);
    light("[data-stage]", (its) => step.lit.includes(its.stage), true);
    light("[data-line]", (its) => step.lines.includes(Number(its.line)));
    light("[data-column]", (its) => Number(its.column) === step.column);
    slider.value = index + 1;
    slider.setAttribute("aria-valuetext", `step ${step.number}: ${step.says}`);
    said.textContent = `Step ${step.number} of ${steps.length}. ${step.says}`;
    follow(step);
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
    show(index + 1);
    if (index === steps.length - 1) pause();
  };
  const play = () => {
    if (index === steps.length - 1) show(0);
    timer = setInterval(tick, 1000 * Number(speed.value));
    name("Pause", true);
  };
  const go = {
    first: () => show(0),
    back: () => show(index - 1),
    forward: () => show(index + 1),
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
  }, { signal });
  slider.addEventListener("input", () => {
    pause();
    show(Number(slider.value) - 1);
  }, { signal });
  speed.addEventListener("change", () => {
    if (timer === null) return;
    pause();
    play();
  }, { signal });
  // Where the run is out of sight these keys scroll the page.
  const isSeen = () => controls.getBoundingClientRect().bottom > 0 && controls.getBoundingClientRect().top < innerHeight;
  (options.keys ?? root).addEventListener("keydown", (event) => {
    const what = { ArrowLeft: "back", ArrowRight: "forward", Home: "first", End: "last", " ": "play" }[event.key];
    if (!isSeen() || !what || event.ctrlKey || event.metaKey || event.altKey) return;
    // Where these keys mean something else already.
    if (event.target.closest("input, select, textarea, [role=combobox], [role=listbox]")) return;
    if (event.key === " " && event.target.closest("button, a, summary")) return;
    event.preventDefault();
    act(what);
  }, { signal });
  controls.hidden = false;
  show(index);
  if (options.play) play();
  return {
    stop: () => {
      pause();
      ended.abort();
    },
  };
};
