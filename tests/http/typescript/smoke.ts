// Compiled and run by test_typescript_client: what a shop's own pages would write. Arguments: address and key.
// Prints what it found as JSON. The addresses of the pictures are never fetched: no worker runs.
import createClient from "openapi-fetch";
import type { components, paths } from "./api";

type Line =
  | components["schemas"]["BulkAdd"]
  | components["schemas"]["BulkChange"]
  | components["schemas"]["BulkDelete"];

const [address, key] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl: address, headers: { Authorization: `Bearer ${key}` } });

const vector = Array.from({ length: 48 }, (_, n) => (n === 0 ? 1 : 0));
const found = await client.POST("/v1/search", {
  body: {
    vector,
    k: 2,
    per: "product",
    category: ["shoes", "bags"],
    condition: { any: [{ category: "shoes" }, { price: { max: 50 } }] },
    facets: { category: true, price: [0, 50], attributes: ["colour"] },
  },
});
const page = found.data;
if (!page) throw new Error(JSON.stringify(found.error));
const onward = await client.POST("/v1/search", {
  body: { vector, k: 1, per: "image", category: "shoes", after: undefined },
});
const choices = await client.POST("/v1/choices", { body: { facet: "attribute", name: "colour", contains: "e", k: 10 } });
const changed = await client.PATCH("/v1/products/{product_id}", {
  params: { path: { product_id: page.rows[0]!.product_id } },
  body: { price: 12.5, attributes: { sale: true }, title: "On sale" },
});
const image = await client.PATCH("/v1/images/{image_id}", {
  params: { path: { image_id: page.rows[0]!.image_id } },
  body: { in_stock: false },
});
const lines: Line[] = [
  { action: "add", product_id: "new", url: "https://shop.example/1.jpg", price: 3 },
  { action: "change", product_id: "new", category: "boots" },
  { action: "delete", product_id: "none" },
];
const bulk = await client.POST("/v1/images/bulk", {
  body: lines.map((line) => JSON.stringify(line)).join("\n"),
  bodySerializer: (body) => body,
  headers: { "Content-Type": "application/x-ndjson" },
  parseAs: "text",
});
const outcomes = (bulk.data ?? "")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as components["schemas"]["Outcome"]);
const listed = await client.GET("/v1/images", { params: { query: { k: 1, state: "pending" } } });
const removed = await client.DELETE("/v1/products/{product_id}", { params: { path: { product_id: "new" } } });
const refused = await client.POST("/v1/search", { body: { vector, min_match: 2 } });

console.log(
  JSON.stringify({
    rows: page.rows.length,
    others: page.rows.every((row) => row.others.every((other) => other.image_id > 0)),
    categories: page.facets?.category.map((one) => one.value).sort(),
    bands: page.facets?.price.map((one) => one.low),
    image_rows: onward.data?.rows.length,
    choices: choices.data?.values.map((one) => one.value).sort(),
    changed: changed.data?.changed,
    in_stock: image.data?.in_stock,
    price: image.data?.price,
    outcomes: outcomes.map((one) => one.outcome),
    pending: listed.data?.images.map((one) => one.product_id),
    removed: removed.response.status,
    problem: [refused.response.status, refused.error?.code],
  }),
);
