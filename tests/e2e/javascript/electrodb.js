// ElectroDB: entities that share a table, collections of them, pages, batches, transactions.
//
//   node electrodb.js ENDPOINT REGION TABLE
import { DynamoDB } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocument } from "@aws-sdk/lib-dynamodb";
import { Entity, Service } from "electrodb";
import { made, options, refused, same, tour, watched } from "./clients.js";

const [endpoint, region, table] = process.argv.slice(2);
const plain = watched(new DynamoDB(options(endpoint, region)));
const client = DynamoDBDocument.from(plain, { marshallOptions: { removeUndefinedValues: true } });
const COUNT = 40;

const Task = new Entity({
  model: { entity: "task", version: "1", service: "office" },
  attributes: {
    project: { type: "string", required: true },
    task: { type: "string", required: true },
    employee: { type: "string", required: true },
    points: { type: "number", default: 1 },
    state: { type: ["open", "closed"], default: "open" },
    labels: { type: "set", items: "string" },
    notes: { type: "list", items: { type: "map", properties: { text: { type: "string" } } } },
    facts: { type: "map", properties: { size: { type: "number" }, room: { type: "string" } } },
    written: { type: "number", watch: "*", default: 1, set: (value) => (value ?? 0) + 1 },
  },
  indexes: {
    tasks: { pk: { field: "pk", composite: ["project"] }, sk: { field: "sk", composite: ["task"] } },
    assigned: {
      collection: "staff", index: "gsi1",
      pk: { field: "gsi1pk", composite: ["employee"] },
      sk: { field: "gsi1sk", composite: ["project", "task"] },
    },
    // Keys of several attributes, which are those of the item.
    load: {
      index: "load", type: "composite",
      pk: { composite: ["employee", "state"] }, sk: { composite: ["points", "task"] },
    },
    rooms: {
      collection: ["places"], index: "gsi2", type: "clustered",
      pk: { field: "gsi2pk", composite: ["project"] },
      sk: { field: "gsi2sk", composite: ["employee", "task"] },
    },
  },
}, { client, table });

const Employee = new Entity({
  model: { entity: "employee", version: "1", service: "office" },
  attributes: {
    employee: { type: "string", required: true },
    project: { type: "string", default: "p" },
    team: { type: "string" },
    budget: { type: "number" },
  },
  indexes: {
    employees: { pk: { field: "pk", composite: ["employee"] }, sk: { field: "sk", composite: [] } },
    staffed: {
      collection: "staff", index: "gsi1",
      pk: { field: "gsi1pk", composite: ["employee"] },
      sk: { field: "gsi1sk", composite: [] },
    },
    rooms: {
      collection: ["places"], index: "gsi2", type: "clustered",
      pk: { field: "gsi2pk", composite: ["project"] },
      sk: { field: "gsi2sk", composite: ["employee"] },
    },
  },
}, { client, table });

const office = new Service({ task: Task, employee: Employee });
const key = (n) => ({ project: "p", task: `t${String(n).padStart(3, "0")}` });
const one = (n) => ({ ...key(n), employee: n % 2 ? "ann" : "bob", points: n });

async function entities() {
  await made(plain, table, ["pk", "then", "sk"], {
    gsi1: ["gsi1pk", "then", "gsi1sk"], gsi2: ["gsi2pk", "then", "gsi2sk"],
    load: ["employee", "state", "then", "points", "task"],
  }, ["points"]);
  const full = {
    ...one(1), labels: ["b", "a"], notes: [{ text: "x" }], facts: { size: 1.5, room: "" },
  };
  same(full.facts, (await Task.create(full).go()).data.facts);
  // The same again is a condition that fails, which it tells in its own way.
  const again = await refused("ElectroError", () => Task.create(full).go());
  same("ConditionalCheckFailedException", again.cause.name);
  const got = (await Task.get(key(1)).go({ consistent: true })).data;
  same(["open", ["a", "b"], 1.5, [{ text: "x" }]],
    [got.state, got.labels, got.facts.size, got.notes]);
  const changed = await Task.patch(key(1))
    .set({ state: "closed" }).add({ points: 4, labels: ["c"] }).append({ notes: [{ text: "y" }] })
    .data((task, { set, remove }) => {
      set(task.facts.size, 2);
      remove(task.facts.room);
    })
    .where(({ points, labels }, { eq, contains }) => `${eq(points, 1)} AND ${contains(labels, "a")}`)
    .go({ response: "all_new" });
  same(["closed", 5, ["a", "b", "c"], { size: 2 }, 2], [changed.data.state, changed.data.points,
    changed.data.labels, changed.data.facts, changed.data.notes.length]);
  await refused("ElectroError", () => Task.patch(key(99)).set({ points: 1 }).go());
  const upserted = await Task.upsert(one(2)).go({ response: "all_new" });
  same("bob", upserted.data.employee);
  const removed = await Task.remove(key(2)).go({ response: "all_old" });
  same(2, removed.data.points);
  same(null, (await Task.get(key(2)).go()).data);
}

async function batches() {
  const many = Array.from({ length: COUNT }, (_, n) => one(n));
  same([], (await Task.put(many).go({ concurrent: 2 })).unprocessed);
  const found = await Task.get(many.map((_, n) => key(n))).go({ preserveBatchOrder: true });
  same(many.map(({ points }) => points), found.data.map(({ points }) => points));
  await Task.delete([key(0), key(1)]).go();
  same([null, 2], (await Task.get([key(0), key(2)]).go({ preserveBatchOrder: true })).data
    .map((task) => task && task.points));
}

async function pages() {
  let [cursor, sizes] = [null, []];
  do {
    const page = await Task.query.tasks({ project: "p" }).go({ cursor, limit: 15 });
    ({ cursor } = page);
    sizes.push(page.data.length);
  } while (cursor);
  same([15, 15, 8], sizes);
  const between = await Task.query.tasks({ project: "p" }).between(key(10), key(20)).go({ order: "desc" });
  same([20, 19], between.data.slice(0, 2).map(({ points }) => points));
  const filtered = await Task.query.assigned({ employee: "ann" }).begins({ project: "p" })
    .where(({ points }, { gte }) => gte(points, 30)).go({ pages: "all", attributes: ["points"] });
  same([31, 33, 35, 37, 39].map((points) => ({ points })), filtered.data);
  const loaded = await Task.query.load({ employee: "ann", state: "open" })
    .between({ points: 30 }, { points: 35 }).go({ limit: 2, pages: "all", hydrate: true });
  same([31, 33, 35], loaded.data.map(({ points }) => points));
  same(38, (await Task.scan.go({ pages: "all" })).data.length);
  same(11, (await Task.match({ project: "p", employee: "bob" })
    .where(({ points }, { lt, exists }) => `${lt(points, 24)} AND ${exists(points)}`)
    .go({ pages: "all" })).data.length);
}

async function collections() {
  await Employee.put({ employee: "ann", team: "red", budget: 10 }).go();
  const { data } = await office.collections.staff({ employee: "ann" }).go({ pages: "all" });
  same(["red", 19], [data.employee[0].team, data.task.length]);
  const places = await office.collections.places({ project: "p" }).gte({ employee: "ann" })
    .go({ pages: "all", order: "desc" });
  same([1, 38], [places.data.employee.length, places.data.task.length]);
}

async function transactions() {
  const done = await office.transaction.write(({ task, employee }) => [
    task.create({ ...one(50) }).commit(),
    employee.patch({ employee: "ann" }).subtract({ budget: 4 })
      .where(({ budget }, { gte }) => gte(budget, 4)).commit(),
    task.check(key(2)).where(({ state }, { eq }) => eq(state, "open")).commit(),
    task.delete(key(3)).commit(),
  ]).go({ token: table });
  same([false, 4], [done.canceled, done.data.length]);
  const got = await office.transaction.get(({ task, employee }) => [
    task.get(key(50)).commit(), employee.get({ employee: "ann" }).commit(), task.get(key(3)).commit(),
  ]).go();
  same([50, 6, null], [got.data[0].item.points, got.data[1].item.budget, got.data[2].item]);
  const cancelled = await office.transaction.write(({ task, employee }) => [
    task.create({ ...one(51) }).commit(),
    employee.patch({ employee: "ann" }).subtract({ budget: 400 })
      .where(({ budget }, { gte }) => gte(budget, 400)).commit({ response: "all_old" }),
  ]).go();
  same([true, "None", "ConditionalCheckFailed", 6], [cancelled.canceled, cancelled.data[0].code,
    cancelled.data[1].code, cancelled.data[1].item.budget]);
}

await tour({ entities, batches, pages, collections, transactions });
