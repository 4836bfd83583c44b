// Plays the steps over the panels. Without it the page shows how each engine ended.
(() => {
  const { steps, marks, size, mostNumbered } = JSON.parse(document.getElementById("steps").textContent);
  const controls = document.getElementById("controls");
  if (steps.length === 0) return;
  const panels = [...document.querySelectorAll(".panel")].map((figure) => ({
    engine: figure.dataset.engine,
    state: figure.querySelector(".state"),
    points: [...figure.querySelectorAll(".points use")],
    trails: figure.querySelector(".trails"),
    centroids: figure.querySelector(".centroids"),
    steps: steps.filter((step) => step.engine === figure.dataset.engine),
  }));
  let place = steps.length - 1;
  let timer = null;

  const svg = (name, attributes, text) => {
    const element = document.createElementNS(panels[0].centroids.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const look = (cluster) => ({ class: `c${marks[cluster][0]}`, href: `#s${marks[cluster][1]}` });

  // Where each centroid that is left has been, by the steps so far.
  const trailsOf = (seen, step) =>
    step.trails ??
    step.colours.map((colour) =>
      seen.flatMap(({ colours, centroids }) => (colours.includes(colour) ? [centroids[colours.indexOf(colour)]] : [])),
    );

  const drawPanel = (panel, number) => {
    const seen = panel.steps.filter((step) => step.number <= number);
    const step = seen.at(-1);
    panel.state.textContent = step ? `step ${step.number}` : "not begun";
    const labelled = seen.findLast(({ points }) => points !== null);
    panel.points.forEach((point, row) => {
      const looks = labelled ? look(labelled.points[row]) : { class: "unassigned", href: "#s0" };
      for (const [key, value] of Object.entries(looks)) point.setAttribute(key, value);
    });
    panel.trails.replaceChildren(
      ...(step ? trailsOf(seen, step).map((trail) => svg("polyline", { points: trail.join(" ") })) : []),
    );
    panel.centroids.replaceChildren(
      ...(step ? step.colours.flatMap((colour, row) => drawCentroid(colour, step.centroids[row], step.colours.length)) : []),
    );
  };

  const drawCentroid = (colour, [x, y], count) => {
    const { class: kind, href } = look(colour);
    const mark = svg("use", { class: `${kind} centroid`, href, transform: `translate(${x} ${y}) scale(${size})` });
    return count > mostNumbered ? [mark] : [mark, svg("text", { x: x + 13, y: y - 11 }, colour)];
  };

  const light = (selector, lit) =>
    document.querySelectorAll(selector).forEach((element) => {
      element.classList.toggle("now", lit(element.dataset));
    });

  const show = (wanted) => {
    place = Math.max(0, Math.min(steps.length - 1, wanted));
    const step = steps[place];
    panels.forEach((panel) => drawPanel(panel, step.number));
    light("[data-step]", (its) => Number(its.step) === step.number);
    light("[data-stage]", (its) => step.lit.includes(its.stage));
    light("[data-line]", (its) => step.lines.includes(Number(its.line)));
    document.getElementById("says").textContent = `Step ${step.number} of ${steps.length}. ${step.says}`;
  };

  const pause = () => {
    clearInterval(timer);
    timer = null;
    controls.querySelector("[data-go=play]").textContent = "Play";
  };
  const play = () => {
    if (place === steps.length - 1) show(0);
    const seconds = Number(document.getElementById("speed").value);
    timer = setInterval(() => (place === steps.length - 1 ? pause() : show(place + 1)), 1000 * seconds);
    controls.querySelector("[data-go=play]").textContent = "Pause";
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

  controls.addEventListener("click", ({ target }) => target.dataset.go && act(target.dataset.go));
  document.getElementById("speed").addEventListener("change", () => {
    if (timer === null) return;
    pause();
    play();
  });
  // Only where the run is looked at: elsewhere these keys scroll the page.
  document.getElementById("live").addEventListener("keydown", (event) => {
    const what = { ArrowLeft: "back", ArrowRight: "forward", Home: "first", End: "last", " ": "play" }[event.key];
    if (!what || event.target.matches("select") || (event.key === " " && event.target.matches("button"))) return;
    event.preventDefault();
    act(what);
  });
  controls.hidden = false;
  show(place);
})();
