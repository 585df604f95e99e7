"use strict";
// Each table as a file for a spreadsheet: numbers with all their digits, and their intervals. And of a table that is
// wider than the page, a line that says so, and the keyboard's focus, with which the arrow keys scroll it.
(() => {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const words = (cell) => cell.innerText.replace(/\s+/g, " ").trim();

  const ofScores = (table) => {
    const names = [...table.querySelectorAll("thead th[data-name]")].map((heading) => heading.dataset.name);
    const rows = [...table.querySelectorAll("tbody tr:not(.paper)")].map((row) => [
      words(row.querySelector("th")),
      ...[...row.querySelectorAll("td")].flatMap((cell) => ["value", "low", "high"].map((part) => cell.dataset[part] ?? "")),
    ]);
    return [["system", ...names.flatMap((name) => [name, `${name}, low`, `${name}, high`])], ...rows];
  };

  // A cell that spans several rows or columns stands in each.
  const asShown = (table) => {
    const grid = [];
    [...table.rows].forEach((row, y) => {
      grid[y] ??= [];
      let x = 0;
      for (const cell of row.cells) {
        while (grid[y][x] !== undefined) x++;
        for (let dy = 0; dy < cell.rowSpan; dy++) {
          grid[y + dy] ??= [];
          for (let dx = 0; dx < cell.colSpan; dx++) grid[y + dy][x + dx] = words(cell);
        }
        x += cell.colSpan;
      }
    });
    return grid;
  };

  const nameOf = (table) => table.dataset.name ?? table.closest("section").querySelector("h2").textContent;

  for (const table of document.querySelectorAll("main table")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "csv";
    button.textContent = "CSV";
    button.setAttribute("aria-label", `Download ${nameOf(table)} as CSV`);
    button.addEventListener("click", () => {
      const rows = table.classList.contains("scores") ? ofScores(table) : asShown(table);
      const text = rows.map((row) => row.map(quoted).join(",")).join("\r\n");
      const link = document.createElement("a");
      // A byte order mark: spreadsheets take text for Latin-1 without one.
      link.href = URL.createObjectURL(new Blob(["\ufeff", text, "\r\n"], { type: "text/csv" }));
      link.download = `${nameOf(table).toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "_").replace(/^_|_$/g, "")}.csv`;
      link.click();
      URL.revokeObjectURL(link.href);
    });
    const frame = table.closest(".scroll");
    frame.after(button);
    const hint = document.createElement("p");
    hint.className = "wider";
    hint.textContent = "Wider than the page: scroll it sideways, or focus it and press → and ←.";
    frame.before(hint);
    const fit = () => {
      const isWider = frame.scrollWidth > frame.clientWidth + 1;
      hint.hidden = !isWider;
      for (const [name, value] of [["tabindex", "0"], ["role", "region"], ["aria-label", nameOf(table)]]) {
        if (isWider) frame.setAttribute(name, value);
        else frame.removeAttribute(name);
      }
    };
    new ResizeObserver(fit).observe(frame);
    // A table in a closed part of the page has no width until that is opened.
    fit();
  }
})();
