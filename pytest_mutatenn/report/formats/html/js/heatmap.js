// Operators against cells: the score of each by number and colour, and where cells disagree.

function heatSquare(rows, operator, cell) {
  const found = tallied(rows, cell);
  if (found.score === null)
    return h("td", { class: "heat none" }, h("span", { title: "none in the score" }, "·"));
  const said =
    `${operator} in ${cell}: ${percent(found.score)}, ` +
    `${found.detected} detected, ${found.survived} survived` +
    (found.divergent ? `, cells disagree on ${found.divergent}` : "");
  return h(
    "td",
    {
      class: `heat ${found.score < 50 ? "low" : "high"}`,
      vars: { score: `${heat(found.score)}%` },
    },
    h(
      "a",
      {
        href: fresh({ view: "mutants", operator: operator === "all" ? null : operator, cell }),
        title: said,
        "aria-label": said,
      },
      String(Math.floor(found.score)),
      found.divergent ? h("small", { class: "corner" }, `≠${found.divergent}`) : null,
    ),
  );
}

// how much of the colour: within the half of the scale in which the score is
const heat = (score) => (score < 50 ? 100 - 2 * score : 2 * score - 100).toFixed(0);

function survivors(rows) {
  const count = rows.filter((row) => row.survived).length;
  return h("td", { class: `left ${count ? "survived" : ""}` }, whole(count));
}

function heatMap(index) {
  const { rows, cells, says } = index;
  if (!rows.length) return null;
  const ran = cells.filter((cell) => tallied(rows, cell).score !== null);
  const columns = ran.length ? ran : cells;
  const byCategory = grouped(rows, (row) => row.m.category);
  const categories = [...byCategory.keys()].sort(
    (a, b) => order(index, a) - order(index, b) || (a < b ? -1 : 1),
  );
  const line = (name, there, head) =>
    h(
      "tr",
      { class: head ? "head" : null },
      h(
        "th",
        { scope: "row" },
        head
          ? name
          : h(
              "a",
              { href: fresh({ view: "mutants", operator: name }), title: says(name) || name },
              name,
            ),
      ),
      columns.map((cell) => heatSquare(there, head ? "all" : name, cell)),
      survivors(there),
    );
  const body = [line("all operators", rows, true)];
  for (const category of categories) {
    const there = grouped(byCategory.get(category), (row) => row.m.operator);
    body.push(
      h(
        "tr",
        { class: "category" },
        h(
          "th",
          { scope: "rowgroup", colspan: columns.length + 2 },
          index.titles[category] ?? category,
        ),
      ),
      ...[...there.keys()].sort().map((operator) => line(operator, there.get(operator), false)),
    );
  }
  return section(
    "Operators in each cell",
    {
      class: "heatmap",
      note: "Score in percent, rounded down. ≠ counts mutants on which the tests of the cells disagree. A dot: no mutant in the score.",
    },
    h(
      "div",
      { class: "legend", "aria-hidden": "true" },
      "0",
      [0, 25, 50, 75, 100].map((score) =>
        h("span", {
          class: `heat ${score < 50 ? "low" : "high"}`,
          vars: { score: `${heat(score)}%` },
        }),
      ),
      "100 %",
    ),
    h(
      "div",
      { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "operators in each cell" },
      h(
        "table",
        { class: "heattable" },
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            h("th", { scope: "col" }, "operator"),
            [...columns, "survivors"].map((name) =>
              h("th", { scope: "col", class: "cell" }, h("span", null, name)),
            ),
          ),
        ),
        h("tbody", null, body),
      ),
    ),
  );
}
