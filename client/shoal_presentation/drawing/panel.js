// Turns a drawing that is there into that of another state, with the same marks; SHOAL_LOOK says how they look.
const shoalPanel = (() => {
  const { colours, shapes, sizes, mostNumbered, fading, faintest } = SHOAL_LOOK;

  const element = (svg, name, attributes, text) => {
    const made = document.createElementNS(svg.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const part = (svg, name) => svg.querySelector(`.${name}`);
  const line = (places) => places.map((place) => place.join(",")).join(" ");
  const look = (cluster) =>
    cluster < 0
      ? { class: "unassigned", href: "#s0" }
      : {
          class: `c${cluster % colours}`,
          href: `#s${(cluster + Math.floor(cluster / colours)) % shapes}`,
          "data-c": cluster,
        };

  const drawPoints = (svg, labels) =>
    [...part(svg, "points").children].forEach((point, row) => {
      const cluster = labels === null ? -1 : labels[row];
      if (cluster < 0) point.removeAttribute("data-c");
      for (const [key, value] of Object.entries(look(cluster))) point.setAttribute(key, value);
    });

  const drawRegions = (svg, regions, clusters) =>
    part(svg, "regions").replaceChildren(
      ...regions.flatMap((points, row) =>
        points ? [element(svg, "polygon", { class: look(clusters[row]).class, points })] : [],
      ),
    );

  const drawTrail = (svg, trail) => {
    const old = trail.slice(0, Math.max(trail.length - fading, 1));
    const recent = trail.slice(Math.max(trail.length - fading - 1, 0));
    const lines = old.length > 1 ? [element(svg, "polyline", { points: line(old), opacity: faintest })] : [];
    for (let place = 1; place < recent.length; place++) {
      const opacity = (faintest + ((1 - faintest) * place) / (recent.length - 1)).toFixed(2);
      lines.push(element(svg, "polyline", { points: line([recent[place - 1], recent[place]]), opacity }));
    }
    return lines;
  };

  const drawCentroid = (svg, cluster, [x, y], count) => {
    const size = sizes.find(([most]) => count <= most)[1];
    const mark = element(svg, "use", { ...look(cluster), transform: `translate(${x} ${y}) scale(${size})` });
    return count > mostNumbered ? [mark] : [mark, element(svg, "text", { x: x + 13, y: y - 11 }, cluster)];
  };

  // A state is what shoal_presentation.drawing's state_of returns; null: nothing but points without clusters.
  const draw = (svg, state) => {
    const { labels, colours: clusters, centroids, trails, regions } =
      state ?? { labels: null, colours: [], centroids: [], trails: [], regions: [] };
    part(svg, "reach").setAttribute("visibility", "hidden");
    drawPoints(svg, labels);
    drawRegions(svg, regions, clusters);
    part(svg, "trails").replaceChildren(...trails.flatMap((trail) => drawTrail(svg, trail)));
    part(svg, "centroids").replaceChildren(
      ...clusters.flatMap((cluster, row) => drawCentroid(svg, cluster, centroids[row], clusters.length)),
    );
  };

  const placeOf = (mark) => mark.getAttribute("transform").match(/-?[\d.]+(e-?\d+)?/g).slice(0, 2).map(Number);

  // The line from the point under the pointer to the centroid of its cluster, wherever above the points that is drawn.
  document.addEventListener("pointerover", ({ target }) => {
    const svg = target.closest?.("svg.plot");
    const reach = svg && part(svg, "reach");
    if (!reach) return;
    const point = target.closest(".points [data-c]");
    const layers = svg.closest(".layers") ?? svg;
    const centroid = point && layers.querySelector(`.centroids [data-c="${point.dataset.c}"]`);
    reach.setAttribute("visibility", centroid ? "visible" : "hidden");
    if (!centroid) return;
    const [[x1, y1], [x2, y2]] = [placeOf(point), placeOf(centroid)];
    for (const [key, value] of Object.entries({ x1, y1, x2, y2 })) reach.setAttribute(key, value);
  });

  return { draw };
})();
