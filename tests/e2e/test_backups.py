"""Backups and restores: what is in a new table is what was in the old one, then."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from support import REGIONS, eventually

HOME = REGIONS[0]
CLUSTER = {"shop": False}


def create(client, name, **more):
    client.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"},
                              {"AttributeName": "g", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {"IndexName": "by-g", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
             "Projection": {"ProjectionType": "ALL"}},
            {"IndexName": "keys", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
             "Projection": {"ProjectionType": "KEYS_ONLY"}}], **more)
    wait(client, name)


def wait(client, name):
    eventually(lambda: client.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE",
               f"{name} to be ACTIVE")


def put(client, name, key, value):
    client.put_item(TableName=name, Item={"pk": {"S": key}, "v": {"S": value}, "g": {"S": "all"}})


def contents(client, name):
    pages = client.get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
    return {item["pk"]["S"]: item["v"]["S"] for page in pages for item in page["Items"]}


def refused(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def available(client, arn):
    describe = lambda: client.describe_backup(BackupArn=arn)["BackupDescription"]
    eventually(lambda: describe()["BackupDetails"]["BackupStatus"] == "AVAILABLE", "the backup")
    return describe()


def test_a_backup_is_a_consistent_copy_that_can_be_restored(pangea, table_name):
    client = pangea.client(HOME)
    create(client, table_name)
    wanted = {f"k{n}": "v" * 100 for n in range(300)}
    for key, value in wanted.items():
        put(client, table_name, key, value)
    made = client.create_backup(TableName=table_name, BackupName="first")["BackupDetails"]
    put(client, table_name, "k0", "later")
    arn = made["BackupArn"]
    assert (made["BackupName"], made["BackupType"]) == ("first", "USER")
    told = available(client, arn)
    assert told["SourceTableDetails"]["TableName"] == table_name
    assert told["SourceTableDetails"]["ItemCount"] == len(wanted)
    indexes = told["SourceTableFeatureDetails"]["GlobalSecondaryIndexes"]
    assert {index["IndexName"] for index in indexes} == {"by-g", "keys"}

    other = client.create_backup(TableName=table_name, BackupName="second")["BackupDetails"]
    available(client, other["BackupArn"])
    pages = client.get_paginator("list_backups").paginate(
        TableName=table_name, PaginationConfig={"PageSize": 1})
    listed = [one["BackupArn"] for page in pages for one in page["BackupSummaries"]]
    assert listed == [arn, other["BackupArn"]]

    target = f"{table_name}-restored"
    restored = client.restore_table_from_backup(TargetTableName=target, BackupArn=arn)
    summary = restored["TableDescription"]["RestoreSummary"]
    assert (summary["SourceBackupArn"], summary["RestoreInProgress"]) == (arn, True)
    wait(client, target)
    assert contents(client, target) == wanted
    table = client.describe_table(TableName=target)["Table"]
    assert "RestoreSummary" not in table
    assert {index["IndexName"] for index in table["GlobalSecondaryIndexes"]} == {"by-g", "keys"}
    found = client.query(TableName=target, IndexName="by-g", Select="COUNT",
                         KeyConditionExpression="g = :g",
                         ExpressionAttributeValues={":g": {"S": "all"}})
    assert found["Count"] == len(wanted)
    assert refused(client.restore_table_from_backup, TargetTableName=target, BackupArn=arn) \
        == ("TableAlreadyExistsException", f"Table already exists: {target}")
    client.delete_table(TableName=table_name)

    gone = client.delete_backup(BackupArn=arn)["BackupDescription"]
    assert gone["BackupDetails"]["BackupStatus"] == "DELETED"
    missing = ("BackupNotFoundException", f"Backup not found: {arn}")
    assert refused(client.describe_backup, BackupArn=arn) == missing
    assert refused(client.delete_backup, BackupArn=arn) == missing
    assert refused(client.restore_table_from_backup, TargetTableName="xyz", BackupArn=arn) \
        == missing
    # A backup outlives its table.
    again = f"{table_name}-again"
    client.restore_table_from_backup(
        TargetTableName=again, BackupArn=other["BackupArn"],
        SSESpecificationOverride={"Enabled": True},
        OnDemandThroughputOverride={"MaxReadRequestUnits": 7}, GlobalSecondaryIndexOverride=[
            {"IndexName": "keys", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
             "Projection": {"ProjectionType": "KEYS_ONLY"}}])
    wait(client, again)
    assert contents(client, again) == {**wanted, "k0": "later"}
    table = client.describe_table(TableName=again)["Table"]
    assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == ["keys"]
    assert table["OnDemandThroughput"] == {"MaxReadRequestUnits": 7}
    assert table["SSEDescription"]["SSEType"] == "KMS"
    assert refused(client.create_backup, TableName=table_name, BackupName="late") \
        == ("TableNotFoundException", f"Table not found: {table_name}")


def answered(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    return "done", ""


def test_what_is_being_restored_is_not_there_yet(pangea, table_name):
    client = pangea.client(HOME)
    create(client, table_name)

    def grow(first, count, size):
        for start in range(first, first + count, 25):
            items = [{"pk": {"S": f"k{n}"}, "v": {"S": "v" * size}, "g": {"S": f"g{n}"}}
                     for n in range(start, start + 25)]
            client.batch_write_item(RequestItems={
                table_name: [{"PutRequest": {"Item": item}} for item in items]})
        made = client.create_backup(TableName=table_name, BackupName="more")["BackupDetails"]
        available(client, made["BackupArn"])
        return made

    made = grow(0, 3000, 500)
    missing = "Requested resource not found"
    # A restore may be done before all was asked of it: then nothing was tested, and the next one
    # has more to do.
    for attempt in range(8):
        target = f"{table_name}-{attempt}"
        restore = {"TargetTableName": target, "BackupArn": made["BackupArn"]}
        answer = client.restore_table_from_backup(**restore)
        arn = answer["TableDescription"]["TableArn"]
        calls = [
            (client.put_item, {"TableName": target, "Item": {"pk": {"S": "k0"}}}),
            (client.get_item, {"TableName": target, "Key": {"pk": {"S": "k0"}}}),
            (client.execute_statement, {"Statement": f'SELECT * FROM "{target}"'}),
            (client.update_table, {"TableName": target, "DeletionProtectionEnabled": True}),
            (client.list_tags_of_resource, {"ResourceArn": arn}),
            (client.describe_time_to_live, {"TableName": target}),
            (client.describe_continuous_backups, {"TableName": target}),
            (client.restore_table_from_backup, restore),
            (client.restore_table_from_backup, {**restore, "TargetTableName": f"{target}-too"}),
            (client.delete_backup, {"BackupArn": made["BackupArn"]}),
        ]
        # All at once: a restore takes about as long as a few of them.
        with ThreadPoolExecutor(len(calls)) as pool:
            answers = list(pool.map(lambda it: answered(it[0], **it[1]), calls))
        if answers[-2][0] == "done":
            wait(client, f"{target}-too")
        if client.describe_table(TableName=target)["Table"]["TableStatus"] == "CREATING":
            break
        made = grow(3000 + 200 * attempt, 200, 40_000)
    else:
        pytest.fail("every restore was done before all was asked of it")
    named = f"{missing}: Table: {target} not found"
    used = "Backup is being used to restore"
    assert answers == [("ResourceNotFoundException", missing)] * 3 \
        + [("ResourceNotFoundException", named)] * 3 \
        + [("TableNotFoundException", f"Table not found: {target}"),
           ("TableInUseException", f"Table: {target} is already being restored from backup: "
                                   + made["BackupArn"]),
           ("BackupInUseException", f"{used} another table: {made['BackupArn']}"),
           ("BackupInUseException", f"{used} table: {made['BackupArn']}")]
    wait(client, target)
    put(client, target, "k0", "later")
    assert len(contents(client, target)) == 3000 + 200 * attempt


def test_a_restore_that_a_full_disk_broke_off_goes_on(own_pangea, table_name):
    pangea, client = own_pangea, own_pangea.client(HOME)
    create(client, table_name)
    count = 0
    for attempt in range(6):
        # A restore that was done before the disk was full tests nothing: the next has more to do.
        for start in range(count, count + 100 * 2 ** attempt, 25):
            items = [{"pk": {"S": f"k{n}"}, "v": {"S": "v" * 40_000}, "g": {"S": f"g{n}"}}
                     for n in range(start, start + 25)]
            client.batch_write_item(RequestItems={
                table_name: [{"PutRequest": {"Item": item}} for item in items]})
        count += 100 * 2 ** attempt
        backup = client.create_backup(TableName=table_name, BackupName="full")["BackupDetails"]
        available(client, backup["BackupArn"])
        target = f"{table_name}-{attempt}"
        client.restore_table_from_backup(TargetTableName=target, BackupArn=backup["BackupArn"])
        pangea.cli("disk", "fill", HOME)
        try:
            log = pangea.data / "logs" / f"region-{HOME}.log"
            status = client.describe_table(TableName=target)["Table"]["TableStatus"]
            if status == "CREATING":
                eventually(lambda: "a restore broke off" in log.read_text(), "a refused write")
        finally:
            pangea.cli("disk", "free", HOME)
        if status == "CREATING":
            break
    else:
        pytest.fail("every restore was done before the disk was full")
    wait(client, target)
    assert len(contents(client, target)) == count


def test_a_table_is_restored_to_any_second_since_its_past_is_kept(pangea, table_name):
    client, target = pangea.client(HOME), f"{table_name}-then"
    create(client, table_name)
    put(client, table_name, "before", "1")
    restore = {"SourceTableName": table_name, "TargetTableName": target}
    code, _ = refused(client.restore_table_to_point_in_time, **restore,
                      UseLatestRestorableTime=True)
    assert code == "PointInTimeRecoveryUnavailableException"
    client.update_continuous_backups(
        TableName=table_name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    for key in ("changed", "deleted", "twice"):
        put(client, table_name, key, "then")
    # The moment is a whole second, and what is written after it is after it.
    at = int(time.time()) + 1
    eventually(lambda: time.time() > at + 0.01, "the second")
    put(client, table_name, "changed", "now")
    put(client, table_name, "twice", "meanwhile")
    put(client, table_name, "twice", "now")
    put(client, table_name, "new", "now")
    client.delete_item(TableName=table_name, Key={"pk": {"S": "deleted"}})
    client.restore_table_to_point_in_time(**restore, RestoreDateTime=at)
    wait(client, target)
    assert contents(client, target) \
        == {"before": "1", "changed": "then", "deleted": "then", "twice": "then"}
    latest = f"{table_name}-now"
    client.restore_table_to_point_in_time(
        SourceTableName=table_name, TargetTableName=latest, UseLatestRestorableTime=True,
        BillingModeOverride="PAY_PER_REQUEST")
    wait(client, latest)
    assert contents(client, latest) == contents(client, table_name)

    restore["TargetTableName"] = f"{table_name}-never"
    for moment in (at - 3600, at + 3600):
        code, message = refused(client.restore_table_to_point_in_time, **restore,
                                RestoreDateTime=moment)
        assert code == "InvalidRestoreTimeException"
        text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
        assert message.startswith(
            f"RestoreDateTime '{text}' must be within EarliestRestorableDateTime '")
    restore["SourceTableName"] = "nothing"
    assert refused(client.restore_table_to_point_in_time, **restore, UseLatestRestorableTime=True) \
        == ("TableNotFoundException", "Table not found: nothing")


def test_the_latest_past_has_all_that_was_acknowledged_whatever_the_wall_clock_says(
        pangea, table_name):
    client, latest = pangea.client(HOME), f"{table_name}-now"
    create(client, table_name)
    client.update_continuous_backups(
        TableName=table_name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    # Longer than the clock goes back, so that the moment that it shows is one of the past.
    time.sleep(4)
    try:
        # No peer confirms it: writes go by the time that the region had.
        pangea.cli("clock", "set", HOME, "--offset-ms", "-3000")
        put(client, table_name, "k", "1")
        client.restore_table_to_point_in_time(
            SourceTableName=table_name, TargetTableName=latest, UseLatestRestorableTime=True)
        wait(client, latest)
        assert contents(client, latest) == {"k": "1"}
    finally:
        pangea.cli("clock", "set", HOME, "--offset-ms", "0")


def test_indexes_are_restored_as_they_were(pangea, table_name):
    client = pangea.client(HOME)
    create(client, table_name)
    made = client.create_backup(TableName=table_name, BackupName="first")["BackupDetails"]
    available(client, made["BackupArn"])
    restore = {"TargetTableName": f"{table_name}-0", "BackupArn": made["BackupArn"]}
    units = {"ReadCapacityUnits": 3, "WriteCapacityUnits": 4}

    def index(key="g", **more):
        return {"IndexName": "by-g", "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"}, **more}

    foreign = "Invalid Request: Index by-g does not match a secondary index that existed"
    included = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["v"]}
    for indexes, message in ([index(key="pk")], foreign), \
            ([{**index(), "Projection": included}], foreign), \
            ([index(), index()], "One or more parameter values were invalid: Duplicate index"), \
            ([index(ProvisionedThroughput=units)],
             "Invalid Request: Cannot override ProvisionedThroughput if BillingMode is overridden "
             "to PAY_PER_REQUEST for index by-g"):
        code, text = refused(client.restore_table_from_backup, **restore,
                             GlobalSecondaryIndexOverride=indexes)
        assert code == "ValidationException" and text.startswith(message), text
    of_table = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2}
    provisioned = {"BillingModeOverride": "PROVISIONED", "ProvisionedThroughputOverride": of_table}
    code, text = refused(client.restore_table_from_backup, **restore, **provisioned,
                         GlobalSecondaryIndexOverride=[index()])
    assert text == "Invalid Request: Must specify provisioned throughput for index by-g"
    renamed = {**index(ProvisionedThroughput=units), "IndexName": "renamed"}
    for number, (overrides, wanted) in enumerate([
            ([index(ProvisionedThroughput=units)], {"by-g": units}),
            ([renamed], {"renamed": units}),
            (None, {"by-g": of_table, "keys": of_table})]):
        restore["TargetTableName"] = f"{table_name}-{number}"
        more = {} if overrides is None else {"GlobalSecondaryIndexOverride": overrides}
        client.restore_table_from_backup(**restore, **provisioned, **more)
        wait(client, restore["TargetTableName"])
        table = client.describe_table(TableName=restore["TargetTableName"])["Table"]
        assert of_table.items() <= table["ProvisionedThroughput"].items()
        found = {one["IndexName"]: one["ProvisionedThroughput"]
                 for one in table["GlobalSecondaryIndexes"]}
        assert found.keys() == wanted.keys()
        assert all(wanted[name].items() <= found[name].items() for name in found)


def test_limits_are_restored_and_the_class_is_not(pangea, table_name):
    client = pangea.client(HOME)
    create(client, table_name)
    limits = {"MaxReadRequestUnits": 7, "MaxWriteRequestUnits": 9}
    client.update_table(TableName=table_name, OnDemandThroughput=limits)
    client.update_table(TableName=table_name, TableClass="STANDARD_INFREQUENT_ACCESS")
    made = client.create_backup(TableName=table_name, BackupName="first")["BackupDetails"]
    available(client, made["BackupArn"])
    target = f"{table_name}-restored"
    client.restore_table_from_backup(TargetTableName=target, BackupArn=made["BackupArn"])
    wait(client, target)
    table = client.describe_table(TableName=target)["Table"]
    assert table["OnDemandThroughput"] == limits
    assert "TableClassSummary" not in table


def test_a_table_that_keeps_its_past_leaves_a_backup(pangea, table_name):
    client = pangea.client(HOME)
    create(client, table_name)
    put(client, table_name, "k", "v")
    client.update_continuous_backups(
        TableName=table_name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    client.update_table(TableName=table_name, DeletionProtectionEnabled=True)
    assert refused(client.delete_table, TableName=table_name)[0] == "ValidationException"
    of_table = {"TableName": table_name}
    assert client.list_backups(**of_table, BackupType="ALL")["BackupSummaries"] == []
    client.update_table(TableName=table_name, DeletionProtectionEnabled=False)
    client.delete_table(TableName=table_name)
    for kind in {}, {"BackupType": "USER"}:
        assert client.list_backups(**of_table, **kind)["BackupSummaries"] == []
    system = lambda: client.list_backups(**of_table, BackupType="SYSTEM")["BackupSummaries"]
    [made] = system()
    told = available(client, made["BackupArn"])
    [one] = system()
    assert [one] == client.list_backups(**of_table, BackupType="ALL")["BackupSummaries"]
    assert (one["BackupName"], one["BackupType"]) == (f"{table_name}$DeletedTableBackup", "SYSTEM")
    assert (one["BackupExpiryDateTime"] - one["BackupCreationDateTime"]).days == 35
    assert told["BackupDetails"]["BackupType"] == "SYSTEM"
    assert told["SourceTableDetails"]["ItemCount"] == 1
    client.restore_table_from_backup(TargetTableName=table_name, BackupArn=one["BackupArn"])
    wait(client, table_name)
    assert contents(client, table_name) == {"k": "v"}
    client.delete_backup(BackupArn=one["BackupArn"])
    # The restored table keeps no past, and leaves nothing.
    client.delete_table(TableName=table_name)
    assert client.list_backups(**of_table, BackupType="ALL")["BackupSummaries"] == []
