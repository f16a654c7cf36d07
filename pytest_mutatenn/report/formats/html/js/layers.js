// Survivors along the network, from its input to its output.

function layerBars(index) {
  return index.record.models.map((model) => layersOf(index, model));
}

function layersOf(index, model) {
  const rows = index.rows.filter((row) => row.m.model === model.id);
  const byLayer = grouped(rows, (row) => (row.m.layers.length ? row.m.layers : [""]));
  if (!byLayer.size) return null;
  const names = [...byLayer.keys()].sort(
    (a, b) => index.rankOf(model.id, a) - index.rankOf(model.id, b) || (a < b ? -1 : 1),
  );
  const found = names
    .map((name) => [name, tallied(byLayer.get(name))])
    .filter(([, tally]) => tally.detected + tally.survived);
  if (!found.length) return null;
  const longest = Math.max(...found.map(([, tally]) => tally.detected + tally.survived));
  const part = (count) => `${(100 * count) / longest}%`;
  return section(
    index.several ? `Layers of ${model.id}` : "Layers of the network",
    {
      class: "layers",
      note: "From the input to the output: verdicts survived and detected, over all cells. A mutant that changes several layers counts for each of them.",
    },
    h(
      "ol",
      { class: "bars scroll tall", tabindex: 0, "aria-label": "survivors by layer" },
      found.map(([name, tally]) =>
        h(
          "li",
          null,
          h(
            "a",
            {
              href: fresh({
                view: "mutants",
                layer: name || null,
                model: index.several ? model.id : null,
              }),
              title: index.titleOf(model.id, name),
            },
            h("span", { class: "name" }, index.titleOf(model.id, name) || "no layer"),
            h(
              "span",
              { class: "bar", "aria-hidden": "true" },
              h("span", { class: "survived", vars: { size: part(tally.survived) } }),
              h("span", { class: "detected", vars: { size: part(tally.detected) } }),
            ),
            h(
              "span",
              { class: "count" },
              h("b", { class: tally.survived ? "survived" : null }, whole(tally.survived)),
              ` of ${whole(tally.survived + tally.detected)}`,
            ),
          ),
        ),
      ),
    ),
  );
}
