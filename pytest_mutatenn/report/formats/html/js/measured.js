// What was measured of the cells: the unmutated network's tests, differences, noise, latency.

function cellsView(index) {
  const { record } = index;
  return [
    baselineTable(record),
    baselineDifferences(index),
    worstOnMutants(index),
    noiseSection(index),
    latencySection(record),
  ];
}

function baselineTable(record) {
  if (!record.baseline.length)
    return section("The unmutated network", null, h("p", { class: "empty" }, "No test ran on it."));
  const tests = [...new Set(record.baseline.map((entry) => `${entry.model}\t${entry.test}`))];
  const cells = [...new Set(record.baseline.map((entry) => entry.cell))];
  const of = new Map(
    record.baseline.map((entry) => [`${entry.model}\t${entry.test}\t${entry.cell}`, entry]),
  );
  const several = record.models.length > 1;
  const places = new Map((record.tests ?? []).map((entry) => [entry.test, entry]));
  const failures = record.baseline.filter((entry) => entry.message);
  const mark = (entry) => {
    if (!entry) return "";
    const good = entry.outcome === "passed";
    const bad = entry.outcome === "failed" || entry.outcome === "error";
    return [
      h(
        "span",
        { class: good ? "passed" : bad ? "failed" : "note" },
        good ? "✓ " : bad ? "✗ " : "",
        entry.outcome,
      ),
      (entry.margins ?? []).map((one) =>
        h(
          "div",
          { title: `${one.metric} = ${figure(one.value, 6)}` },
          h(
            "small",
            null,
            `${one.metric} ${one.op} ${figure(one.bound)} by ${figure(one.margin, 3)}`,
          ),
        ),
      ),
    ];
  };
  const checks = record.checks ?? [];
  return section(
    "The unmutated network",
    { class: "baseline", note: "Its tests in each cell: only one that passes can kill there." },
    table(
      [...(several ? ["network"] : []), "test", ...cells],
      tests.map((key) => {
        const [model, test] = key.split("\t");
        const { file, line } = places.get(test) ?? {};
        const name = [test, file ? h("div", null, h("small", null, `${file}:${line}`)) : null];
        return [
          ...(several ? [model] : []),
          name,
          ...cells.map((cell) => mark(of.get(`${key}\t${cell}`))),
        ];
      }),
      { label: "tests on the unmutated network" },
    ),
    failures.length
      ? folded(
          failures,
          10,
          (entry) =>
            h(
              "details",
              null,
              h("summary", null, `${entry.test} in ${entry.cell}: ${entry.outcome}`),
              h("pre", { class: "text" }, entry.message),
            ),
          "messages",
        )
      : null,
    checks.length
      ? [
          h("h3", null, "Checks"),
          h(
            "p",
            { class: "note" },
            "The canary is the network with the sign of its outputs changed, and has to be killed; identity changes nothing, and has to live.",
          ),
          table(
            [...(several ? ["network"] : []), "cell", "check", "verdict", "killed by"],
            checks.map((check) => [
              ...(several ? [check.model] : []),
              check.cell,
              check.id,
              checkWords(check),
              check.killed_by.join(", "),
            ]),
            { label: "checks" },
          ),
        ]
      : null,
  );
}

function checkWords({ id, verdict }) {
  const good = verdict === (id === "canary" ? "KILLED" : "SURVIVED");
  return h("span", { class: good ? "passed" : "failed" }, `${good ? "✓" : "✗"} ${verdict}`);
}

// how far cells are from each other; `note` gives a further column
function comparisons(index, entries, note) {
  return table(
    [
      ...(index.several ? ["network"] : []),
      "cells",
      "#inputs",
      "#any bit",
      "#top-1",
      `#top-${Math.max(1, ...entries.map((entry) => entry.k))} set`,
      "#least tau",
      "#largest difference",
      "top-1 differs for",
      ...(note ? [note.head] : []),
    ],
    entries.map((entry) => [
      ...(index.several ? [entry.model] : []),
      `${entry.a} ~ ${entry.b}`,
      whole(entry.inputs),
      whole(entry.differing),
      whole(inputNumbers(entry.top1_dissimilar).length),
      whole(inputNumbers(entry.topk_dissimilar).length),
      figure(entry.tau_min),
      entry.max_abs_diff === null && entry.tau_min !== null
        ? "infinite"
        : figure(entry.max_abs_diff, 3),
      inputWords(index, entry.model, entry.top1_dissimilar),
      ...(note ? [note.of(entry)] : []),
    ]),
    { label: "cells compared", shown: 12, noun: "pairs" },
  );
}

function baselineDifferences(index) {
  const { differential } = index.record;
  if (!differential.baseline.length) return null;
  return section(
    "Cells compared on the unmutated network",
    { note: differential.reference ? `The reference cell is ${differential.reference}.` : null },
    comparisons(index, differential.baseline, null),
  );
}

function worse(a, b) {
  const count = (entry) => inputNumbers(entry.top1_dissimilar).length;
  return count(b) - count(a) || (a.tau_min ?? 2) - (b.tau_min ?? 2);
}

function worstOnMutants(index) {
  const { worst } = index;
  const skipped = Object.entries(index.record.differential.not_compared);
  if (!worst.length && !skipped.length) return null;
  const link = (entry) => {
    const row = index.row(entry.model, entry.mutant);
    return [
      row ? h("a", { class: "id", href: mutantAddress(row) }, entry.mutant) : entry.mutant,
      `, of ${entry.of}`,
    ];
  };
  return section(
    "Cells compared on the mutants that both ran on all inputs",
    { note: "Of every two cells the mutant on which they are farthest apart." },
    worst.length ? comparisons(index, worst, { head: "mutant", of: link }) : null,
    skipped.length
      ? h(
          "ul",
          null,
          skipped.map(([reason, count]) =>
            h("li", null, `not compared, ${countOf(count, "time")}: ${reason}`),
          ),
        )
      : null,
  );
}

// of what changes without limit the record has no number
const floor = (value) => (value === null ? "without limit" : figure(value, 3));

function noiseSection(index) {
  const { noise } = index.record;
  if (!noise) return null;
  if (!noise.cells?.length)
    return noise.off ? section("Noise", null, h("p", { class: "empty" }, noise.off)) : null;
  const metrics = (of) => {
    const all = Object.entries(of ?? {});
    const some = all.filter(([, value]) => value !== 0);
    const none = all.length - some.length;
    const said = some.map(([name, value]) => `${name} ${floor(value)}`);
    if (none) said.push(some.length ? `${countOf(none, "other")} by 0` : "all by 0");
    return said.join(", ");
  };
  const several = index.several;
  return section(
    "Noise",
    {
      note:
        noise.off ||
        `The unmutated network, run ${countOf(noise.repeats, "more time")} in each cell: how much its outputs and the metrics change by themselves.`,
    },
    noise.cells?.length
      ? table(
          [...(several ? ["network"] : []), "cell", "#outputs by up to", "metrics by up to"],
          noise.cells.map((entry) => [
            ...(several ? [entry.model] : []),
            entry.cell,
            entry.off ? "–" : floor(entry.output),
            entry.off || metrics(entry.metrics),
          ]),
          { label: "noise in each cell" },
        )
      : null,
    noise.pairs?.length
      ? table(
          [...(several ? ["network"] : []), "cells", "#outputs by up to", "metrics by up to"],
          noise.pairs.map((entry) => [
            ...(several ? [entry.model] : []),
            `${entry.a} ~ ${entry.b}`,
            floor(entry.output),
            metrics(entry.metrics),
          ]),
          { label: "noise between cells" },
        )
      : null,
  );
}

function latencySection(record) {
  const { latency } = record;
  if (!latency.cells.length)
    return latency.off ? section("Latency", null, h("p", { class: "empty" }, latency.off)) : null;
  const longest = Math.max(...latency.cells.map((entry) => entry.seconds_p95));
  const several = record.models.length > 1;
  const tests = latency.tests.flatMap((tested) => [
    { ...tested, name: "all cells" },
    ...tested.pairs.map((pair) => ({
      ...pair,
      model: tested.model,
      name: `${pair.a} ~ ${pair.b}`,
    })),
  ]);
  return section(
    "Latency of the unmutated network",
    { note: "Per input, of the kernels alone." },
    table(
      [
        ...(several ? ["network"] : []),
        "cell",
        "#median",
        "#mean",
        "#95 % below",
        "#repeats",
        "#warm-up",
        "",
      ],
      latency.cells.map((entry) => [
        ...(several ? [entry.model] : []),
        entry.cell,
        seconds(entry.seconds_median),
        seconds(entry.seconds_mean),
        seconds(entry.seconds_p95),
        whole(entry.repeats),
        whole(entry.warmup),
        h(
          "span",
          { class: "latencybar", "aria-hidden": "true" },
          h("span", { vars: { size: `${(100 * entry.seconds_median) / longest}%` } }),
        ),
      ]),
      { label: "latency" },
    ),
    tests.length
      ? [
          h("h3", null, "Whether the cells differ"),
          table(
            [
              ...(several ? ["network"] : []),
              "cells",
              "#ANOVA F",
              "#p",
              "#eta²",
              "#Kruskal-Wallis H",
              "#p",
              "#epsilon²",
            ],
            tests.map((tested) => [
              ...(several ? [tested.model] : []),
              tested.name,
              figure(tested.anova.statistic, 3),
              figure(tested.anova.p_value, 3),
              figure(tested.anova.eta_squared, 3),
              figure(tested.kruskal.statistic, 3),
              figure(tested.kruskal.p_value, 3),
              figure(tested.kruskal.epsilon_squared, 3),
            ]),
            { label: "tests of latency" },
          ),
        ]
      : null,
  );
}
