"""PartiQL through boto3: statements, batches and transactions of them, and the typed exceptions.

With DYNAMODB_ENDPOINT set, the file tests that endpoint instead: it does not know whom it tests.
"""

import pytest
from botocore.exceptions import ClientError

from cluster import judged

TABLE = "statements"
MALFORMED = "Statement wasn't well formed, can't be processed: "


@pytest.fixture(scope="module")
def client(request):
    for made in judged(request, TABLE):
        for n in range(6):
            put(made, "list", f"o{n}", n={"N": str(n)})
        yield made


def put(client, pk, sk="s", **attributes):
    client.put_item(TableName=TABLE, Item={"pk": {"S": pk}, "sk": {"S": sk}, **attributes})


def got(client, pk, sk="s"):
    key = {"pk": {"S": pk}, "sk": {"S": sk}}
    return client.get_item(TableName=TABLE, Key=key, ConsistentRead=True).get("Item")


def run(client, statement, *parameters, **more):
    if parameters:
        more["Parameters"] = list(parameters)
    return client.execute_statement(Statement=statement, **more)


def refused(client, statement, *parameters):
    with pytest.raises(ClientError) as error:
        run(client, statement, *parameters)
    error = error.value.response["Error"]
    return error["Code"], error["Message"]


def test_items_come_and_go(client):
    insert = f"INSERT INTO \"{TABLE}\" VALUE {{'pk': ?, 'sk': 's', 'l': [1, {{'x': TRUE}}]}}"
    assert run(client, insert, {"S": "new"})["Items"] == []
    assert got(client, "new")["l"] == {"L": [{"N": "1"}, {"M": {"x": {"BOOL": True}}}]}
    with pytest.raises(client.exceptions.DuplicateItemException) as twice:
        run(client, insert, {"S": "new"})
    message = "Duplicate primary key exists in table"
    assert twice.value.response["Error"]["Message"] == message
    where = "WHERE pk = 'new' AND sk = 's'"
    update = f"UPDATE {TABLE} SET l = list_append(l, [2]) SET n = 1 {where}"
    assert run(client, f"{update} RETURNING MODIFIED NEW *")["Items"][0]["n"] == {"N": "1"}
    add = f"UPDATE {TABLE} SET tags = set_add(tags, <<'a', 'b'>>) REMOVE l {where}"
    run(client, add)
    assert sorted(got(client, "new")["tags"]["SS"]) == ["a", "b"]
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        run(client, f"DELETE FROM {TABLE} {where} AND n > 1")
    old = run(client, f"DELETE FROM {TABLE} {where} AND n = 1 RETURNING ALL OLD *")["Items"]
    assert [item["pk"]["S"] for item in old] == ["new"]
    assert got(client, "new") is None
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        run(client, update)


def test_selects_and_pages(client):
    select = f"SELECT sk, n FROM {TABLE} WHERE pk = 'list' AND sk >= 'o1' ORDER BY sk DESC"
    items, token, pages = [], {}, 0
    while True:
        answer = run(client, select, Limit=2, **token)
        items += answer["Items"]
        pages += 1
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert [item["sk"]["S"] for item in items] == ["o5", "o4", "o3", "o2", "o1"]
    assert set(items[0]) == {"sk", "n"} and pages == 3
    both = f"SELECT n FROM {TABLE} WHERE pk IN ['list', 'none'] AND sk = 'o4'"
    assert run(client, both)["Items"] == [{"n": {"N": "4"}}]
    scan = f"SELECT * FROM {TABLE} WHERE n BETWEEN ? AND 3"
    found = run(client, scan, {"N": "2"}, ReturnConsumedCapacity="TOTAL")
    assert sorted(item["sk"]["S"] for item in found["Items"]) == ["o2", "o3"]
    assert found["ConsumedCapacity"]["CapacityUnits"] == 0.5


def test_several_stretches_are_read_in_order(client):
    for n in range(1, 5):
        client.put_item(TableName=TABLE, Item={"pk": {"S": "ordered"}, "sk": {"S": f"s{n}"}})
    select = f"SELECT sk FROM {TABLE} WHERE pk = 'ordered' AND"
    for where, wanted in (
            ("sk IN ['s1', 's3'] ORDER BY sk DESC", ["s3", "s1"]),
            ("(sk = 's3' OR sk = 's1') ORDER BY sk", ["s1", "s3"]),
            ("(sk > 's3' OR sk < 's2') ORDER BY sk DESC", ["s4", "s1"])):
        found, more = [], {}
        while more is not None:
            page = client.execute_statement(Statement=f"{select} {where}", Limit=1, **more)
            found += [item["sk"]["S"] for item in page["Items"]]
            more = {"NextToken": page["NextToken"]} if "NextToken" in page else None
        assert found == wanted, where


def test_many_partitions_come_in_pages_of_ten_items(client):
    """The Developer Guide on IN: 50 values of a hash attribute, pages of up to 10 items."""
    for n in range(12):
        client.put_item(TableName=TABLE, Item={"pk": {"S": f"many-{n:02}"}, "sk": {"S": "s"}})
    names = ", ".join(f"'many-{n:02}'" for n in range(50))
    select = f"SELECT pk FROM {TABLE} WHERE pk IN [{names}]"
    first = run(client, select)
    rest = client.execute_statement(Statement=select, NextToken=first["NextToken"])
    found = [[item["pk"]["S"] for item in page["Items"]] for page in (first, rest)]
    assert [len(page) for page in found] == [10, 2] and "NextToken" not in rest
    assert sum(found, []) == [f"many-{n:02}" for n in range(12)]
    code, message = refused(client, f"{select[:-1]}, 'one-more']")
    assert (code, "too many partitions" in message) == ("ValidationException", True)


def test_a_column_is_named_by_its_path_from_the_last_name_on(client):
    put(client, "paths", "a", m={"M": {"l": {"L": [{"N": "1"}, {"M": {"x": {"N": "2"}}}]}}})
    select = f"SELECT m.l[0], m.l[1].x FROM {TABLE} WHERE pk = 'paths' AND sk = 'a'"
    assert run(client, select)["Items"] == [{"l[0]": {"N": "1"}, "x": {"N": "2"}}]


def test_batches(client):
    put(client, "batch", "a", n={"N": "1"})
    where = "WHERE pk = 'batch' AND sk"
    answers = client.batch_execute_statement(Statements=[
        {"Statement": f"SELECT * FROM {TABLE} {where} = 'a'"},
        {"Statement": f"SELECT * FROM {TABLE} WHERE pk = 'batch'"},
        {"Statement": "SELECT * FROM nothere WHERE pk = 'x'"},
    ])["Responses"]
    assert answers[0]["Item"]["n"] == {"N": "1"}
    assert answers[1]["Error"] == {"Code": "ValidationError", "Message": "Select statements within "
                                   "BatchExecuteStatement must specify the primary key in the "
                                   "where clause."}
    assert answers[2]["Error"]["Code"] == "ResourceNotFound"
    writes = client.batch_execute_statement(Statements=[
        {"Statement": f"INSERT INTO {TABLE} VALUE {{'pk': 'batch', 'sk': 'a'}}"},
        {"Statement": f"UPDATE {TABLE} SET n = 2 {where} = 'b'"},
        {"Statement": f"INSERT INTO {TABLE} VALUE {{'pk': 'batch', 'sk': 'c'}}"},
    ])["Responses"]
    codes = [answer.get("Error", {}).get("Code") for answer in writes]
    assert codes == ["DuplicateItem", "ConditionalCheckFailed", None]
    assert got(client, "batch", "c") is not None


def test_transactions(client):
    put(client, "tx", "a", n={"N": "1"})
    where = "WHERE pk = 'tx' AND sk"
    exists = f"EXISTS(SELECT * FROM {TABLE} {where} = 'a' AND n = 1)"
    insert = f"INSERT INTO {TABLE} VALUE {{'pk': 'tx', 'sk': 'b'}}"
    answer = client.execute_transaction(
        TransactStatements=[{"Statement": exists}, {"Statement": insert}])
    assert answer["Responses"] == []
    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        client.execute_transaction(TransactStatements=[
            {"Statement": f"UPDATE {TABLE} SET n = 2 {where} = 'a'"}, {"Statement": insert}])
    reasons = cancelled.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "DuplicateItem"]
    assert got(client, "tx", "a")["n"] == {"N": "1"}
    reads = client.execute_transaction(TransactStatements=[
        {"Statement": f"SELECT n FROM {TABLE} {where} = 'a'"},
        {"Statement": f"SELECT * FROM {TABLE} {where} = 'z'"}])["Responses"]
    assert reads == [{"Item": {"n": {"N": "1"}}}, {}]


def test_transactions_that_are_cancelled_before_they_are_tried(client):
    put(client, "early", "a", n={"N": "1"})
    good = f"UPDATE {TABLE} SET n = 2 WHERE pk = 'early' AND sk = 'a'"
    for statement, code, message in [
        ("INSERT INTO nothere VALUE {'pk': 'x'}", "ResourceNotFound",
         "Requested resource not found"),
        (f"UPDATE {TABLE} SET n = 1 WHERE pk = 1 AND sk = 'a'", "ValidationError",
         "The provided key element does not match the schema"),
        (f"INSERT INTO {TABLE} VALUE {{'pk': 1, 'sk': 'a'}}", "ValidationError",
         "One or more parameter values were invalid: Type mismatch for key pk expected: S "
         "actual: N"),
    ]:
        with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
            client.execute_transaction(
                TransactStatements=[{"Statement": good}, {"Statement": statement}])
        reasons = cancelled.value.response["CancellationReasons"]
        assert reasons == [{"Code": "None"}, {"Code": code, "Message": message}], statement
        # Every statement that is wrong is told of.
        with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
            client.execute_transaction(
                TransactStatements=[{"Statement": one} for one in (statement, good, statement)])
        codes = [one["Code"] for one in cancelled.value.response["CancellationReasons"]]
        assert codes == [code, "None", code], statement
    assert got(client, "early", "a")["n"] == {"N": "1"}


def test_what_is_consumed(client):
    """Failed statements cost what they would have written; a transaction names its kind."""
    put(client, "cost", "big", v={"S": "x" * 2500})
    answer = client.batch_execute_statement(ReturnConsumedCapacity="INDEXES", Statements=[
        {"Statement": f"INSERT INTO {TABLE} VALUE {{'pk': 'cost', 'sk': 'small'}}"},
        {"Statement": f"INSERT INTO {TABLE} VALUE {{'pk': 'cost', 'sk': 'big'}}"},
    ])
    assert answer["ConsumedCapacity"] == [
        {"TableName": TABLE, "CapacityUnits": 4.0, "Table": {"CapacityUnits": 1.0}}]
    update = f"UPDATE {TABLE} SET n = 1 WHERE pk = 'cost' AND sk = 'small'"
    for detail, kind in [("TOTAL", "WriteCapacityUnits"), ("INDEXES", "ReadCapacityUnits")]:
        # The second time it was done already; that other things are to be told does not matter.
        answer = client.execute_transaction(
            TransactStatements=[{"Statement": update}], ClientRequestToken="cost",
            ReturnConsumedCapacity=detail)
        told = answer["ConsumedCapacity"][0]
        assert told["CapacityUnits"] == told[kind] == 2.0, detail


def test_what_is_refused(client):
    for statement, code, message in [
        ("SELECTT * FROMM x", "ValidationException", None),
        (f"SELECT * FROM {TABLE} WHERE", "ValidationException", f"{MALFORMED}Unexpected term"),
        (f"DELETE FROM {TABLE} WHERE pk = 'x'", "ValidationException",
         "Where clause does not contain a mandatory equality on all key attributes"),
        ("SELECT * FROM nothere", "ResourceNotFoundException", "Requested resource not found"),
        (f"SELECT * FROM {TABLE}.nothere", "ValidationException",
         "The table does not have the specified index"),
        ("SELECT * FROM nothere WHERE x < TRUE", "ValidationException",
         "Incorrect operand type for operator or function; operator or function: <, operand type: "
         "BOOL"),
        ("SELECT * FROM t WHERE " + "(" * 4000, "ValidationException", None),
    ]:
        found = refused(client, statement)
        assert found[0] == code and message in (None, found[1]), statement
    where = f"SELECT * FROM {TABLE} WHERE pk = ?"
    for number in ("1e2147483648", "1e-2147483648", "1.5e-2147483647"):
        message = f"The parameter cannot be converted to a numeric value: {number}"
        assert refused(client, where, {"N": number}) == ("ValidationException", message)
