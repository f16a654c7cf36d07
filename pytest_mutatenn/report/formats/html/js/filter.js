// Which mutants the list shows, and in what order.

const MARKS = {
  divergent: ["cells disagree", (row) => row.m.divergent],
  undefined: ["reaches outside its buffers", (row, cells) => cells.some((c) => c.undefined)],
  indistinguishable: ["within the noise", (row, cells) => cells.some((c) => c.indistinguishable)],
  accepted: ["accepted", (row, cells) => cells.some((c) => c.accepted)],
  unscored: [
    "in no cell in the score",
    (row, cells) => !cells.some((there) => verdictOf(there.verdict).scored),
  ],
  nonfinite: ["gives NaN or infinity", (row, cells) => cells.some((c) => c.nonfinite)],
  stderr: ["wrote to standard error", (row, cells) => cells.some((c) => c.stderr)],
};

// name of the facet -> the values that a mutant has there, given its entries in the chosen cells
const FACETS = {
  model: (row) => [row.m.model],
  cell: (row) => row.cells.map(([cell]) => cell),
  stage: (row) => [row.m.stage],
  category: (row) => [row.m.category],
  operator: (row) => [row.m.operator],
  layer: (row) => row.m.layers,
  why: (row, cells) => cells.map(why).filter(Boolean),
  test: (row, cells) => cells.flatMap((there) => there.killed_by),
  mark: (row, cells) => Object.keys(MARKS).filter((mark) => MARKS[mark][1](row, cells)),
  verdict: (row, cells) => cells.map((there) => there.verdict),
};

const chosen = (row, cell) =>
  row.cells.filter(([name]) => !cell || name === cell).map(([, there]) => there);

function filterOf(now) {
  const wanted = {};
  for (const facet of Object.keys(FACETS)) {
    const value = now.get(facet);
    // of verdicts several may be chosen
    if (value) wanted[facet] = new Set(facet === "verdict" ? value.split(",") : [value]);
  }
  const words = (now.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  return { wanted, words, cell: now.get("cell") };
}

// whether a mutant is shown; facets in `but` do not count
function matches(row, { wanted, words, cell }, but) {
  const cells = chosen(row, cell);
  for (const [facet, values] of Object.entries(wanted)) {
    if (facet !== but && !FACETS[facet](row, cells).some((value) => values.has(value)))
      return false;
  }
  if (!words.length) return true;
  const text = textOf(row);
  return words.every((word) => text.includes(word));
}

// value -> how many mutants would be shown if it were the one chosen
function facetCounts(rows, filter, facet) {
  const found = new Map();
  for (const row of rows) {
    if (!matches(row, filter, facet)) continue;
    for (const value of new Set(FACETS[facet](row, chosen(row, filter.cell))))
      found.set(value, (found.get(value) ?? 0) + 1);
  }
  return found;
}

const most = (name) => (row, cell) =>
  Math.max(-1, ...chosen(row, cell).map((there) => there[name] ?? -1));

const SORTS = {
  verdict: ["survivors first", (row, cell) => verdictRank(chosen(row, cell))],
  id: ["name", (row) => row.m.id],
  stage: ["stage", (row) => STAGES.indexOf(row.m.stage)],
  operator: ["operator", (row) => row.m.operator],
  layer: ["place in the network", (row) => row.rank],
  changed: [
    "inputs changed",
    (row, cell) =>
      most("top1_changed")(row, cell) * 1e12 +
      most("propagated")(row, cell) * 1e6 +
      most("infected")(row, cell),
  ],
  time: [
    "time",
    (row, cell) =>
      chosen(row, cell).reduce(
        (sum, there) => sum + (there.seconds_compile ?? 0) + (there.seconds_run ?? 0),
        0,
      ),
  ],
};
const DOWNWARD = new Set(["changed", "time"]); // what is read with the most first

// survived in the most cells first, then what died, then what was killed, then the rest
function verdictRank(cells) {
  const order = Object.keys(VERDICTS);
  const best = Math.min(...cells.map((there) => order.indexOf(there.verdict)), order.length);
  const survived = cells.filter((there) => there.verdict === "SURVIVED").length;
  return best * 1000 - survived;
}

function selected(index, now) {
  const filter = filterOf(now);
  const sort = SORTS[now.get("sort")] ? now.get("sort") : "verdict";
  const down = (now.get("down") === "1") !== DOWNWARD.has(sort);
  const key = SORTS[sort][1];
  const keyed = index.rows
    .filter((row) => matches(row, filter))
    .map((row) => [key(row, filter.cell), row]);
  keyed.sort(([a, one], [b, other]) => {
    const order = a < b ? -1 : a > b ? 1 : 0;
    return order ? (down ? -order : order) : one.at - other.at;
  });
  return { rows: keyed.map(([, row]) => row), filter, sort, down };
}
