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
    box.defaultChecked = true; // what the form goes back to
    label.append(box, ` ${system.label}`);
    byId("systems").append(label);
  }

  for (const id of ["left", "right"]) {
    for (const system of present) {
      const option = element("option", "", system.label);
      option.value = system.name;
      byId(id).append(option);
    }
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

  // Two systems, or none where they are one or no answer is known of one.
  const pair = () => {
    const names = [byId("left").value, byId("right").value];
    return names[0] && names[0] !== names[1] ? names : null;
  };

  const chosen = () => {
    const two = pair();
    if (two) return two.map((name) => present.find((system) => system.name === name));
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
    const two = pair();
    if (two && byId("differing").checked && !isDifferent(item, two)) return false;
    const search = byId("search").value.trim().toLocaleLowerCase().normalize("NFC");
    if (!search) return true;
    const texts = [item.prompt, item.reference, ...systems.map((system) => item.answers[system.name]?.text ?? "")];
    return texts.some((text) => text.toLocaleLowerCase().normalize("NFC").includes(search));
  };

  const isDifferent = (item, [left, right]) => item.answers[left]?.text.trim() !== item.answers[right]?.text.trim();

  // Words and what stands between them, by the browser's own rules: some languages write no spaces.
  const segmenter = new Intl.Segmenter(undefined, { granularity: "word" });
  const wordsOf = (text) => [...segmenter.segment(text)].map((part) => part.segment);

  // Which words of each are not in a longest common subsequence; of texts too long to compare, none.
  const onlyInOne = (left, right) => {
    const lengths = Array.from({ length: left.length + 1 }, () => new Uint16Array(right.length + 1));
    for (let i = left.length - 1; i >= 0; i--) {
      for (let j = right.length - 1; j >= 0; j--) {
        lengths[i][j] = left[i] === right[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
      }
    }
    const found = [left.map(() => true), right.map(() => true)];
    for (let i = 0, j = 0; i < left.length && j < right.length;) {
      if (left[i] === right[j]) {
        found[0][i++] = found[1][j++] = false;
      } else if (lengths[i + 1][j] >= lengths[i][j + 1]) i++;
      else j++;
    }
    return found;
  };

  // For each of two answers, a list of [text, whether only this one has it].
  const differences = (texts) => {
    const words = texts.map(wordsOf);
    if (words.some((list) => list.length > 1000)) return null;
    const own = onlyInOne(...words);
    return words.map((list, which) => list.map((word, index) => [word, own[which][index] && word.trim() !== ""]));
  };

  const answerCard = (system, answer, parts) => {
    const card = element("div", "answer");
    const head = element("p", "who", system.label);
    if (answer && typeof answer.correct === "boolean") {
      head.append(" ", element("span", answer.correct ? "right" : "wrong", answer.correct ? "✓ right" : "✗ wrong"));
    }
    for (const failure of answer ? answer.failures : []) head.append(" ", element("span", "limit", failure));
    const text = element("p", "text", answer ? answer.text : "not evaluated");
    if (!answer || !answer.text) text.classList.add("empty");
    if (answer && !answer.text) text.textContent = "(empty)";
    else if (parts) {
      text.replaceChildren(...parts.map(([word, isOwn]) => (isOwn ? element("mark", "", word) : document.createTextNode(word))));
    }
    text.dir = "auto";
    card.append(head);
    if (answer && answer.prompt) {
      const own = element("p", "text prompt", answer.prompt);
      own.dir = "auto";
      card.append(element("p", "what", "its own prompt"), own, element("p", "what", "answer"));
    }
    card.append(text);
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
    const texts = pair() ? systems.map((system) => item.answers[system.name]?.text ?? "") : null;
    const parts = texts && texts.every(Boolean) ? differences(texts) : null;
    systems.forEach((system, index) => answers.append(answerCard(system, item.answers[system.name], parts?.[index])));
    card.append(answers);
    return card;
  };

  const draw = () => {
    const systems = chosen();
    byId("verdict").disabled = !judgedTasks.has(byId("task").value);
    const two = pair();
    byId("systems").disabled = Boolean(two);
    byId("differing-only").hidden = !two;
    byId("right").parentElement.hidden = !byId("left").value;
    const found = data.items.filter((item) => matches(item, systems));
    byId("items").replaceChildren(...found.slice(0, shownItems).map((item) => itemCard(item, systems)));
    const refused = byId("left").value && !two ? "Choose two different systems to compare. " : "";
    const count = `${refused}${found.length} item${found.length === 1 ? "" : "s"}`;
    byId("found").textContent = found.length ? `${count}, ${Math.min(found.length, shownItems)} shown` : "No item is like this.";
    byId("more").hidden = found.length <= shownItems;
  };

  byId("filters").addEventListener("input", () => { shownItems = PAGE; draw(); });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", () => { shownItems += PAGE; draw(); });

  // A number leads to its answers: beside those of the reference, where it is not the reference's own.
  for (const link of document.querySelectorAll("a.behind")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const { task, system } = link.dataset;
      const other = data.reference !== system && present.some((one) => one.name === data.reference) ? data.reference : "";
      byId("filters").reset();
      byId("task").value = task;
      byId("left").value = other;
      byId("right").value = system;
      if (!other) for (const box of byId("systems").querySelectorAll("input")) box.checked = box.value === system;
      shownItems = PAGE;
      draw();
      byId("outputs").scrollIntoView();
      byId("task").focus({ preventScroll: true });
    });
  }
  draw();
})();
