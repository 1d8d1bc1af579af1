"""Random requests to the DynamoDB API: most are right, some are wrong in one place.

A seed makes the same requests in every run. Names, keys and values are few, so that requests meet
the same items, and conditions hold now and then.
"""

import random

# By name: whether there is a sort key, and its type. The tables have the same indexes.
TABLES = {"plain": None, "sorted": "N"}
ATTRIBUTES = ["a", "b", "c", "g", "h", "l", "m", "ss", "ns", "bs", "n"]
# Some of DynamoDB's reserved words, which need a placeholder.
RESERVED = ["size", "name", "status", "count"]
TYPES = ["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"]
LSI, GSI = "by-a", "by-g"


def tables():
    """The requests that make them."""
    for name, sort in TABLES.items():
        key = [{"AttributeName": "pk", "KeyType": "HASH"}]
        defined = [{"AttributeName": "pk", "AttributeType": "S"},
                   {"AttributeName": "g", "AttributeType": "S"},
                   {"AttributeName": "h", "AttributeType": "N"}]
        body = {"TableName": name, "KeySchema": key, "AttributeDefinitions": defined,
                "BillingMode": "PAY_PER_REQUEST"}
        body["GlobalSecondaryIndexes"] = [{
            "IndexName": GSI, "Projection": {"ProjectionType": "ALL"},
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"},
                          {"AttributeName": "h", "KeyType": "RANGE"}]}]
        if sort:
            key.append({"AttributeName": "sk", "KeyType": "RANGE"})
            defined += [{"AttributeName": "sk", "AttributeType": sort},
                        {"AttributeName": "a", "AttributeType": "S"}]
            body["LocalSecondaryIndexes"] = [{
                "IndexName": LSI, "Projection": {"ProjectionType": "KEYS_ONLY"},
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"},
                              {"AttributeName": "a", "KeyType": "RANGE"}]}]
        yield body


class Placeholders:
    """The names and values of a request's expressions."""

    def __init__(self, requests):
        self.requests, self.names, self.values = requests, {}, {}

    def name(self, name):
        """As it is, or behind a placeholder."""
        if name not in RESERVED and self.requests.chance(0.6):
            return name
        known = [token for token, it in self.names.items() if it == name]
        token = known[0] if known else f"#n{len(self.names)}"
        self.names[token] = name
        return token

    def value(self, value):
        token = f":v{len(self.values)}"
        self.values[token] = value
        return token

    def into(self, body):
        if self.names:
            body["ExpressionAttributeNames"] = self.names
        if self.values:
            body["ExpressionAttributeValues"] = self.values
        return body


class Requests:
    """An endless row of operations and bodies."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def chance(self, share):
        return self.random.random() < share

    def one(self, *among):
        return self.random.choice(among)

    def __iter__(self):
        return self

    def __next__(self):
        kinds = [(self.put, 5), (self.get, 4), (self.update, 6), (self.delete, 3), (self.query, 5),
                 (self.scan, 3), (self.batch_get, 1), (self.batch_write, 1),
                 (self.transact_write, 2), (self.transact_get, 1), (self.statement, 4)]
        kind = self.random.choices([kind for kind, _ in kinds], [share for _, share in kinds])[0]
        operation, body = kind()
        if self.chance(0.12):
            self.spoil(body)
        return operation, body

    # --- values ------------------------------------------------------------------------------

    def value(self, depth=0, of=None):
        kind = of or self.one(*TYPES[:8 if depth > 1 else 10])
        if kind == "S":
            return {"S": self.one("", "x", "y", "xy", "é", "z" * 9, "10")}
        if kind == "N":
            return {"N": self.one("0", "1", "-1", "2", "10", "1.50", "1e2", "-0.0", "007",
                                  "12345678901234567890123456789012345678", "1E-130", "9e125")}
        if kind == "B":
            return {"B": self.one("", "AA==", "AQI=", "/w==")}
        if kind == "BOOL":
            return {"BOOL": self.chance(0.5)}
        if kind == "NULL":
            return {"NULL": True}
        if kind == "SS":
            return {"SS": self.some(["x", "y", "z", ""])}
        if kind == "NS":
            return {"NS": self.some(["1", "2", "10", "-3.5"])}
        if kind == "BS":
            return {"BS": self.some(["AA==", "AQI=", "/w=="])}
        if kind == "L":
            return {"L": [self.value(depth + 1) for _ in range(self.random.randrange(3))]}
        return {"M": {name: self.value(depth + 1) for name in self.some(["x", "y", "size"])}}

    def some(self, among):
        return self.random.sample(among, self.random.randint(1, len(among)))

    def typed(self, name):
        """A value that fits the keys of indexes, mostly, and that operators are for."""
        fits = {"a": "S", "g": "S", "h": "N", "n": "N", "l": "L", "m": "M", "ss": "SS",
                "ns": "NS", "bs": "BS"}.get(name)
        value = self.value(of=fits if self.chance(0.95) else None)
        if name in ("a", "g") and value == {"S": ""} and self.chance(0.9):
            return {"S": "x"}
        return value

    def key(self, table):
        key = {"pk": {"S": f"k{self.random.randrange(4)}"}}
        if TABLES[table]:
            key["sk"] = {"N": str(self.random.randrange(5))}
        return key

    def item(self, table):
        names = self.random.sample(ATTRIBUTES + RESERVED, self.random.randint(0, 6))
        return self.key(table) | {name: self.typed(name) for name in names}

    def table(self):
        return self.one("plain", "sorted")

    # --- expressions -------------------------------------------------------------------------

    def path(self, holders):
        name = self.one(*ATTRIBUTES, *RESERVED)
        path = holders.name(name)
        if name == "m" and self.chance(0.6):
            path += "." + holders.name(self.one("x", "y", "size"))
        elif name == "l" and self.chance(0.6):
            path += f"[{self.random.randrange(3)}]"
        return path

    def operand(self, holders):
        if self.chance(0.7):
            return holders.value(self.value())
        return f"size({self.path(holders)})" if self.chance(0.3) else self.path(holders)

    def condition(self, holders, depth=0):
        if depth < 2 and self.chance(0.3):
            joined = self.one("AND", "OR")
            one, other = (self.condition(holders, depth + 1) for _ in range(2))
            return f"({one} {joined} {other})" if self.chance(0.5) else f"{one} {joined} {other}"
        if self.chance(0.1):
            return f"NOT {self.condition(holders, depth + 1)}"
        path = self.path(holders)
        kind = self.random.randrange(9)
        if kind < 3:
            operator = self.one("=", "<>", "<", "<=", ">", ">=")
            left = f"size({path})" if self.chance(0.2) else path
            return f"{left} {operator} {self.operand(holders)}"
        if kind == 3:
            return f"{path} BETWEEN {self.operand(holders)} AND {self.operand(holders)}"
        if kind == 4:
            among = ", ".join(self.operand(holders) for _ in range(self.random.randint(1, 3)))
            return f"{path} IN ({among})"
        if kind == 5:
            return f"{self.one('attribute_exists', 'attribute_not_exists')}({path})"
        if kind == 6:
            kind = {"S": self.one(*TYPES)} if self.chance(0.95) else self.value()
            return f"attribute_type({path}, {holders.value(kind)})"
        if kind == 7:
            return f"begins_with({path}, {holders.value(self.value(of=self.one('S', 'S', 'B')))})"
        return f"contains({path}, {self.operand(holders)})"

    def projection(self, holders):
        paths = [self.path(holders) for _ in range(self.random.randint(1, 3))]
        return ", ".join(["pk", *paths] if self.chance(0.3) else paths)

    def assigned(self, holders, name):
        """What SET gives an attribute."""
        path, value = holders.name(name), holders.value
        kind = self.random.randrange(8)
        if kind < 4:
            return value(self.typed(name))
        if kind == 4:
            return f"{path} {self.one('+', '-')} {value(self.value(of='N'))}"
        if kind == 5:
            return f"if_not_exists({self.path(holders)}, {value(self.typed(name))})"
        if kind == 6:
            return f"list_append({path}, {value(self.value(of='L'))})"
        return self.path(holders)

    def change(self, holders):
        names, clauses = self.random.sample(ATTRIBUTES, 4), []
        if self.chance(0.7):
            sets = [f"{holders.name(name)} = {self.assigned(holders, name)}"
                    for name in names[:self.random.randint(1, 2)]]
            if self.chance(0.15):
                sets.append(f"m.x = {holders.value(self.value())}")
            clauses.append("SET " + ", ".join(sets))
        if self.chance(0.3):
            clauses.append(f"REMOVE {self.path(holders)}")
        if self.chance(0.3):
            name = self.one("n", "ss", "ns", "bs")
            clauses.append(f"ADD {name} {holders.value(self.typed(name))}")
        if self.chance(0.2):
            name = self.one("ss", "ns", "bs")
            clauses.append(f"DELETE {name} {holders.value(self.typed(name))}")
        self.random.shuffle(clauses)
        return " ".join(clauses) or f"REMOVE {self.path(holders)}"

    # --- operations --------------------------------------------------------------------------

    def conditional(self, body, share=0.4):
        holders = Placeholders(self)
        if self.chance(share):
            body["ConditionExpression"] = self.condition(holders)
            if self.chance(0.3):
                body["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return holders

    def told(self, body):
        if self.chance(0.2):
            body["ReturnConsumedCapacity"] = self.one("TOTAL", "INDEXES", "NONE")
        return body

    def put(self):
        table = self.table()
        body = {"TableName": table, "Item": self.item(table)}
        self.conditional(body).into(body)
        if self.chance(0.3):
            body["ReturnValues"] = self.one("ALL_OLD", "ALL_OLD", "NONE", "ALL_NEW")
        return "PutItem", self.told(body)

    def get(self):
        table = self.table()
        body, holders = {"TableName": table, "Key": self.key(table)}, Placeholders(self)
        if self.chance(0.4):
            body["ProjectionExpression"] = self.projection(holders)
        if self.chance(0.2):
            body["ConsistentRead"] = True
        return "GetItem", self.told(holders.into(body))

    def update(self):
        table = self.table()
        body = {"TableName": table, "Key": self.key(table)}
        holders = self.conditional(body, 0.25)
        if self.chance(0.95):
            body["UpdateExpression"] = self.change(holders)
        holders.into(body)
        if self.chance(0.5):
            body["ReturnValues"] = self.one("ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")
        return "UpdateItem", self.told(body)

    def delete(self):
        table = self.table()
        body = {"TableName": table, "Key": self.key(table)}
        self.conditional(body).into(body)
        if self.chance(0.3):
            body["ReturnValues"] = self.one("ALL_OLD", "NONE", "UPDATED_NEW")
        return "DeleteItem", self.told(body)

    def page(self, body, holders, limits=(1, 2, 3, 0)):
        if self.chance(0.3):
            body["FilterExpression"] = self.condition(holders)
        if self.chance(0.2):
            body["ProjectionExpression"] = self.projection(holders)
        elif self.chance(0.15):
            body["Select"] = self.one("COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES",
                                      "SPECIFIC_ATTRIBUTES")
        if self.chance(0.2):
            body["Limit"] = self.one(*limits)
        return self.told(holders.into(body))

    def query(self):
        table, holders = self.table(), Placeholders(self)
        body, (hash_key, sort) = {"TableName": table}, ("pk", "sk" if TABLES[table] else None)
        kinds = {"sk": "N", "a": "S", "h": "N"}
        if self.chance(0.3):
            body["IndexName"] = self.one(GSI, GSI, LSI, "by-none")
            hash_key, sort = {GSI: ("g", "h"), LSI: ("pk", "a")}.get(body["IndexName"], ("pk", "a"))
        pool = ["x", "y", "xy"] if hash_key == "g" else ["k0", "k1", "k2", "k3"]
        parts = [f"{holders.name(hash_key)} = {holders.value({'S': self.one(*pool)})}"]
        if sort and self.chance(0.5):
            one, other = (holders.value(self.value(of=kinds[sort])) for _ in range(2))
            name = holders.name(sort)
            parts.append(self.one(
                f"{name} = {one}", f"{name} < {one}", f"{name} >= {one}",
                f"{name} BETWEEN {one} AND {other}", f"begins_with({name}, {one})",
                f"{name} <> {one}"))
            if other not in parts[-1]:
                del holders.values[other]
        self.random.shuffle(parts)
        body["KeyConditionExpression"] = " AND ".join(parts)
        if self.chance(0.3):
            body["ScanIndexForward"] = False
        return "Query", self.page(body, holders)

    def scan(self):
        body = {"TableName": self.table()}
        if self.chance(0.2):
            body["IndexName"] = self.one(GSI, LSI)
        if self.chance(0.1):
            body |= {"Segment": self.one(0, 1, 2), "TotalSegments": self.one(1, 1, 0)}
        # Which items come first is the server's own: a limit finds others.
        return "Scan", self.page(body, Placeholders(self), limits=(0, 1000))

    def batch_get(self):
        asked = {}
        for table in self.some(list(TABLES)):
            holders = Placeholders(self)
            asked[table] = {"Keys": [self.key(table) for _ in range(self.random.randint(1, 3))]}
            if self.chance(0.3):
                asked[table]["ProjectionExpression"] = self.projection(holders)
            holders.into(asked[table])
        return "BatchGetItem", self.told({"RequestItems": asked})

    def batch_write(self):
        asked = {}
        for table in self.some(list(TABLES)):
            asked[table] = [
                {"PutRequest": {"Item": self.item(table)}} if self.chance(0.7)
                else {"DeleteRequest": {"Key": self.key(table)}}
                for _ in range(self.random.randint(1, 3))]
        return "BatchWriteItem", self.told({"RequestItems": asked})

    def transact_write(self):
        actions = []
        for _ in range(self.random.randint(1, 3)):
            kind, make = self.one(("Put", self.put), ("Update", self.update),
                                  ("Delete", self.delete), ("ConditionCheck", self.delete))
            body = make()[1]
            for member in ("ReturnValues", "ReturnConsumedCapacity"):
                body.pop(member, None)
            if kind == "ConditionCheck" and "ConditionExpression" not in body:
                holders = Placeholders(self)
                body["ConditionExpression"] = self.condition(holders)
                holders.into(body)
            if kind == "Update" and "UpdateExpression" not in body:
                kind = "Delete"
            actions.append({kind: body})
        return "TransactWriteItems", self.told({"TransactItems": actions})

    def transact_get(self):
        gets = []
        for _ in range(self.random.randint(1, 3)):
            body = self.get()[1]
            for member in ("ConsistentRead", "ReturnConsumedCapacity"):
                body.pop(member, None)
            gets.append({"Get": body})
        return "TransactGetItems", self.told({"TransactItems": gets})

    def statement(self):
        table = self.table()
        key, parameters = self.key(table), []
        where = " AND ".join(f"{name} = ?" for name in key)
        name = self.one("a", "b", "c", "n")
        kind = self.random.randrange(5)
        if kind == 0:
            item = self.item(table)
            members = ", ".join(f"'{name}': ?" for name in item)
            text, parameters = f'INSERT INTO "{table}" VALUE {{{members}}}', list(item.values())
        elif kind == 1:
            text = f'UPDATE "{table}" SET {name} = ? WHERE {where}'
            parameters = [self.typed(name), *key.values()]
            if self.chance(0.4):
                text += f" RETURNING {self.one('ALL', 'MODIFIED')} {self.one('OLD', 'NEW')} *"
        elif kind == 2:
            text, parameters = f'DELETE FROM "{table}" WHERE {where}', list(key.values())
            if self.chance(0.4):
                text += " RETURNING ALL OLD *"
        else:
            picked = self.one("*", "*", "pk, a", name, "m.x")
            text, parameters = f'SELECT {picked} FROM "{table}" WHERE {where}', list(key.values())
            if self.chance(0.5):
                text += f" AND {name} {self.one('=', '<>', '<', '>=')} ?"
                parameters.append(self.value())
        body = {"Statement": text}
        if parameters:
            body["Parameters"] = parameters
        return "ExecuteStatement", self.told(body)

    # --- what is wrong -----------------------------------------------------------------------

    def spoil(self, body):
        """Breaks one thing."""
        texts = [name for name, value in body.items() if isinstance(value, str) and value]
        kind = self.random.randrange(6)
        if kind == 0 and len(body) > 1:
            del body[self.one(*body)]
        elif kind == 1:
            body[self.one(*body)] = self.one("", 7, [], {}, True)
        elif kind == 2 and texts:
            name = self.one(*texts)
            at = self.random.randrange(len(body[name]))
            body[name] = body[name][:at] + self.one("", "(", ")", ",", ":", "#", " ", "1") + \
                body[name][at + 1:]
        elif kind == 3:
            body.setdefault("ExpressionAttributeValues", {})[":unused"] = self.value()
        elif kind == 4:
            body.setdefault("ExpressionAttributeNames", {})["#unused"] = self.one("a", "size")
        elif "Key" in body or "Item" in body:
            key = body.get("Key") or body["Item"]
            key[self.one("pk", "sk", "pk", "x")] = self.value()
