"use strict";
// Values of a line chart where the pointer is, or, with the chart in focus, where the arrow keys lead.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const number = (value) => (Math.abs(value) >= 10000 ? value.toLocaleString("en") : String(Number(value.toPrecision(4))));

  for (const chart of document.querySelectorAll("svg[data-frame]")) {
    const [x0, x1, , , left, right, top, bottom] = chart.dataset.frame.split(" ").map(Number);
    const lines = [...chart.querySelectorAll("g[data-points]")].map((line) => ({
      label: line.dataset.label,
      style: line.querySelector("path").getAttribute("class"),
      points: line.dataset.points.split(" ").filter(Boolean).map((point) => point.split(",").map(Number)),
    }));
    const steps = [...new Set(lines.flatMap((line) => line.points.map((point) => point[0])))].sort((a, b) => a - b);
    if (!steps.length) continue;

    const hair = document.createElementNS(SVG, "path");
    hair.setAttribute("class", "hair");
    chart.append(hair);
    for (const title of chart.querySelectorAll("title")) title.remove(); // the browser's own hint would cover ours
    const box = document.createElement("div");
    box.className = "reading";
    box.hidden = true;
    box.setAttribute("role", "status");
    chart.after(box);
    chart.parentElement.classList.add("read");
    chart.setAttribute("tabindex", "0");
    chart.setAttribute("aria-label", `${chart.getAttribute("aria-label")}. Arrow keys read the values.`);
    let at = -1;

    const nearest = (points, x) => points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best), points[0]);

    const show = (index) => {
      at = Math.max(0, Math.min(steps.length - 1, index));
      const x = steps[at];
      const place = left + ((x - x0) / (x1 - x0)) * (right - left);
      hair.setAttribute("d", `M${place} ${top}V${bottom}`);
      const rows = lines.filter((line) => line.points.length && x >= line.points[0][0] && x <= line.points.at(-1)[0]);
      const head = document.createElement("p");
      head.textContent = `step ${number(x)}`;
      box.replaceChildren(head, ...rows.map((line) => {
        const row = document.createElement("p");
        row.className = line.style.replace("line", "").replace("bold", "");
        row.textContent = `${line.label}: ${number(nearest(line.points, x)[1])}`;
        return row;
      }));
      box.hidden = false;
      const width = chart.clientWidth;
      const scale = width / chart.viewBox.baseVal.width;
      const beside = place * scale + 12;
      box.style.left = `${beside + box.offsetWidth > width ? Math.max(0, place * scale - 12 - box.offsetWidth) : beside}px`;
      const above = chart.getBoundingClientRect().top - chart.parentElement.getBoundingClientRect().top;
      box.style.top = `${above + top * scale}px`;
    };
    const hide = () => { box.hidden = true; hair.removeAttribute("d"); };

    chart.addEventListener("pointermove", (event) => {
      const bounds = chart.getBoundingClientRect();
      const place = ((event.clientX - bounds.left) / bounds.width) * chart.viewBox.baseVal.width;
      const x = x0 + ((place - left) / (right - left)) * (x1 - x0);
      show(steps.indexOf(nearest(steps.map((step) => [step]), x)[0]));
    });
    chart.addEventListener("pointerleave", hide);
    chart.addEventListener("blur", hide);
    chart.addEventListener("keydown", (event) => {
      const moves = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: steps.length - 1 };
      if (event.key === "Escape") hide();
      if (!(event.key in moves)) return;
      event.preventDefault();
      show(moves[event.key]);
    });
  }
})();
