// The stage of a comparison on the dashboard's page: begins to play it, and hands clicks and pictures on.
// Each run has an address: back and forward lead to those of others.
addEventListener("popstate", () => location.reload());

let shoalPlaying = null; // what plays the run that is shown

const shoalStage = (number, isFirst) => {
  const root = document.querySelector(`.stage[data-run="${number}"]`);
  if (!root) {
    const isPast = [...document.querySelectorAll(".stage[data-run]")].some((other) => other.dataset.run > number);
    if (!isPast) requestAnimationFrame(() => shoalStage(number, isFirst)); // the page is about to have it
    return;
  }
  shoalPlaying?.stop();
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const play = isFirst && !isCalm && localStorage.getItem("shoal-has-played") === null;
  if (play) localStorage.setItem("shoal-has-played", "yes");
  const isRun = root.querySelector(".steps") !== null;
  shoalPlaying = isRun ? shoalPlay(root, { begin: 0, keys: document.body, play }) : null;
  root.classList.add("ready");
  root.addEventListener("click", (event) => {
    const svg = event.target.closest("svg.plot");
    if (!svg) return;
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    emitEvent("plot_click", [place.x, place.y]);
  });
};

// Returns whether the text is on the clipboard. Over plain HTTP browsers have no clipboard but the selection's.
const shoalCopy = async (text) => {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  }
  const box = document.createElement("textarea");
  box.value = text;
  document.body.append(box);
  box.select();
  const isCopied = document.execCommand("copy");
  box.remove();
  return isCopied;
};

// Saves the panel of an engine as it is shown, with the colours that the page has now.
const shoalSave = async (engine, kind) => {
  const shown = document.querySelector(`.panel[data-engine="${engine}"] svg.plot`);
  const { width, height } = shown.viewBox.baseVal;
  const svg = shown.cloneNode(true);
  const variables = ["surface", "text", "muted", "grid"].map(
    (name) => `--${name}: ${getComputedStyle(document.body).getPropertyValue(`--${name}`)};`,
  );
  svg.setAttribute("style", variables.join(" "));
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  const paper = document.createElementNS(svg.namespaceURI, "rect");
  for (const [name, value] of Object.entries({ width, height, style: "fill: var(--surface)" }))
    paper.setAttribute(name, value);
  const style = document.createElementNS(svg.namespaceURI, "style");
  style.textContent = SHOAL_DRAWING_STYLE;
  svg.prepend(style, document.querySelector("svg.marks defs").cloneNode(true), paper);
  const text = new XMLSerializer().serializeToString(svg);
  const file = kind === "svg" ? new Blob([text], { type: "image/svg+xml" }) : await shoalRaster(text, width, height);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = `${engine}.${kind}`;
  link.click();
  URL.revokeObjectURL(link.href);
};

const shoalRaster = async (text, width, height) => {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * width, 2 * height];
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
};
