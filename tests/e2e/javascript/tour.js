// The AWS SDK for JavaScript: its clients, its document client, its waiters and paginators.
//
//   node tour.js ENDPOINT REGION ENDPOINT-OF-ANOTHER ANOTHER-REGION TABLE
import { AwsSmithyRpcV2CborProtocol } from "@aws-sdk/core/protocols";
import * as dynamodb from "@aws-sdk/client-dynamodb";
import * as streams from "@aws-sdk/client-dynamodb-streams";
import * as documents from "@aws-sdk/lib-dynamodb";
import { marshall, unmarshall } from "@aws-sdk/util-dynamodb";
import { NodeHttp2Handler } from "@smithy/node-http-handler";
import { all, options, refused, same, tour, until, watched } from "./clients.js";

const [endpoint, region, otherEndpoint, otherRegion, TableName] = process.argv.slice(2);
const plain = watched(new dynamodb.DynamoDB(options(endpoint, region)));
const other = watched(new dynamodb.DynamoDB(options(otherEndpoint, otherRegion)));
const records = watched(new streams.DynamoDBStreams(options(endpoint, region)));
// As applications have it: nothing is lost of a number, and what is not there is left out.
const translated = {
  marshallOptions: { removeUndefinedValues: true, convertClassInstanceToMap: true },
  unmarshallOptions: { wrapNumbers: true },
};
const items = documents.DynamoDBDocument.from(plain, translated);
const there = documents.DynamoDBDocument.from(other, translated);
const number = (value) => documents.NumberValue.from(value);
const waiting = { maxWaitTime: 60, minDelay: 1, maxDelay: 1 };
const COUNT = 60;

// --- tables ---------------------------------------------------------------------------------------

async function create() {
  const attribute = (AttributeName, AttributeType) => ({ AttributeName, AttributeType });
  const key = (...names) =>
    names.map((AttributeName, n) => ({ AttributeName, KeyType: n === 0 ? "HASH" : "RANGE" }));
  const created = await plain.createTable({
    TableName,
    BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [
      attribute("pk", "S"), attribute("sk", "N"), attribute("g", "S"), attribute("at", "N"),
    ],
    KeySchema: key("pk", "sk"),
    GlobalSecondaryIndexes: [
      { IndexName: "by-g", KeySchema: key("g", "sk"), Projection: { ProjectionType: "ALL" } },
    ],
    LocalSecondaryIndexes: [
      { IndexName: "by-at", KeySchema: key("pk", "at"), Projection: { ProjectionType: "KEYS_ONLY" } },
    ],
    StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
    Tags: [{ Key: "team", Value: "one" }],
  });
  same(true, created.TableDescription.CreationDateTime instanceof Date);
  const waited = await dynamodb.waitUntilTableExists({ client: plain, ...waiting }, { TableName });
  same("SUCCESS", waited.state);
  const pages = await all(dynamodb.paginateListTables({ client: plain, pageSize: 1 }, {}));
  same(true, pages.flatMap((page) => page.TableNames).includes(TableName));
  await refused("ResourceInUseException", () => plain.createTable({
    TableName, BillingMode: "PAY_PER_REQUEST", AttributeDefinitions: [attribute("pk", "S")],
    KeySchema: key("pk"),
  }));
}

// --- items ----------------------------------------------------------------------------------------

class Point {
  constructor(x, y) {
    Object.assign(this, { x, y });
  }
}

async function types() {
  const item = {
    pk: "types", sk: 1, text: "grüße 🌍", nothing: "", none: null, yes: true, no: false,
    big: number("9007199254740993"), exact: number("12345678901234567890123456789012345678"),
    small: number("1E-130"), whole: 10n ** 30n, half: 0.5, negative: -0.25,
    bytes: new Uint8Array([0, 1, 255]), noBytes: new Uint8Array(),
    strings: new Set(["b", "a"]), numbers: new Set([1, 2.5]), blobs: new Set([new Uint8Array([7])]),
    list: [1, "two", [], {}, null, [["deep"]]], map: { inner: { "a.b": [true] } },
    point: new Point(1, 2), left: undefined,
  };
  await items.put({ TableName, Item: item });
  const got = (await items.get({ TableName, Key: { pk: "types", sk: 1 } })).Item;
  const { left, ...kept } = item;
  same(
    {
      ...kept, sk: number("1"), whole: number("1" + "0".repeat(30)), half: number("0.5"),
      small: number("0." + "0".repeat(129) + "1"), negative: number("-0.25"),
      strings: new Set(["a", "b"]), numbers: new Set([number("1"), number("2.5")]),
      list: [number("1"), "two", [], {}, null, [["deep"]]],
      point: { x: number("1"), y: number("2") },
    },
    got,
  );
  same(9007199254740993n, got.big.toBigInt());
  // As those have it who do not ask for numbers without loss.
  const simple = documents.DynamoDBDocument.from(
    watched(new dynamodb.DynamoDB(options(endpoint, region))));
  const some = { TableName, Key: { pk: "types", sk: 1 }, ProjectionExpression: "big, half, strings" };
  same({ big: 9007199254740993n, half: 0.5, strings: new Set(["a", "b"]) },
    (await simple.get(some)).Item);
  same({ sk: 1 }, unmarshall(marshall({ sk: 1 })));
  same(undefined, (await simple.get({ TableName, Key: { pk: "none", sk: 1 } })).Item);
}

async function update() {
  const key = { TableName, Key: { pk: "update", sk: 1 } };
  const done = await items.update({
    ...key, ReturnValues: "ALL_NEW",
    UpdateExpression: "SET n = if_not_exists(n, :zero) + :big, #l = list_append(:l, :l), m = :m ADD s :s",
    ExpressionAttributeNames: { "#l": "list" },
    ExpressionAttributeValues: {
      ":zero": 0, ":big": number("9007199254740993"), ":l": ["x"], ":m": { a: 1 }, ":s": new Set(["q"]),
    },
  });
  same([number("9007199254740993"), ["x", "x"]], [done.Attributes.n, done.Attributes.list]);
  const changed = await items.update({
    ...key, ReturnValues: "UPDATED_OLD", ReturnConsumedCapacity: "INDEXES",
    UpdateExpression: "SET m.a = m.a + :one REMOVE #l[0] DELETE s :s",
    ConditionExpression: "attribute_type(m, :map) AND size(#l) = :two AND n BETWEEN :one AND n",
    ExpressionAttributeNames: { "#l": "list" },
    ExpressionAttributeValues: { ":one": 1, ":two": 2, ":map": "M", ":s": new Set(["q"]) },
  });
  same({ a: number("1") }, changed.Attributes.m);
  same(TableName, changed.ConsumedCapacity.TableName);
  const gone = await items.delete({ ...key, ReturnValues: "ALL_OLD" });
  same([{ a: number("2") }, ["x"], undefined],
    [gone.Attributes.m, gone.Attributes.list, gone.Attributes.s]);
}

const numbered = (sk) => ({ pk: "p", sk, g: `g${sk % 3}`, at: -sk, text: "x".repeat(sk) });

async function batches() {
  const requests = Array.from({ length: COUNT }, (_, sk) => ({ PutRequest: { Item: numbered(sk) } }));
  for (let at = 0; at < COUNT; at += 25) {
    await written({ [TableName]: requests.slice(at, at + 25) });
  }
  // More than the 16 MB that one answer may have, so that keys are left over.
  const large = Array.from({ length: 48 }, (_, sk) => ({ pk: "large", sk, text: "y".repeat(380_000) }));
  for (let at = 0; at < large.length; at += 24) {
    const puts = large.slice(at, at + 24).map((Item) => ({ PutRequest: { Item } }));
    await written({ [TableName]: puts });
  }
  const keys = large.map(({ pk, sk }) => ({ pk, sk }));
  let [asked, found, rounds] = [{ [TableName]: { Keys: keys, ConsistentRead: true } }, [], 0];
  for (; Object.keys(asked ?? {}).length > 0; rounds++) {
    const page = await items.batchGet({ RequestItems: asked });
    found.push(...page.Responses[TableName]);
    asked = page.UnprocessedKeys;
  }
  same([48, 2], [found.length, rounds]);
  same(new Set(keys.map(({ sk }) => sk)), new Set(found.map(({ sk }) => Number(sk.value))));
  await refused("ValidationException", () => items.batchWrite({ RequestItems: { [TableName]: requests } }));
}

async function written(requests) {
  for (let left = requests; Object.keys(left ?? {}).length > 0; ) {
    left = (await items.batchWrite({ RequestItems: left })).UnprocessedItems;
  }
}

async function pages() {
  const query = (more) => all(documents.paginateQuery(
    { client: items, pageSize: 7 },
    { TableName, KeyConditionExpression: "pk = :p", ExpressionAttributeValues: { ":p": "p" }, ...more },
  ));
  const numbers = (found) => found.flatMap((page) => page.Items).map(({ sk }) => Number(sk.value));
  const upwards = Array.from({ length: COUNT }, (_, sk) => sk);
  const found = await query({});
  same([9, upwards], [found.length, numbers(found)]);
  // Backwards by the one key is forwards by the other.
  same([...upwards].reverse(), numbers(await query({ IndexName: "by-at" })));
  same([...upwards].reverse(), numbers(await query({ ScanIndexForward: false })));
  const grouped = await query({
    IndexName: "by-g", KeyConditionExpression: "g = :g AND sk BETWEEN :low AND :high",
    FilterExpression: "begins_with(#t, :x) AND NOT #at IN (:at, :low)",
    ExpressionAttributeNames: { "#t": "text", "#at": "at" },
    ExpressionAttributeValues: { ":g": "g1", ":low": 10, ":high": 40, ":x": "xx", ":at": -13 },
  });
  same([10, 16, 19, 22, 25, 28, 31, 34, 37, 40], numbers(grouped));
  const counted = await items.query({
    TableName, Select: "COUNT", KeyConditionExpression: "pk = :p",
    ExpressionAttributeValues: { ":p": "p" },
  });
  same([COUNT, undefined], [counted.Count, counted.LastEvaluatedKey]);
  const segment = (Segment) => all(documents.paginateScan(
    { client: items, pageSize: 4 },
    { TableName, IndexName: "by-g", Segment, TotalSegments: 3 },
  ));
  const segments = await Promise.all([0, 1, 2].map(segment));
  same(new Set(upwards), new Set(numbers(segments.flat())));
}

async function transactions() {
  const key = (sk) => ({ TableName, Key: { pk: "together", sk } });
  await items.transactWrite({
    TransactItems: [
      { Put: { TableName, Item: { pk: "together", sk: 1, n: 5 } } },
      { Update: { ...key(2), UpdateExpression: "SET n = :n", ExpressionAttributeValues: { ":n": 6 } } },
      { Delete: key(3) },
      { ConditionCheck: { ...key(4), ConditionExpression: "attribute_not_exists(pk)" } },
    ],
  });
  const got = await items.transactGet({
    TransactItems: [{ Get: key(1) }, { Get: { ...key(2), ProjectionExpression: "n" } }, { Get: key(3) }],
  });
  same([{ pk: "together", sk: number("1"), n: number("5") }, { n: number("6") }, undefined],
    got.Responses.map(({ Item }) => Item));
  const cancelled = await refused("TransactionCanceledException", () => plain.transactWriteItems({
    TransactItems: [
      { Put: { TableName, Item: marshall({ pk: "together", sk: 5 }) } },
      {
        Delete: {
          TableName, Key: marshall({ pk: "together", sk: 1 }), ConditionExpression: "n > :n",
          ExpressionAttributeValues: { ":n": { N: "5" } },
          ReturnValuesOnConditionCheckFailure: "ALL_OLD",
        },
      },
    ],
  }));
  same(true, cancelled instanceof dynamodb.TransactionCanceledException);
  same([{ Code: "None" }, {
    Code: "ConditionalCheckFailed", Message: "The conditional request failed",
    Item: { pk: { S: "together" }, sk: { N: "1" }, n: { N: "5" } },
  }], cancelled.CancellationReasons);
}

async function statements() {
  const Statement = `SELECT sk, n FROM "${TableName}" WHERE pk = ? AND sk >= ?`;
  const page = await items.executeStatement({ Statement, Parameters: ["together", 1], Limit: 1 });
  same([{ sk: number("1"), n: number("5") }], page.Items);
  const rest = await items.executeStatement(
    { Statement, Parameters: ["together", 1], NextToken: page.NextToken });
  same([{ sk: number("2"), n: number("6") }], rest.Items);
  await items.executeStatement({
    Statement: `INSERT INTO "${TableName}" VALUE {'pk': ?, 'sk': ?, 'tags': ?}`,
    Parameters: ["told", 1, new Set(["a"])],
  });
  const several = await items.batchExecuteStatement({
    Statements: [
      {
        Statement: `UPDATE "${TableName}" SET n = 7 WHERE pk = ? AND sk = ?`, Parameters: ["told", 1],
      },
      {
        Statement: `INSERT INTO "${TableName}" VALUE {'pk': ?, 'sk': ?}`, Parameters: ["together", 2],
      },
    ],
  });
  same([undefined, "DuplicateItem"], several.Responses.map(({ Error }) => Error?.Code));
  await items.executeTransaction({
    TransactStatements: [
      { Statement: `DELETE FROM "${TableName}" WHERE pk = ? AND sk = ?`, Parameters: ["told", 1] },
    ],
  });
  await refused("DuplicateItemException", () => items.executeStatement({
    Statement: `INSERT INTO "${TableName}" VALUE {'pk': ?, 'sk': ?}`, Parameters: ["together", 1],
  }));
}

async function refusals() {
  const failed = await refused("ConditionalCheckFailedException", () => plain.putItem({
    TableName, Item: marshall(numbered(3)), ConditionExpression: "attribute_not_exists(pk)",
    ReturnValuesOnConditionCheckFailure: "ALL_OLD",
  }));
  same(true, failed instanceof dynamodb.ConditionalCheckFailedException);
  same(numbered(3), unmarshall(failed.Item));
  same(["client", 400, 1],
    [failed.$fault, failed.$metadata.httpStatusCode, failed.$metadata.attempts]);
  same(true, failed.$metadata.requestId.length > 0);
  const bare = await refused("ConditionalCheckFailedException", () => items.delete(
    { TableName, Key: { pk: "p", sk: 3 }, ConditionExpression: "attribute_not_exists(pk)" }));
  same([undefined, "The conditional request failed"], [bare.Item, bare.message]);
  const missing = await refused("ResourceNotFoundException",
    () => items.get({ TableName: `${TableName}-none`, Key: { pk: "p" } }));
  same(true, missing instanceof dynamodb.ResourceNotFoundException);
  await refused("ValidationException", () => items.get({ TableName, Key: { pk: "p" } }));
  await refused("ValidationException", () => items.put({ TableName, Item: { pk: "", sk: 1 } }));
  const large = { pk: "large", sk: 1, text: "x".repeat(410_000) };
  await refused("ValidationException", () => items.put({ TableName, Item: large }));
}

async function retries() {
  // The answer to the first attempt is lost on its way: the request was done, and nobody knows.
  const client = watched(new dynamodb.DynamoDB(options(endpoint, region)));
  let lost = 0;
  const lose = (next) => async (request) => {
    const answer = await next(request);
    if (lost++ === 0) {
      answer.response.body.destroy();
      throw Object.assign(new Error("the connection was reset"), { code: "ECONNRESET" });
    }
    return answer;
  };
  client.middlewareStack.add(lose, { name: "lose", step: "deserialize", priority: "low" });
  const counted = documents.DynamoDBDocument.from(client);
  const key = { TableName, Key: { pk: "retried", sk: 1 } };
  const written = await counted.transactWrite({
    TransactItems: [
      { Update: { ...key, UpdateExpression: "ADD n :n", ExpressionAttributeValues: { ":n": 1 } } },
    ],
  });
  same(2, written.$metadata.attempts);
  same(1, (await counted.get(key)).Item.n);
}

/** The same client over HTTP/2, and in CBOR: other bytes and signatures, the same answers. */
async function protocols() {
  for (const more of [
    { requestHandler: new NodeHttp2Handler() },
    { protocol: AwsSmithyRpcV2CborProtocol },
    { requestHandler: new NodeHttp2Handler(), protocol: AwsSmithyRpcV2CborProtocol },
  ]) {
    const client = watched(new dynamodb.DynamoDB(options(endpoint, region, more)));
    const key = (sk) => ({ pk: { S: "spoken" }, sk: { N: String(sk) } });
    const item = (sk) => ({ ...key(sk), bytes: { B: new Uint8Array([0, sk]) }, text: { S: "ü" } });
    const several = Array.from({ length: 200 }, (_, sk) => sk);
    await Promise.all(several.map((sk) => client.putItem({ TableName, Item: item(sk) })));
    const got = await Promise.all(several.map((sk) => client.getItem({ TableName, Key: key(sk) })));
    same(several, got.map(({ Item }) => Item.bytes.B[1]));
    same("ü", got[7].Item.text.S);
    const failed = await refused("ConditionalCheckFailedException", () => client.putItem({
      TableName, Item: item(7), ConditionExpression: "attribute_not_exists(pk)",
      ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    }));
    same([true, 7],
      [failed instanceof dynamodb.ConditionalCheckFailedException, failed.Item.bytes.B[1]]);
    const cancelled = await refused("TransactionCanceledException", () => client.transactWriteItems({
      TransactItems: [
        { ConditionCheck: { TableName, Key: key(7), ConditionExpression: "attribute_not_exists(pk)" } },
      ],
    }));
    same([true, "ConditionalCheckFailed"], [
      cancelled instanceof dynamodb.TransactionCanceledException,
      cancelled.CancellationReasons[0].Code,
    ]);
    same(true, (await client.describeTable({ TableName })).Table.CreationDateTime instanceof Date);
    await refused("ValidationException", () => client.getItem({ TableName, Key: { pk: { S: "k" } } }));
    client.destroy();
  }
  const read = watched(new streams.DynamoDBStreams(
    options(endpoint, region, { protocol: AwsSmithyRpcV2CborProtocol })));
  const missing = await refused("ResourceNotFoundException", async () => read.describeStream(
    { StreamArn: (await described()).LatestStreamArn.replace(TableName, `${TableName}-none`) }));
  same(true, missing instanceof streams.ResourceNotFoundException);
}

// --- the table changes ----------------------------------------------------------------------------

const described = async (client = plain) => (await client.describeTable({ TableName })).Table;

async function settings() {
  const arn = { ResourceArn: (await described()).TableArn };
  await plain.tagResource({ ...arn, Tags: [{ Key: "stage", Value: "test" }] });
  await plain.untagResource({ ...arn, TagKeys: ["team"] });
  same([{ Key: "stage", Value: "test" }], (await plain.listTagsOfResource(arn)).Tags);
  const TimeToLiveSpecification = { Enabled: true, AttributeName: "expires" };
  same({ TimeToLiveSpecification: { ...TimeToLiveSpecification } },
    without(await plain.updateTimeToLive({ TableName, TimeToLiveSpecification })));
  const ttl = (await plain.describeTimeToLive({ TableName })).TimeToLiveDescription;
  same(["expires", true], [ttl.AttributeName, /^ENABL(ED|ING)$/.test(ttl.TimeToLiveStatus)]);
  const recovery = await plain.updateContinuousBackups({
    TableName, PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
  });
  const { PointInTimeRecoveryDescription: told } = recovery.ContinuousBackupsDescription;
  same([true, "ENABLED"],
    [told.EarliestRestorableDateTime instanceof Date, told.PointInTimeRecoveryStatus]);
  same(true, (await plain.describeLimits({})).AccountMaxReadCapacityUnits > 0);
}

const without = ({ $metadata, ...rest }) => rest;

async function indexes() {
  await plain.updateTable({
    TableName,
    AttributeDefinitions: ["pk", "text"].map((AttributeName) => ({ AttributeName, AttributeType: "S" })),
    GlobalSecondaryIndexUpdates: [{
      Create: {
        IndexName: "by-text",
        KeySchema: [{ AttributeName: "text", KeyType: "HASH" }],
        Projection: { ProjectionType: "INCLUDE", NonKeyAttributes: ["g"] },
      },
    }],
  });
  const index = async () => (await described()).GlobalSecondaryIndexes
    .find(({ IndexName }) => IndexName === "by-text");
  await until("the index", async () => (await index()).IndexStatus === "ACTIVE");
  const found = await items.query({
    TableName, IndexName: "by-text", KeyConditionExpression: "#t = :t",
    ExpressionAttributeNames: { "#t": "text" }, ExpressionAttributeValues: { ":t": "xxx" },
  });
  same([{ pk: "p", sk: number("3"), g: "g0", text: "xxx" }], found.Items);
  await plain.updateTable({
    TableName, GlobalSecondaryIndexUpdates: [{ Delete: { IndexName: "by-text" } }],
  });
  await until("the index's end", async () => !(await index()));
  await until("the table", async () => (await described()).TableStatus === "ACTIVE");
}

async function replicas() {
  await plain.updateTable({
    TableName, ReplicaUpdates: [{ Create: { RegionName: otherRegion } }],
  });
  const replica = async () => (await described()).Replicas
    ?.find(({ RegionName }) => RegionName === otherRegion);
  await until("the replica", async () => (await replica())?.ReplicaStatus === "ACTIVE");
  await dynamodb.waitUntilTableExists({ client: other, ...waiting }, { TableName });
  same(2, (await described(other)).GlobalSecondaryIndexes.length
    + (await described(other)).LocalSecondaryIndexes.length);
  const copied = (await there.get({ TableName, Key: { pk: "p", sk: 7 } })).Item;
  same({ ...numbered(7), sk: number("7"), at: number("-7") }, copied);
  await there.put({ TableName, Item: { pk: "from", sk: 1, there: true } });
  await until("the other region's item",
    async () => (await items.get({ TableName, Key: { pk: "from", sk: 1 } })).Item?.there);
  await items.put({ TableName, Item: { pk: "from", sk: 2, here: true, g: "both" } });
  await until("this region's item, by the index", async () => (await there.query({
    TableName, IndexName: "by-g", KeyConditionExpression: "g = :g",
    ExpressionAttributeValues: { ":g": "both" },
  })).Count === 1);
}

async function changes() {
  const StreamArn = (await described()).LatestStreamArn;
  const listed = await records.listStreams({ TableName });
  same([StreamArn], listed.Streams.map((stream) => stream.StreamArn));
  const { Shards } = (await records.describeStream({ StreamArn })).StreamDescription;
  const seen = [];
  for (const { ShardId } of Shards) {
    const start = { StreamArn, ShardId, ShardIteratorType: "TRIM_HORIZON" };
    let { ShardIterator } = await records.getShardIterator(start);
    for (let read = 1; ShardIterator && read > 0; ) {
      const page = await records.getRecords({ ShardIterator, Limit: 50 });
      [ShardIterator, read] = [page.NextShardIterator, page.Records.length];
      seen.push(...page.Records);
    }
  }
  const of = (pk) => seen.filter(({ dynamodb: change }) => change.Keys.pk.S === pk);
  same(COUNT, of("p").length);
  same(["INSERT", "MODIFY", "REMOVE"], of("update").map(({ eventName }) => eventName));
  const [first] = of("types");
  same(new Set(["b", "a"]), unmarshall(first.dynamodb.NewImage, { wrapNumbers: true }).strings);
  same([true, true, region], [
    first.dynamodb.NewImage.bytes.B instanceof Uint8Array,
    first.dynamodb.ApproximateCreationDateTime instanceof Date, first.awsRegion,
  ]);
  same(1, of("retried").length);
  // What another region wrote is in this one's stream, too.
  same([1, 2], of("from").map(({ dynamodb: change }) => Number(change.Keys.sk.N)));
  const bad = { StreamArn, ShardId: Shards[0].ShardId, ShardIteratorType: "AT_SEQUENCE_NUMBER" };
  await refused("ValidationException", () => records.getShardIterator(bad));
}

async function remove() {
  await plain.updateTable({
    TableName, ReplicaUpdates: [{ Delete: { RegionName: otherRegion } }],
  });
  await dynamodb.waitUntilTableNotExists({ client: other, ...waiting }, { TableName });
  await until("the replica's end", async () => !(await described()).Replicas?.length);
  await plain.deleteTable({ TableName });
  await dynamodb.waitUntilTableNotExists({ client: plain, ...waiting }, { TableName });
  await refused("ResourceNotFoundException", () => plain.describeTable({ TableName }));
}

await tour({
  create, types, update, batches, pages, transactions, statements, refusals, retries, protocols,
  settings, indexes, replicas, changes, remove,
});
