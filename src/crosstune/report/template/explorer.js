"use strict";
// Everything a model wrote goes through textContent: it is shown, never interpreted.
(() => {
  const source = document.getElementById("outputs-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const PAGE = 4;
  const byId = (id) => document.getElementById(id);
  const element = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  let shownItems = PAGE;

  for (const task of data.tasks) {
    const option = element("option", "", `${task.label} (${task.num_items.toLocaleString("en")} items)`);
    option.value = task.name;
    byId("task").append(option);
  }
  byId("task").value = data.first_task;
  const present = data.systems.filter((system) => data.items.some((item) => item.answers[system.name]));
  for (const system of present) {
    const option = element("option", "", system.label);
    option.value = system.name;
    byId("judged").append(option);
    const label = element("label");
    const box = element("input");
    box.type = "checkbox";
    box.value = system.name;
    box.checked = true;
    label.append(box, ` ${system.label}`);
    byId("systems").append(label);
  }

  for (const name of data.failures) {
    const option = element("option", "", name);
    option.value = name;
    byId("failure").append(option);
  }
  byId("failure").parentElement.hidden = !data.failures.length;

  // A translation is neither right nor wrong.
  const isJudged = (item) => Object.values(item.answers).some((answer) => typeof answer.correct === "boolean");
  const judgedTasks = new Set(data.items.filter(isJudged).map((item) => item.task));

  const chosen = () => {
    const boxes = [...byId("systems").querySelectorAll("input:checked")].map((box) => box.value);
    return present.filter((system) => boxes.includes(system.name));
  };

  const matches = (item, systems) => {
    if (item.task !== byId("task").value) return false;
    const verdict = judgedTasks.has(item.task) ? byId("verdict").value : "";
    const judged = byId("judged").value;
    const names = judged ? [judged] : systems.map((system) => system.name);
    const failure = byId("failure").value;
    if (failure && !names.some((name) => item.answers[name]?.failures.includes(failure))) return false;
    if (verdict) {
      const wanted = verdict === "right";
      if (!names.some((name) => item.answers[name] && item.answers[name].correct === wanted)) return false;
    }
    const search = byId("search").value.trim().toLocaleLowerCase().normalize("NFC");
    if (!search) return true;
    const texts = [item.prompt, item.reference, ...systems.map((system) => item.answers[system.name]?.text ?? "")];
    return texts.some((text) => text.toLocaleLowerCase().normalize("NFC").includes(search));
  };

  const answerCard = (system, answer) => {
    const card = element("div", "answer");
    const head = element("p", "who", system.label);
    if (answer && typeof answer.correct === "boolean") {
      head.append(" ", element("span", answer.correct ? "right" : "wrong", answer.correct ? "✓ right" : "✗ wrong"));
    }
    for (const failure of answer ? answer.failures : []) head.append(" ", element("span", "limit", failure));
    const text = element("p", "text", answer ? answer.text : "not evaluated");
    if (!answer || !answer.text) text.classList.add("empty");
    if (answer && !answer.text) text.textContent = "(empty)";
    text.dir = "auto";
    card.append(head, text);
    return card;
  };

  const itemCard = (item, systems) => {
    const card = element("article", "item");
    card.append(element("p", "id", item.id));
    const asked = element("div", "asked");
    for (const [name, value] of [["prompt", item.prompt], ["reference", item.reference]]) {
      if (!value) continue;
      const column = element("div");
      const block = element("p", `text ${name}`, value);
      block.dir = "auto";
      column.append(element("p", "what", name), block);
      asked.append(column);
    }
    card.append(asked);
    const answers = element("div", "answers");
    for (const system of systems) answers.append(answerCard(system, item.answers[system.name]));
    card.append(answers);
    return card;
  };

  const draw = () => {
    const systems = chosen();
    byId("verdict").disabled = !judgedTasks.has(byId("task").value);
    const found = data.items.filter((item) => matches(item, systems));
    byId("items").replaceChildren(...found.slice(0, shownItems).map((item) => itemCard(item, systems)));
    const count = `${found.length} item${found.length === 1 ? "" : "s"}`;
    byId("found").textContent = found.length ? `${count}, ${Math.min(found.length, shownItems)} shown` : "No item is like this.";
    byId("more").hidden = found.length <= shownItems;
  };

  byId("filters").addEventListener("input", () => { shownItems = PAGE; draw(); });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", () => { shownItems += PAGE; draw(); });
  draw();
})();
