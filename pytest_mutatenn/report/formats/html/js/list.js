// The list of mutants: filters, order, pages.

const PAGE = 100;

const list = {
  index: null,
  found: null, // what is shown, by which address
  at: 0, // of the page, for the keyboard

  view(index) {
    this.index = index;
    this.at = 0;
    this.results = h("div", { class: "results" });
    this.filters = h("form", { class: "filters", onsubmit: (event) => event.preventDefault() });
    this.search = h("input", {
      type: "search",
      name: "q",
      placeholder: "Search ids, layers, code, tests",
      "aria-label": "search",
      value: state.now.get("q") ?? "",
      oninput: () => {
        adjust({ q: this.search.value, page: null });
        this.show();
      },
    });
    this.facets = h("div", { class: "facets" });
    this.verdicts = h("div", { class: "verdicts", role: "group", "aria-label": "verdict" });
    put(this.filters, [this.search, this.verdicts, this.facets]);
    this.show();
    return [
      h(
        "section",
        { class: "list" },
        h("h2", { class: "hidden" }, "Mutants"),
        this.filters,
        this.results,
      ),
    ];
  },

  show() {
    this.found = selected(this.index, state.now);
    this.showVerdicts();
    this.showFacets();
    this.showResults();
  },

  change(changes) {
    adjust({ ...changes, page: null });
    this.show();
  },

  showVerdicts() {
    const counts = facetCounts(this.index.rows, this.found.filter, "verdict");
    const on = this.found.filter.wanted.verdict ?? new Set();
    const button = (name) =>
      h(
        "button",
        {
          type: "button",
          class: `toggle ${verdictOf(name).kind}`,
          "aria-pressed": on.has(name) ? "true" : "false",
          title: verdictOf(name).says,
          "data-verdict": name,
          onclick: () => {
            const wanted = new Set(on);
            if (!wanted.delete(name)) wanted.add(name);
            const focus = `[data-verdict="${name}"]`;
            this.change({ verdict: [...wanted].join(",") });
            this.verdicts.querySelector(focus)?.focus();
          },
        },
        h("b", null, verdictOf(name).letter),
        ` ${name} `,
        h("span", { class: "count" }, whole(counts.get(name) ?? 0)),
      );
    replace(
      this.verdicts,
      Object.keys(VERDICTS)
        .filter((name) => counts.get(name) || on.has(name))
        .map(button),
    );
  },

  showFacets() {
    const { rows } = this.index;
    const { filter } = this.found;
    const names = {
      model: "network",
      cell: "cell",
      stage: "stage",
      category: "category",
      operator: "operator",
      layer: "layer",
      why: "why it survived",
      test: "killed by",
      mark: "mark",
    };
    const title = {
      category: (value) => this.index.titles[value] ?? value,
      mark: (value) => MARKS[value]?.[0] ?? value,
    };
    const selects = Object.entries(names).map(([facet, name]) => {
      const now = facet === "cell" ? filter.cell : [...(filter.wanted[facet] ?? [])][0];
      const but = facet === "cell" ? { ...filter, cell: null } : filter;
      const counts = facetCounts(rows, but, facet);
      if (
        !now &&
        counts.size < 2 &&
        ((facet !== "mark" && facet !== "why" && facet !== "test") || !counts.size)
      )
        return null;
      if (now && !counts.has(now)) counts.set(now, 0);
      const values = [...counts.keys()];
      if (facet === "layer") {
        const rank = memory((layer) =>
          Math.min(...this.index.record.models.map((model) => this.index.rankOf(model.id, layer))),
        );
        values.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
      } else if (facet === "stage") values.sort((a, b) => STAGES.indexOf(a) - STAGES.indexOf(b));
      else values.sort();
      const select = h(
        "select",
        {
          name: facet,
          onchange: () => {
            this.change({ [facet]: select.value });
            this.facets.querySelector(`[name="${facet}"]`)?.focus();
          },
        },
        h("option", { value: "" }, "any"),
        values.map((value) =>
          h(
            "option",
            { value, selected: value === now },
            `${title[facet]?.(value) ?? value} (${counts.get(value)})`,
          ),
        ),
      );
      return h("label", { class: now ? "on" : null }, h("span", null, name), select);
    });
    const sort = h(
      "select",
      { name: "sort", onchange: () => this.change({ sort: sort.value, down: null }) },
      Object.entries(SORTS).map(([key, [name]]) =>
        h("option", { value: key, selected: key === this.found.sort }, name),
      ),
    );
    const any = Object.keys(filter.wanted).length || filter.words.length || filter.cell;
    replace(
      this.facets,
      selects,
      h("label", null, h("span", null, "order"), sort),
      any
        ? h(
            "button",
            {
              type: "button",
              class: "clear",
              onclick: () => {
                this.search.value = "";
                history.replaceState(
                  null,
                  "",
                  fresh({ view: "mutants", sort: state.now.get("sort") }),
                );
                this.show();
              },
            },
            "Clear filters",
          )
        : null,
    );
  },

  showResults() {
    const { rows, sort, down, filter } = this.found;
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    const page = Math.min(pages, Math.max(1, Number(state.now.get("page") ?? 1) || 1));
    const shown = rows.slice((page - 1) * PAGE, page * PAGE);
    const all = this.index.rows.length;
    const head = (key, name) =>
      h(
        "th",
        { scope: "col", "aria-sort": key === sort ? (down ? "descending" : "ascending") : null },
        h(
          "button",
          {
            type: "button",
            "data-sort": key,
            onclick: () => {
              const turned = key === sort && state.now.get("down") !== "1" ? "1" : null;
              adjust({ sort: key, down: turned, page: null });
              this.show();
              this.results.querySelector(`[data-sort="${key}"]`)?.focus();
            },
          },
          name,
          h(
            "span",
            { class: "arrow", "aria-hidden": "true" },
            key === sort ? (down ? " ▾" : " ▴") : "",
          ),
        ),
      );
    const turn = (to, name) =>
      h(
        "button",
        {
          type: "button",
          disabled: to < 1 || to > pages,
          onclick: () => {
            adjust({ page: to === 1 ? null : to });
            this.showResults();
            this.results.scrollIntoView();
          },
        },
        name,
      );
    const pager = () =>
      pages > 1
        ? h(
            "nav",
            { class: "pager", "aria-label": "pages" },
            turn(page - 1, "‹ Previous"),
            h("span", null, `page ${page} of ${pages}`),
            turn(page + 1, "Next ›"),
          )
        : null;
    replace(
      this.results,
      h(
        "div",
        { class: "resultline" },
        h(
          "p",
          { role: "status" },
          rows.length === all
            ? countOf(all, "mutant")
            : `${whole(rows.length)} of ${countOf(all, "mutant")}`,
        ),
        pager(),
      ),
      rows.length
        ? h(
            "table",
            { class: "mutants" },
            h(
              "thead",
              null,
              h(
                "tr",
                null,
                head("verdict", "Verdict"),
                head("id", "Mutant"),
                head("stage", "Stage"),
                head("operator", "Operator"),
                head("layer", "Layer"),
                head("changed", "Inputs changed"),
                head("time", "Time"),
              ),
            ),
            h(
              "tbody",
              null,
              shown.map((row) => this.line(row, filter.cell)),
            ),
          )
        : h("p", { class: "empty" }, all ? "No mutant is like that." : "There are no mutants."),
      pager(),
    );
    this.at = Math.min(this.at, Math.max(0, shown.length - 1));
  },

  line(row, cell) {
    const { m } = row;
    const cells = row.cells.filter(([name]) => !cell || name === cell);
    const [first] =
      cells.find(([, there]) => there.verdict === "SURVIVED") ??
      cells.find(([, there]) => there.planned) ??
      cells[0];
    const there = m.cells[first];
    const title = m.layers.map((layer) => this.index.titleOf(m.model, layer)).join(", ");
    const time = cells.reduce(
      (sum, [, one]) => sum + (one.seconds_compile ?? 0) + (one.seconds_run ?? 0),
      0,
    );
    const same = new Set(cells.map(([, one]) => one.verdict)).size === 1;
    return h(
      "tr",
      null,
      h(
        "td",
        { class: "verdictcell" },
        same
          ? chip(cells[0][1].verdict, cells.map(([name]) => name).join(", "))
          : h(
              "span",
              { class: "squares" },
              cells.map(([name, one]) => square(name, one.verdict)),
            ),
        m.divergent
          ? h("span", { class: "diverges", title: "cells disagree" }, "≠ divergent")
          : null,
      ),
      h(
        "td",
        { class: "what" },
        h("a", { class: "id", href: mutantAddress(row, { at: first }) }, m.id),
        this.index.several ? h("span", { class: "model" }, m.model) : null,
        snippet(there.before || m.before, there.after || m.after),
      ),
      h("td", { "data-name": "stage" }, m.stage),
      h("td", { "data-name": "operator" }, m.operator),
      h(
        "td",
        { class: "layer", title: title || m.layer, "data-name": "layer" },
        m.weight ?? shortLayers(this.index, m),
      ),
      h("td", { class: "changed" }, changedInputs(there)),
      h("td", { class: "time" }, time ? seconds(time) : "–"),
    );
  },

  move(by) {
    const links = [...this.results.querySelectorAll("tbody a.id")];
    if (!links.length) return;
    const focused = links.indexOf(document.activeElement);
    this.at = focused < 0 ? 0 : Math.min(links.length - 1, Math.max(0, focused + by));
    links[this.at].focus();
    links[this.at].scrollIntoView({ block: "nearest" });
  },
};

function shortLayers(index, m) {
  const names = m.layers.map((layer) => index.titleOf(m.model, layer));
  const all = names.join(", ");
  if (names.length < 2 || all.length <= 60) return all || m.layer;
  return `${names[0]}, and ${names.length - 1} more`;
}

function square(cell, verdict) {
  const { letter, kind } = verdictOf(verdict);
  const said = `${cell} ${verdict}`;
  return h(
    "span",
    { class: `square ${kind}`, title: said, role: "img", "aria-label": said },
    letter,
  );
}

function changedInputs(there) {
  if (there.infected === null || there.infected === undefined)
    return there.inputs_run ? `of ${whole(there.inputs_run)} run` : "–";
  const of = there.inputs_run;
  const part = (count) => `${of ? (100 * (count ?? 0)) / of : 0}%`;
  const said = `${whole(there.infected)} infected, ${whole(there.propagated)} propagated, top-1 changed for ${whole(there.top1_changed)}, of ${whole(of)}`;
  return h(
    "span",
    { class: "funnel", title: said, role: "img", "aria-label": said },
    ["infected", "propagated", "top1_changed"].map((name) =>
      h("span", { class: name, vars: { size: part(there[name]) } }),
    ),
    h("span", { class: "figures" }, `top-1 ${whole(there.top1_changed)} of ${whole(of)}`),
  );
}

// what changed in a line, with as much around it as fits
function snippet(before, after) {
  if (!before && !after) return null;
  const { from, before: a, after: b } = difference(before, after);
  const around = 28;
  const longest = 60;
  const cut = (text) => (text.length > longest ? `${text.slice(0, longest)}…` : text);
  const start = Math.max(0, from - around);
  const end = before.slice(a);
  return h(
    "code",
    { class: "snippet" },
    (start ? "…" : "") + before.slice(start, from),
    a > from ? h("del", null, cut(before.slice(from, a))) : null,
    a > from && b > from ? " → " : null,
    b > from ? h("ins", null, cut(after.slice(from, b))) : null,
    end.slice(0, around) + (end.length > around ? "…" : ""),
  );
}
