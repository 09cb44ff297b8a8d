// Lists of papers as people have them: tables (RFC 4180), JSON lines, a title a line; and the table that is given back.

const COLUMNS = {
  title: ["title", "paper_title", "titles"],
  abstract: ["abstract", "summary", "description", "abstracts", "summaries"],
  id: ["id", "arxiv_id", "paper_id", "doi"],
};
const FORMULA = /^[=+\-@\t\r]/;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** The text of a file, undefined where it is none; what is not UTF is read as spreadsheets in the West write it. */
function decoded(bytes) {
  const [first, second] = new Uint8Array(bytes.slice(0, 2));
  const utf16 = { "255 254": "utf-16le", "254 255": "utf-16be" }[`${first} ${second}`];
  let text;
  try {
    text = new TextDecoder(utf16 ?? "utf-8", { fatal: true }).decode(bytes);
  } catch {
    text = new TextDecoder("windows-1252").decode(bytes);
  }
  return text.includes("\0") ? undefined : text;
}

/** The papers of a text, each with title, abstract and id (its line or row where it has none). */
function papersOf(text) {
  const lines = text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n");
  const values = /^\s*[[{]/.test(lines) && valuesOf(lines);
  if (values) return values.map(fromValue);
  if (/^\s*\{/.test(lines)) return lines.split("\n").flatMap(fromJson);
  const table = headed(lines);
  if (table) return fromTable(records(lines, table.delimiter), table.places);
  return lines.split("\n").flatMap((title, at) => (title.trim() ? [paperOf(title, "", "", at + 1)] : []));
}

/** The delimiter of a table with titles, and where its columns are; undefined where a text is none. */
function headed(text) {
  const [first] = text.split(/[\r\n]/, 1);
  for (const delimiter of ["\t", ",", ";"]) {
    const [head] = records(first, delimiter);
    const places = head && columns(head);
    if (places) return { delimiter, places };
  }
  return undefined;
}

const paperOf = (title, abstract, id, line) => ({ title, abstract, id: id || String(line) });

/** What JSON has as a whole: the objects of a list, or one; undefined where it is no JSON, or of something else. */
function valuesOf(text) {
  try {
    const values = [JSON.parse(text)].flat();
    return values.every((value) => value && typeof value === "object" && !Array.isArray(value)) ? values : undefined;
  } catch {
    return undefined;
  }
}

function fromValue({ title, abstract, summary, id }, at) {
  return paperOf(String(title ?? ""), String(abstract || (summary ?? "")), String(id ?? ""), at + 1);
}

function fromJson(line, at) {
  if (!line.trim()) return [];
  const [value] = valuesOf(line) ?? [];
  return [value ? fromValue(value, at) : { ...paperOf(line, "", "", at + 1), error: "the line is not JSON" }];
}

function fromTable([, ...rows], { title, abstract, id }) {
  return rows.flatMap((row, at) =>
    row.some((cell) => cell.trim()) ? [paperOf(row[title] ?? "", row[abstract] ?? "", row[id] ?? "", at + 1)] : [],
  );
}

/** Where the columns are, by their names; nothing where none is for titles. */
function columns(head) {
  const cells = head.map((cell) => cell.trim().toLowerCase().replace(/[\s-]+/g, "_"));
  const place = (meaning) => cells.findIndex((cell) => COLUMNS[meaning].includes(cell));
  const title = place("title");
  return title < 0 ? undefined : { title, abstract: place("abstract"), id: place("id") };
}

/** The records of a table: cells in quotes may hold delimiters, line ends and doubled quotes. */
function records(text, delimiter) {
  const found = [];
  let record = [];
  let at = 0;
  while (at <= text.length) {
    let cell = "";
    if (text[at] === '"') {
      let end = text.indexOf('"', at + 1);
      while (end >= 0 && text[end + 1] === '"') end = text.indexOf('"', end + 2);
      if (end < 0) end = text.length;
      cell = text.slice(at + 1, end).replaceAll('""', '"');
      at = end + 1;
    }
    let end = at;
    while (end < text.length && text[end] !== delimiter && text[end] !== "\n") end++;
    record.push(cell + text.slice(at, end));
    if (text[end] !== delimiter) {
      found.push(record);
      record = [];
      if (end >= text.length - 1) break;
    }
    at = end + 1;
  }
  return found;
}

/** A cell that no spreadsheet takes for a formula (OWASP, "CSV Injection"), in quotes where it needs them. */
function cellOf(value) {
  const safe = FORMULA.test(value) && !NUMBER.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** The answers as CSV; a byte order mark tells spreadsheets that it is UTF-8. */
function tableOf(answered) {
  const rows = answered.map(({ paper, answer }) => {
    const [best, ...others] = answer.predictions ?? [];
    const rest = others.map((one) => `${one.category} ${one.confidence}`).join("; ");
    const name = best ? (names.get(best.category) ?? "") : "";
    return [paper.id, paper.title, best?.category ?? "", name, String(best?.confidence ?? ""), rest, answer.error ?? ""];
  });
  const head = ["id", "title", "category", "name", "confidence", "alternatives", "error"];
  return `\ufeff${[head, ...rows].map((row) => row.map(cellOf).join(",")).join("\r\n")}\r\n`;
}
