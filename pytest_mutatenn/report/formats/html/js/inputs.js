// Which inputs a mutant touches, with their images where the report has them.

function inputsSection(index, m, cell) {
  const there = m.cells[cell];
  const model = index.model(m.model);
  const { inputs } = there;
  if (there.infected === null && !inputs) return null;
  const of = there.inputs_run ?? model?.dataset?.count ?? 0;
  const steps = [
    ["run", there.inputs_run, "inputs run"],
    ["infected", there.infected, "infected: the changed code gives other values"],
    ["propagated", there.propagated, "propagated: the network's output differs"],
    ["top1_changed", there.top1_changed, "top-1 changed: another best class"],
  ];
  const bars = h(
    "ul",
    { class: "steps" },
    steps
      .filter(([, count]) => count !== null && count !== undefined)
      .map(([name, count, said]) =>
        h(
          "li",
          null,
          h("span", { class: "count" }, whole(count)),
          h("span", { class: "said" }, said),
          h("span", { class: `bar ${name}`, vars: { size: `${of ? (100 * count) / of : 0}%` } }),
        ),
      ),
  );
  return section(
    "Inputs",
    { class: "inputs" },
    bars,
    inputs ? inputGroups(index, m, inputs) : null,
  );
}

function inputGroups(index, m, inputs) {
  const sets = {};
  for (const name of ["top1_changed", "propagated", "infected", "run"])
    sets[name] = inputNumbers(inputs[name]);
  const seen = new Set();
  const titles = {
    top1_changed: "top-1 changed",
    propagated: "output changed, top-1 the same",
    infected: "infected, output the same",
    run: "run, and not touched",
  };
  return Object.entries(titles).map(([name, title]) => {
    const here = sets[name].filter((number) => !seen.has(number));
    here.forEach((number) => seen.add(number));
    if (!here.length) return null;
    return h(
      "details",
      {
        class: "inputgroup",
        open: name === "top1_changed" || (sets.top1_changed.length === 0 && name === "propagated"),
      },
      h("summary", null, `${title} `, h("span", { class: "count" }, whole(here.length))),
      h(
        "div",
        { class: "thumbs" },
        folded(here, 48, (number) => thumbnail(index, m.model, number), "inputs"),
      ),
    );
  });
}

function inputName(model, number) {
  const name = model?.dataset?.names?.[number];
  return name === undefined || name === String(number) ? `#${number}` : name;
}

function thumbnail(index, modelId, number) {
  const model = index.model(modelId);
  const name = inputName(model, number);
  const image = model?.dataset?.thumbnails?.images?.[number];
  const said = [name, ...bestClasses(index, modelId, number)].join("\n");
  return h(
    "figure",
    { class: image ? "thumb" : "thumb bare", title: said },
    typeof image === "string" && image.startsWith("data:image/")
      ? h("img", { src: image, alt: name, decoding: "async" })
      : null,
    h("figcaption", null, name),
  );
}

// what the unmutated network says of an input
function bestClasses(index, modelId, number) {
  return index.record.differential.cells
    .filter((entry) => entry.model === modelId && entry.topk?.[number])
    .map((entry) => `unmutated in ${entry.cell}: ${entry.topk[number].join(", ")}`);
}

// a few inputs by name, and how many more
function inputWords(index, modelId, ranges) {
  const model = index.model(modelId);
  const found = inputNumbers(ranges);
  const names = found
    .slice(0, 5)
    .map((one) => (typeof one === "number" ? inputName(model, one) : one));
  const more = found.length > 5 ? `, and ${found.length - 5} more` : "";
  return found.length ? `${names.join(", ")}${more}` : "none";
}
